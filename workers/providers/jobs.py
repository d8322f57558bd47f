"""What Replicate and fal have in common: jobs with each model's own argument names, and results that list files."""

from __future__ import annotations

import asyncio
import base64
import re
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from gateway.errors import ProviderError, ProviderFailed, ProviderNotSetUp
from workers.providers.base import ProviderInput, ProviderRequest
from workers.providers.calls import ProviderCalls, ProviderResponse
from workers.providers.values import job_id

POLL_BYTES_MAX = 64 * 1024 * 1024
"""The limit for a response that may repeat the inputs or contain outputs."""

_ID = re.compile(r"[A-Za-z0-9_-]{1,200}")  # a vendor's job id becomes part of a URL
_POLLS_SECONDS = (0.5, 0.7, 1.0, 1.4, 2.0)  # between polls; the last one repeats
_LOG_TAIL = 20_000  # characters; a progress bar is at the end
_BAR = re.compile(r"(\d{1,3})%\s*\|[^|\n]+\|\s*\d+/\d+")  # tqdm's format: ` 50%|#####     | 2/4 [00:01…`

GONE = frozenset({404, 410})

AddressOf = Callable[[ProviderInput], Awaitable[str]]


async def arguments(request: ProviderRequest, address_of: AddressOf) -> dict[str, Any]:
    """All of a model's arguments, by its own names. `address_of` returns a URL for an input's bytes.

    ProviderNotSetUp if the rate card has no name for inputs that the request has: dropping them would waste money.
    """
    names = request.names
    named: dict[str, Any] = dict(request.arguments)
    if request.prompt:
        named[names.prompt] = request.prompt
    if names.outputs is not None:
        named[names.outputs] = len(request.indices)
    for kind, name, one in (
        ("image", names.input_images, names.one_image),
        ("video", names.input_videos, names.one_video),
        ("audio", names.input_audios, names.one_audio),
    ):
        addresses = [each.url or await address_of(each) for each in request.inputs if each.kind == kind]
        if not addresses:
            continue
        if name is None:
            inputs = f"input {kind}{'' if kind == 'audio' else 's'}"
            raise ProviderNotSetUp(f"the rate card does not name {request.model}'s argument for {inputs}")
        named[name] = addresses[0] if one else addresses
    return named


async def data_url(given: ProviderInput) -> str:
    """An input's bytes as a `data:` URL."""
    text = await asyncio.to_thread(lambda: base64.b64encode(given.data or b"").decode())
    return f"data:{given.content_type or 'application/octet-stream'};base64,{text}"


def ref_in(answer: ProviderResponse, name: str) -> str:
    """The id of a newly submitted job, from the vendor's field `name`."""
    ref = job_id(answer.document().get(name))
    if ref is None or not _ID.fullmatch(ref):
        raise ProviderFailed(f"its response to a new job has no `{name}`")
    return ref


def checked(ref: str | None) -> str:
    """A stored id, validated for use in a URL; ProviderFailed if it is invalid."""
    if ref is None or not _ID.fullmatch(ref):
        raise ProviderFailed(f"{ref!r} is not a job id")
    return ref


async def poll(calls: ProviderCalls, address: str, request: ProviderRequest) -> ProviderResponse:
    """The vendor's response about the job at `address`; ProviderFailed if the job is unknown (anymore)."""
    answer = await calls.ask("GET", address, repeatable=True, bytes_max=POLL_BYTES_MAX)
    if answer.status in GONE:
        raise gone(answer)
    if not answer.ok:
        raise calls.refusal(answer, private=request.prompt)
    return answer


async def stop(calls: ProviderCalls, method: str, address: str, *, ended_already: frozenset[int]) -> None:
    """Request a stop. No error if the job has ended or is unknown, for which the vendor uses one of these statuses."""
    answer = await calls.ask(method, address, repeatable=True, bytes_max=POLL_BYTES_MAX)
    if not answer.ok and answer.status not in ended_already:
        raise calls.refusal(answer)


def gone(answer: ProviderResponse) -> ProviderError:
    """The error for a job unknown to its vendor: a new one is worthwhile."""
    return ProviderFailed(f"it does not know the job (anymore): {answer.status}")


def progress_of(log: object) -> float | None:
    """Progress, 0 to 1, from the last progress bar in a model's log; None if there is none."""
    bars = _BAR.findall(log[-_LOG_TAIL:]) if isinstance(log, str) else []
    return min(int(bars[-1]), 100) / 100 if bars else None


def pauses() -> Iterator[float]:
    """Seconds between polls of a job, without end."""
    yield from _POLLS_SECONDS
    while True:
        yield _POLLS_SECONDS[-1]
