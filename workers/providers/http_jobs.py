"""Somebody's own GPU server, by a contract of three calls (`docs/providers.md`, with an example to start from).

```
POST   /jobs        Idempotency-Key; {model, prompt, outputs, settings, inputs, callback_url?}   → {id}
GET    /jobs/{id}   → {status: queued | running | succeeded | failed, progress?, outputs?: [{url | b64}], error?}
DELETE /jobs/{id}   stop it
```

The same key is the same job, so a submit whose answer was lost is asked again: never two jobs for one key.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncGenerator, Sequence
from typing import Any
from urllib.parse import quote

from gateway.errors import Moderated, ProviderError, ProviderFailed, ProviderRejected
from workers.providers.base import Connection, Pending, ProviderInput, ProviderRequest, Rendered, Result
from workers.providers.calls import Answer, Calls, decoded, lost
from workers.providers.details import words_of

_PAUSES_SECONDS = (0.25, 0.5, 1, 2)  # between looks; the last one stays
_ID_LENGTH_MAX = 500
_STATES = frozenset({"queued", "running", "succeeded", "failed"})
_ERRORS: dict[str, type[ProviderError]] = {"rejected": ProviderRejected, "moderated": Moderated}
_ANSWER_BYTES_MAX = 512 * 1024 * 1024  # outputs may be in it, in base64


class HttpJobs:
    """A server that speaks Farebox's own contract."""

    def __init__(self, connection: Connection) -> None:
        """Call the server at `connection.base_url`, with its key as a bearer token if there is one."""
        key = connection.key
        self._key = key
        self._calls = Calls(connection, headers={"Authorization": f"Bearer {key}"} if key else None)

    async def submit(self, request: ProviderRequest) -> str:
        """Ask for the job of this key; the server's id for it."""
        answer = await self._calls.ask(
            "POST",
            "/jobs",
            json=_job(request),
            headers={"Idempotency-Key": request.idempotency_key},
            repeatable=True,
            slow=bool(request.inputs),
        )
        if not answer.ok:
            raise self._refusal(answer, request.prompt)
        job = answer.document().get("id")
        if isinstance(job, int) and not isinstance(job, bool):
            job = str(job)
        if not isinstance(job, str) or not 0 < len(job) <= _ID_LENGTH_MAX:
            raise ProviderFailed("it answered POST /jobs without an `id` of text")
        return job

    async def results(self, ref: str | None, request: ProviderRequest) -> AsyncGenerator[Result]:
        """Look until the job has ended; outputs that are there before that are taken at once."""
        if ref is None:
            raise ProviderFailed("a job of an http server has a ref")
        taken = looks = 0
        while True:
            job = await self._look(ref, request)
            outputs = _outputs(job)
            # More than the job was asked for are left there.
            for index, output in list(zip(request.job_indices or request.indices, outputs, strict=False))[taken:]:
                if index in request.indices:
                    yield Rendered(index=index, data=await self._output(output))
            taken = max(taken, len(outputs))
            if job["status"] == "failed":
                raise self._failure(job.get("error"), request.prompt)
            if job["status"] == "succeeded":
                return
            yield Pending(_fraction(job.get("progress")))
            await request.pause(_PAUSES_SECONDS[min(looks, len(_PAUSES_SECONDS) - 1)])
            looks += 1

    async def cancel(self, ref: str, provider_model: str) -> None:
        """Ask for a stop; a job that is not known has stopped."""
        del provider_model
        answer = await self._calls.ask("DELETE", _path(ref), repeatable=True)
        if not answer.ok and answer.status not in {404, 409, 410}:
            raise self._calls.refusal(answer)

    async def close(self) -> None:
        """Close the session."""
        await self._calls.close()

    async def _look(self, ref: str, request: ProviderRequest) -> dict[str, Any]:
        answer = await self._calls.ask("GET", _path(ref), repeatable=True, slow=True, bytes_max=_ANSWER_BYTES_MAX)
        if answer.status in {404, 410}:
            raise ProviderFailed(f"it does not know its job (any more): {answer.status}")
        if not answer.ok:
            raise self._refusal(answer, request.prompt)
        job = answer.document()
        if job.get("status") not in _STATES:
            raise lost(f"it answered GET /jobs/… without a `status` of {', '.join(sorted(_STATES))}", answer)
        return job

    async def _output(self, output: object) -> bytes:
        if isinstance(output, dict):
            if isinstance(output.get("b64"), str):
                return await asyncio.to_thread(decoded, output["b64"])
            if isinstance(output.get("url"), str):
                return await self._calls.fetch(output["url"])
        raise ProviderFailed("an output has neither `url` nor `b64`")

    def _refusal(self, answer: Answer, prompt: str) -> ProviderError:
        """A refusal may say by its code, as an error of a job does, that it is about the request."""
        document = answer.json()
        error = document.get("error") if isinstance(document, dict) else None
        if isinstance(error, dict) and error.get("code") in _ERRORS:
            return self._failure(error, prompt)
        return self._calls.refusal(answer, private=prompt)

    def _failure(self, error: object, prompt: str) -> ProviderError:
        code = error.get("code") if isinstance(error, dict) else None
        words = words_of(error, key=self._key, private=prompt) or "it gives no reason"
        return _ERRORS.get(str(code), ProviderFailed)(words)


def _job(request: ProviderRequest) -> dict[str, Any]:
    job: dict[str, Any] = {
        "model": request.provider_model,
        "prompt": request.prompt,
        "outputs": len(request.job_indices or request.indices),
        "settings": dict(request.arguments),
        "inputs": [_input(each) for each in request.inputs],
    }
    return job | ({"callback_url": request.callback_url} if request.callback_url else {})


def _input(given: ProviderInput) -> dict[str, str]:
    if given.data is None:
        return {"kind": given.kind, "url": given.url or ""}
    content_type = given.content_type or "application/octet-stream"
    return {"kind": given.kind, "content_type": content_type, "b64": base64.b64encode(given.data).decode()}


def _path(ref: str) -> str:
    return f"/jobs/{quote(ref, safe='')}"


def _outputs(job: dict[str, Any]) -> Sequence[object]:
    outputs = job.get("outputs")
    return outputs if isinstance(outputs, list) else ()


def _fraction(progress: object) -> float | None:
    if isinstance(progress, bool) or not isinstance(progress, int | float):
        return None
    return min(max(float(progress), 0.0), 1.0)
