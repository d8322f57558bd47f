"""Inputs: `https:` URLs are passed on and never fetched here; bytes are kept in the object store with the generation.

Bytes are in the request itself, as a `data:` URL, or were uploaded before. An upload is copied, so that the copy lives
as long as the generation.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import accumulate

from gateway.api import limits
from gateway.api.errors import InvalidRequest
from gateway.domain import Input
from gateway.errors import FieldProblem, OutputMissing, RequestRefused
from gateway.media import kind_of
from gateway.outputs import (
    UPLOAD_SCHEME,
    InputFile,
    LinkState,
    OutputStore,
    UploadAddresses,
    content_type_of,
    input_key,
    parse_data_url,
    upload_measures,
    upload_size,
)
from gateway.outside.addresses import AddressGuard
from gateway.pricing.measures import COUNTED_KINDS, MEASURED_COUNTS
from gateway.schemas.generations import InputIn

_EXPIRED = "has expired; upload the file again with POST /v1/uploads"


@dataclass(frozen=True, slots=True)
class GivenInput:
    """A parsed input: a URL; the bytes of a `data:` URL as `file`; or an upload's object key as `upload`."""

    kind: str
    url: str
    file: InputFile | None = None
    upload: str | None = None


def given_inputs(
    inputs: Sequence[InputIn], uploads: UploadAddresses, guard: AddressGuard, account: str, *, files: bool = True
) -> tuple[GivenInput, ...]:
    """Decode `data:` URLs and verify uploads; InvalidRequest names every invalid one.

    `guard` rejects `https:` URLs whose text shows that no provider may call them. Without `files`, `data:` URLs are not
    decoded: prices do not depend on their bytes.
    """
    given: list[GivenInput] = []
    problems: list[FieldProblem] = []
    for index, one in enumerate(inputs):
        path = f"inputs.{index}.url"
        try:
            if one.url.startswith("data:") and not files:
                given.append(GivenInput(one.kind, ""))
            elif one.url.startswith("data:"):
                given.append(GivenInput(one.kind, "", parse_data_url(one.url, kind=one.kind, path=path)))
            elif one.url.startswith(UPLOAD_SCHEME):
                given.append(GivenInput(one.kind, "", upload=_upload(one, uploads, account, path)))
            else:
                given.append(GivenInput(one.kind, _admitted(one.url, guard, path)))
        except RequestRefused as refused:
            problems.extend(refused.problems)
    _refuse(problems or _too_large(given))
    return tuple(given)


def measured(inputs: Sequence[InputIn], uploads: UploadAddresses, account: str) -> dict[str, Decimal]:
    """The measures of all inputs of a kind together; uploads were measured when they arrived.

    A measure is omitted if the request has no input of the kind, or one that has not been measured.
    """
    measures: dict[str, Decimal] = {}
    for name, count in MEASURED_COUNTS.items():
        amounts = [_measure(one, uploads, account) for one in inputs if one.kind == COUNTED_KINDS[count]]
        known = [amount for amount in amounts if amount is not None]
        if amounts and len(known) == len(amounts):
            measures[name] = sum(known, Decimal(0))
    return measures


def _measure(one: InputIn, uploads: UploadAddresses, account: str) -> Decimal | None:
    """Megapixels of an image, seconds of a video or audio. Invalid URLs are rejected by `given_inputs`."""
    state, object_key = uploads.open(account, one.url)
    if state is not LinkState.VALID:
        return None
    found = upload_measures(object_key)
    if found is None:
        return None
    return Decimal(found.pixels) / 1_000_000 if one.kind == "image" else found.seconds


async def stored(store: OutputStore, generation: str, inputs: Sequence[GivenInput]) -> tuple[Input, ...]:
    """Store the inputs' bytes in the object store, under the generation's id; returns the inputs for the ledger.

    InvalidRequest if an upload is gone; OutputNotStored. In both cases, what was stored is deleted again.
    """
    request = secrets.token_hex(4)
    keeping = (_keep(store, generation, request, number, one) for number, one in enumerate(inputs))
    kept = await asyncio.gather(*keeping, return_exceptions=True)
    faults = [one for one in kept if isinstance(one, BaseException)]
    made = tuple(one for one in kept if isinstance(one, Input))
    if faults:
        await store.delete(stored_keys(made))
        _refuse(
            [
                FieldProblem(f"inputs.{number}.url", _EXPIRED)
                for number, one in enumerate(kept)
                if isinstance(one, OutputMissing)
            ]
        )
        raise faults[0]
    return made


def stored_keys(inputs: Iterable[Input]) -> list[str]:
    """The object keys of those inputs whose bytes are in the store."""
    return [one.url for one in inputs if not one.url.startswith("https:")]


async def _keep(store: OutputStore, generation: str, request: str, number: int, one: GivenInput) -> Input:
    if one.upload is not None:
        object_key = input_key(generation, request, number, content_type_of(one.upload))
        await store.copy(one.upload, object_key)
    elif one.file is not None:
        object_key = input_key(generation, request, number, one.file.content_type)
        await store.put(object_key, one.file.data)
    else:
        return Input(one.kind, one.url)
    return Input(one.kind, object_key)


def _admitted(url: str, guard: AddressGuard, path: str) -> str:
    problem = guard.problem_of_input(url)
    if problem is not None:
        raise RequestRefused(problem, [FieldProblem(path, problem)])
    return url


def _upload(one: InputIn, uploads: UploadAddresses, account: str, path: str) -> str:
    state, object_key = uploads.open(account, one.url)
    match state:
        case LinkState.INVALID:
            message = "is not an upload of this account"
        case LinkState.EXPIRED:
            message = _EXPIRED
        case LinkState.VALID:
            content_type = content_type_of(object_key)
            if kind_of(content_type) == one.kind:
                return object_key
            message = f"is {content_type}, but the input's kind is {one.kind!r}"
    raise RequestRefused(message, [FieldProblem(path, message)])


def _too_large(given: Sequence[GivenInput]) -> list[FieldProblem]:
    sizes = accumulate(0 if one.upload is None else upload_size(one.upload) for one in given)
    over = next((index for index, size in enumerate(sizes) if size > limits.INPUTS_MAX_BYTES), None)
    if over is None:
        return []
    most = limits.INPUTS_MAX_BYTES // 1024 // 1024
    return [FieldProblem(f"inputs.{over}.url", f"takes the request's uploads over the limit of {most} MiB in total")]


def _refuse(problems: Sequence[FieldProblem]) -> None:
    if problems:
        raise InvalidRequest(f"`{problems[0].path}` {problems[0].message}.", fields=problems)
