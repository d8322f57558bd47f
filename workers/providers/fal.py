"""fal's queue.

```
POST {queue}/{owner}/{app}[/{path}]?fal_webhook=…     the model's arguments, as they are         → {request_id}
GET  {queue}/{owner}/{app}/requests/{id}/status       IN_QUEUE, IN_PROGRESS, COMPLETED
GET  {queue}/{owner}/{app}/requests/{id}              the result; or, if the job failed, its error with its status
PUT  {queue}/{owner}/{app}/requests/{id}/cancel
```

A model's path below its app is in the first address only. The namespaces `workflows/` and `comfy/` stand before the
owner, everywhere.

It knows no idempotency key: a submit whose answer is lost has failed, and is tried again `attempts_max` times at most.
What fal repeats within one job, up to ten times when a runner was lost, is left to it: that stays one job with one
bill, and a 5xx is not billed. With `x-fal-no-retry` we would only do the same from farther away.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from typing import Any
from urllib.parse import quote

from gateway.errors import (
    Moderated,
    ProviderError,
    ProviderFailed,
    ProviderNotSetUp,
    ProviderRejected,
    ProviderUnreachable,
)
from workers.providers.base import Connection, Pending, ProviderRequest, Result
from workers.providers.calls import Answer, Calls
from workers.providers.details import words_of
from workers.providers.jobs import (
    GONE,
    LOOK_BYTES_MAX,
    MODERATED,
    arguments,
    checked,
    data_url,
    fetched,
    gone,
    is_file,
    look,
    pauses,
    progress_of,
    ref_in,
    stop,
)

BASE_URL = "https://queue.fal.run"

_PART = r"(?!\.{1,2}(?![\w.-]))[\w.-]+"  # of a path: `.` and `..` lead elsewhere
_APP = re.compile(rf"((?:(?:workflows|comfy)/)?{_PART}/{_PART})((?:/{_PART})*)", re.ASCII)
_RUNS = frozenset({"IN_QUEUE", "IN_PROGRESS"})
_REQUEST_AT_FAULT = frozenset({400, 413, 415, 422})
_MODERATED_TYPES = frozenset({"content_policy_violation"})
_ENDED_ALREADY = frozenset({400, 404, 409, 410, 422})  # ALREADY_COMPLETED and NOT_FOUND: with which status is not told
_FIRST = ("images", "image", "videos", "video")  # a thumbnail or a mask may stand before them


class Fal:
    """Requests to models of fal, by its queue."""

    def __init__(self, connection: Connection) -> None:
        """Call fal's queue, or the one at the connection's `base_url`."""
        self._key = connection.key
        headers = {"Authorization": f"Key {connection.key}"} if connection.key else None
        self._calls = Calls(connection, base_url=BASE_URL, headers=headers)

    async def submit(self, request: ProviderRequest) -> str:
        """Put the request into the queue; its id."""
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
        """Look until the request is completed, then fetch its result and the files in it."""
        at = _address(ref, request.provider_model)
        looks = pauses()
        while (status := await self._status(at, request)).get("status") in _RUNS:
            yield Pending(_progress(status))
            await request.pause(next(looks))
        result = await self._result(at, request.prompt, failed=bool(status.get("error")))
        async with aclosing(fetched(self._calls, _outputs(result), request)) as outputs:
            async for output in outputs:
                yield output

    async def cancel(self, ref: str, provider_model: str) -> None:
        """Ask for a stop; a request that is completed or not known has stopped."""
        await stop(self._calls, "PUT", f"{_address(ref, provider_model)}/cancel", ended_already=_ENDED_ALREADY)

    async def close(self) -> None:
        """Close the session."""
        await self._calls.close()

    async def _status(self, at: str, request: ProviderRequest) -> dict[str, Any]:
        status = await look(self._calls, f"{at}/status?logs=1", request)
        if status.get("status") not in {*_RUNS, "COMPLETED"}:
            raise ProviderUnreachable("it answered a status that it does not have")
        return status

    async def _result(self, at: str, prompt: str, *, failed: bool) -> dict[str, Any]:
        """The result of a completed request. `failed`: its status said so, and what is answered now is its error."""
        answer = await self._calls.ask("GET", at, repeatable=True, slow=True, bytes_max=LOOK_BYTES_MAX)
        if answer.ok:
            return answer.document()
        if answer.status in GONE and not _is_of_the_job(answer):
            raise gone(answer)
        if failed or _is_of_the_job(answer):
            raise self._failure(answer, prompt)
        raise self._calls.refusal(answer, private=prompt)

    def _refusal(self, answer: Answer, prompt: str) -> ProviderError:
        """The error for a submit that was not taken."""
        refusal = self._calls.refusal(answer, private=prompt)
        return Moderated(refusal.detail) if isinstance(refusal, ProviderRejected) and _is_moderated(answer) else refusal

    def _failure(self, answer: Answer, prompt: str) -> ProviderError:
        """The error for a job that failed, by the answer that its model or its runner gave."""
        words = words_of(answer.json(), key=self._key, private=prompt)
        detail = f"it ended with {answer.status}{f': {words}' if words else ''}"
        if _is_moderated(answer):
            return Moderated(detail)
        may_succeed = answer.headers.get("X-Fal-Retryable", "").lower() == "true"
        at_fault = answer.status in _REQUEST_AT_FAULT and not may_succeed
        return ProviderRejected(detail) if at_fault else ProviderFailed(detail)


def _app(provider_model: str) -> tuple[str, str]:
    """The app, and the path below it that only a submit has."""
    parts = _APP.fullmatch(provider_model)
    if parts is None:
        raise ProviderNotSetUp(f"`provider_model` is {provider_model!r}; fal has owner/app and owner/app/path")
    return parts[1], parts[2]


def _address(ref: str | None, provider_model: str) -> str:
    return f"/{_app(provider_model)[0]}/requests/{checked(ref)}"


def _is_of_the_job(answer: Answer) -> bool:
    """Whether an error is what the job ended with, and not that of whoever was asked for it just now.

    A model's has a list of details, the queue's an `error_type`.
    """
    document = answer.json()
    if not isinstance(document, dict):
        return False
    return isinstance(document.get("detail"), list) or bool(document.get("error_type"))


def _is_moderated(answer: Answer) -> bool:
    document = answer.json()
    details = document.get("detail") if isinstance(document, dict) else None
    if isinstance(details, str):
        return not answer.broken and MODERATED.search(details) is not None
    return isinstance(details, list) and any(
        isinstance(each, dict) and each.get("type") in _MODERATED_TYPES for each in details
    )


def _progress(status: dict[str, Any]) -> float | None:
    logs = status.get("logs")
    lines = [each.get("message") for each in logs if isinstance(each, dict)] if isinstance(logs, list) else []
    return progress_of("\n".join(line for line in lines if isinstance(line, str)))


def _outputs(result: dict[str, Any]) -> list[str]:
    """The files of a result, without those of which the model says that they are not safe: it has blackened them.

    Moderated if it says so of all.
    """
    files = list(_files({name: result[name] for name in (*_FIRST, *result) if name in result}))
    images, flags = list(_files({"images": result.get("images")})), result.get("has_nsfw_concepts")
    if not isinstance(flags, list) or len(flags) != len(images):
        return files
    unsafe = {image for image, flag in zip(images, flags, strict=True) if flag is True}
    if unsafe and unsafe.issuperset(files):
        raise Moderated("its safety checker blackened every output")
    return [file for file in files if file not in unsafe]


def _files(result: object) -> Iterator[str]:
    if isinstance(result, list):
        for each in result:
            yield from [each] if is_file(each) else _files(each)
    elif isinstance(result, dict):
        for name, each in result.items():
            if is_file(each):
                if name == "url" or name in _FIRST:
                    yield each
            else:
                yield from _files(each)
