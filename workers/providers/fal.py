"""fal's queue.

```
POST {queue}/{owner}/{app}[/{path}]?fal_webhook=…     the model's arguments                      → {request_id}
GET  {queue}/{owner}/{app}/requests/{id}/status       IN_QUEUE, IN_PROGRESS, COMPLETED; FAILED is seen too
GET  {queue}/{owner}/{app}/requests/{id}              the result; or, if the job failed, its error with its status
PUT  {queue}/{owner}/{app}/requests/{id}/cancel
```

A model's path below its app is used in the first URL only. The namespaces `workflows/` and `comfy/` precede the owner
in all of them.

fal has no idempotency keys: a submit whose response is lost counts as failed, and is retried at most `attempts_max`
times. fal's own retries within a job, up to ten if a runner is lost, are left on: they are one job with one bill, and a
5xx is not billed. With `x-fal-no-retry` we would only do the same less directly.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote

from yarl import URL

from gateway.errors import Moderated, ProviderError, ProviderFailed, ProviderNotSetUp, ProviderRejected
from gateway.kinds import MediaKind
from gateway.metering import Unit
from workers.providers.base import Connection, Pending, ProviderRequest, Result
from workers.providers.calls import ProviderCalls, ProviderResponse, lost
from workers.providers.details import words_of
from workers.providers.figures import figures_in, number_in, usage_in
from workers.providers.files import File, fetched, file_in
from workers.providers.jobs import (
    GONE,
    POLL_BYTES_MAX,
    arguments,
    checked,
    data_url,
    gone,
    pauses,
    poll,
    progress_of,
    ref_in,
    stop,
)
from workers.providers.moderation import MODERATED, is_moderated
from workers.providers.stages import Stage, stage_of
from workers.providers.texts import texts_in
from workers.providers.values import address, text

BASE_URL = "https://queue.fal.run"

_PART = r"(?!\.{1,2}(?![\w.-]))[\w.-]+"  # a path segment, except `.` and `..`
_APP = re.compile(rf"((?:(?:workflows|comfy)/)?{_PART}/{_PART})((?:/{_PART})*)", re.ASCII)
_REQUEST_AT_FAULT = frozenset({400, 413, 415, 422})
_ENDED_ALREADY = frozenset({400, 404, 409, 410, 422})  # ALREADY_COMPLETED, NOT_FOUND: statuses undocumented
_DEPTH_MAX = 32
_FIRST = ("images", "image", "videos", "video", "audio")  # a thumbnail or a mask may come before them


@dataclass(frozen=True, slots=True)
class _Status:
    """The queue's response about a request, and its stage."""

    stage: Stage
    said: dict[str, Any]


class Fal:
    """Requests to models of fal, through its queue."""

    def __init__(self, connection: Connection) -> None:
        """Call fal's queue, or the one at the connection's `base_url`."""
        self._key = connection.key
        headers = {"Authorization": f"Key {connection.key}"} if connection.key else None
        self._calls = ProviderCalls(connection, base_url=BASE_URL, headers=headers)

    async def submit(self, request: ProviderRequest) -> str:
        """Submit the request to the queue; returns its id."""
        app, path = _app(request.provider_model)
        hook = f"?fal_webhook={quote(request.callback_url, safe='')}" if request.callback_url else ""
        body = await arguments(request, data_url)
        answer = await self._calls.ask(
            "POST", f"/{app}{path}{hook}", json=body, repeatable=False, slow=bool(request.inputs)
        )
        if not answer.ok:
            raise self._refusal(answer, request.prompt)
        return ref_in(answer, "request_id")

    async def results(self, ref: str | None, request: ProviderRequest) -> AsyncGenerator[Result]:
        """Poll until the request is completed, then fetch its result and files."""
        at = _address(ref, request.provider_model)
        polls = pauses()
        while (status := await self._status(at, request)).stage is Stage.RUNS:
            yield Pending(_progress(status.said))
            await request.pause(next(polls))
        if status.stage is not Stage.SUCCEEDED:
            raise await self._ended_as(status.said, at, request.prompt)
        answer = await self._result(at, request.prompt, failed=bool(status.said.get("error")))
        files = _outputs(answer.document(), answer.url)
        if request.kind is MediaKind.TEXT:
            files = texts_in(answer.document(), len(request.job_indices or request.indices)) or files
        async with aclosing(fetched(self._calls, files, request, _reported(status.said, answer))) as outputs:
            async for output in outputs:
                yield output

    async def cancel(self, ref: str, provider_model: str) -> None:
        """Request a stop; a request that is completed or unknown counts as stopped."""
        await stop(self._calls, "PUT", f"{_address(ref, provider_model)}/cancel", ended_already=_ENDED_ALREADY)

    async def close(self) -> None:
        """Close the session."""
        await self._calls.close()

    async def _status(self, at: str, request: ProviderRequest) -> _Status:
        answer = await poll(self._calls, f"{at}/status?logs=1", request)
        said = answer.document()
        if not text(said.get("status")):
            raise lost("its response to a request has no `status`", answer)
        return _Status(stage_of(said["status"]), said)

    async def _result(self, at: str, prompt: str, *, failed: bool) -> ProviderResponse:
        """The result of a completed request. `failed`: its status said so, and the response is its error."""
        answer = await self._calls.ask("GET", at, repeatable=True, slow=True, bytes_max=POLL_BYTES_MAX)
        if answer.ok:
            return answer
        if answer.status in GONE and not _is_of_the_job(answer):
            raise gone(answer)
        if failed or _is_of_the_job(answer):
            raise self._failure(answer, prompt)
        raise self._calls.refusal(answer, private=prompt)

    async def _ended_as(self, said: dict[str, Any], at: str, prompt: str) -> ProviderError:
        """The error for a request that ended with a status other than COMPLETED: FAILED, or an unknown word.

        The reason may be in the status or the result; even without one, the request has ended.
        """
        try:
            answer = await self._calls.ask("GET", at, repeatable=True, bytes_max=POLL_BYTES_MAX)
        except ProviderError:
            documents: list[object] = [said]
        else:
            if not answer.ok and _is_of_the_job(answer):
                return self._failure(answer, prompt)
            documents = [said, answer.json()]
        messages = [words_of(each, key=self._key, private=prompt) for each in documents]
        detail = f"it ended as {'; '.join(filter(None, messages))}"
        return Moderated(detail) if any(map(_is_moderated, documents)) else ProviderFailed(detail)

    def _refusal(self, answer: ProviderResponse, prompt: str) -> ProviderError:
        """The error for a rejected submit."""
        refusal = self._calls.refusal(answer, private=prompt)
        return (
            Moderated(refusal.detail)
            if isinstance(refusal, ProviderRejected) and _is_moderated(answer.json())
            else refusal
        )

    def _failure(self, answer: ProviderResponse, prompt: str) -> ProviderError:
        """The error for a failed job, from the response of its model or runner."""
        words = words_of(answer.json(), key=self._key, private=prompt)
        detail = f"it ended with {answer.status}{f': {words}' if words else ''}"
        document = answer.json()
        if is_moderated(document) or (not answer.broken and _is_moderated(document)):
            return Moderated(detail)
        may_succeed = answer.headers.get("X-Fal-Retryable", "").lower() == "true"
        at_fault = answer.status in _REQUEST_AT_FAULT and not may_succeed
        return ProviderRejected(detail) if at_fault else ProviderFailed(detail)


def _app(provider_model: str) -> tuple[str, str]:
    """The app, and the path below it, which only a submit uses."""
    parts = _APP.fullmatch(provider_model)
    if parts is None:
        raise ProviderNotSetUp(f"`provider_model` is {provider_model!r}; it must be owner/app or owner/app/path")
    return parts[1], parts[2]


def _address(ref: str | None, provider_model: str) -> str:
    return f"/{_app(provider_model)[0]}/requests/{checked(ref)}"


def _is_of_the_job(answer: ProviderResponse) -> bool:
    """Whether an error is the job's result, and not an error of this call.

    A model's error has a list of details, the queue's an `error_type`.
    """
    document = answer.json()
    if not isinstance(document, dict):
        return False
    return isinstance(document.get("detail"), list) or bool(document.get("error_type"))


def _is_moderated(document: object) -> bool:
    """Whether an error means moderation: by its type or its message."""
    messages = [document.get(name) for name in ("detail", "error")] if isinstance(document, dict) else []
    return is_moderated(document) or any(MODERATED.search(text(each)) for each in messages)


def _progress(status: dict[str, Any]) -> float | None:
    logs = status.get("logs")
    lines = [each.get("message") for each in logs if isinstance(each, dict)] if isinstance(logs, list) else []
    return progress_of("\n".join(line for line in lines if isinstance(line, str)))


def _reported(status: dict[str, Any], answer: ProviderResponse) -> dict[Unit, object]:
    """What fal reports of a request's use.

    The units that it bills, whatever they are for the model; how long the model ran; and a language model's tokens.
    """
    result = answer.document()
    reported = figures_in(status.get("metrics"), {Unit.GPU_SECONDS: ("inference_time",)})
    reported |= figures_in(result.get("timings"), {Unit.GPU_SECONDS: ("inference",)})
    reported |= usage_in(result.get("usage"))
    billed = number_in(answer.headers.get("x-fal-billable-units"))
    return reported if billed is None else reported | {Unit.PROVIDER_CREDITS: billed}


def _outputs(result: dict[str, Any], base: URL) -> list[File]:
    """The files of a result, without those the model reports as unsafe: it has blacked them out.

    Moderated if all are unsafe.
    """
    files = list(_files({name: result[name] for name in (*_FIRST, *result) if name in result}, base))
    flags = result.get("has_nsfw_concepts")
    if isinstance(flags, bool):
        flags = [flags]
    if not isinstance(flags, list) or True not in flags:
        return files
    if all(flag is True for flag in flags):
        raise Moderated("its safety checker blacked out every output")
    images = list(_files({"images": result.get("images")}, base))
    if len(flags) != len(images):
        return files
    unsafe = {image for image, flag in zip(images, flags, strict=True) if flag is True}
    if unsafe.issuperset(files):
        raise Moderated("its safety checker blacked out every output")
    return [file for file in files if file not in unsafe]


def _files(result: object, base: URL, depth: int = 0) -> Iterator[File]:
    """Everything with a `url`, and the URLs in lists or under usual names of outputs; in order."""
    if depth > _DEPTH_MAX:
        return
    if (file := file_in(result, base)) is not None:
        yield replace(file, reported=figures_in(result, {Unit.SECONDS: ("duration",)}))
    elif isinstance(result, list | dict):
        named = result.items() if isinstance(result, dict) else [(_FIRST[0], each) for each in result]
        for name, each in named:
            if isinstance(each, str):
                if name in _FIRST and (found := address(each, base, named=False)) is not None:
                    yield File(address=found)
            else:
                yield from _files(each, base, depth + 1)
