"""The operator's own GPU server, by an API of three calls (`docs/providers.md`, with an example to start from).

```
POST   /jobs        Idempotency-Key; {model, prompt, outputs, settings, inputs, callback_url?}   → {id}
GET    /jobs/{id}   → {status: queued | running | succeeded | failed, progress?, outputs?, error?}
                      outputs: [{url | b64 | text, reported?, cost?}]; cost?: of the whole job
DELETE /jobs/{id}   stop it
```

The same key is the same job, so a submit whose response was lost is retried: there are never two jobs for one key.
"""

from __future__ import annotations

import base64
import re
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from gateway.errors import Moderated, ProviderError, ProviderFailed, ProviderRejected
from workers.providers.base import Connection, Pending, ProviderInput, ProviderRequest, Result
from workers.providers.calls import ProviderCalls, ProviderResponse, lost
from workers.providers.details import words_of
from workers.providers.figures import figures_by_unit, share_of
from workers.providers.files import File, OutputNumbering, file_in
from workers.providers.moderation import MODERATED, is_moderated
from workers.providers.stages import Stage, stage_of
from workers.providers.values import fraction, job_id, text

_PAUSES_SECONDS = (0.25, 0.5, 1, 2)  # between polls; the last one repeats
_STATES = ("failed", "queued", "running", "succeeded")
_BELOW = re.compile(r"/(?!/)")
_ERRORS: dict[str, type[ProviderError]] = {"rejected": ProviderRejected, "moderated": Moderated}
_ANSWER_BYTES_MAX = 512 * 1024 * 1024  # may contain outputs in base64


class HttpJobs:
    """A server with Farebox's own API for GPU servers."""

    def __init__(self, connection: Connection) -> None:
        """Call the server at `connection.base_url`, with its key as a bearer token if there is one."""
        key = connection.key
        self._key = key
        self._calls = ProviderCalls(connection, headers={"Authorization": f"Bearer {key}"} if key else None)

    async def submit(self, request: ProviderRequest) -> str:
        """Submit the job with this key; returns the server's id."""
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
        job = job_id(answer.document().get("id"))
        if job is None:
            raise ProviderFailed("its response to POST /jobs has no text `id`")
        return job

    async def results(self, ref: str | None, request: ProviderRequest) -> AsyncGenerator[Result]:
        """Poll until the job has ended; outputs available before that are taken at once."""
        if ref is None:
            raise ProviderFailed("a job of an http server has a ref")
        polls, ordering = 0, OutputNumbering(request)
        while True:
            answer = await self._poll(ref, request)
            job = answer.document()
            stage = self._stage(answer, job)
            files = [self._file(output, answer) for output in _outputs(job)]
            if stage is Stage.SUCCEEDED:
                files = _with_costs(files, job.get("cost"))
            async with aclosing(ordering.take(self._calls, files)) as outputs:
                async for output in outputs:
                    yield output
            if stage is Stage.FAILED:
                failure = self._failure(job, request.prompt)
                failure.cost = job.get("cost")
                raise failure
            if stage is Stage.SUCCEEDED:
                break
            yield Pending(fraction(job.get("progress")))
            await request.pause(_PAUSES_SECONDS[min(polls, len(_PAUSES_SECONDS) - 1)])
            polls += 1
        async with aclosing(ordering.rest(self._calls)) as outputs:
            async for output in outputs:
                yield output
        if not files and is_moderated(job):
            raise Moderated("it delivered nothing and reported a content filter")

    async def cancel(self, ref: str, provider_model: str) -> None:
        """Request a stop; an unknown job counts as stopped."""
        del provider_model
        answer = await self._calls.ask("DELETE", _path(ref), repeatable=True)
        if not answer.ok and answer.status not in {404, 409, 410}:
            raise self._calls.refusal(answer)

    async def close(self) -> None:
        """Close the session."""
        await self._calls.close()

    async def _poll(self, ref: str, request: ProviderRequest) -> ProviderResponse:
        answer = await self._calls.ask("GET", _path(ref), repeatable=True, slow=True, bytes_max=_ANSWER_BYTES_MAX)
        if answer.status in {404, 410}:
            raise ProviderFailed(f"it does not know the job (anymore): {answer.status}")
        if not answer.ok:
            raise self._refusal(answer, request.prompt)
        return answer

    @staticmethod
    def _stage(answer: ProviderResponse, job: dict[str, Any]) -> Stage:
        """The job's stage. An undocumented status counts if it can only mean that the job failed."""
        status = job.get("status")
        stage = stage_of(status)
        if status not in _STATES and stage is not Stage.FAILED:
            raise lost(f"its response to GET /jobs/… has no `status` of {', '.join(_STATES)}", answer)
        return stage

    @staticmethod
    def _file(output: object, answer: ProviderResponse) -> File:
        """An output of the job, with what the server reports of it; a path is relative to `base_url`, as documented."""
        file = None
        if isinstance(output, dict) and isinstance(path := output.get("url"), str) and _BELOW.match(path):
            file = File(address=path, content_type=text(output.get("content_type")))
        elif isinstance(output, dict) and isinstance(words := output.get("text"), str):
            file = File(words=text(words))
        file = file or file_in(output, answer.url)
        if file is None or not isinstance(output, dict):
            raise ProviderFailed("an output has neither `url`, `b64` nor `text`")
        return replace(file, reported=figures_by_unit(output.get("reported")), cost=output.get("cost"))

    def _refusal(self, answer: ProviderResponse, prompt: str) -> ProviderError:
        """The error for a rejected submit. Its code may say, as a job's does, that the request is at fault."""
        document = answer.json()
        if _code(document) in _ERRORS or is_moderated(document):
            return self._failure(document, prompt)
        return self._calls.refusal(answer, private=prompt)

    def _failure(self, document: object, prompt: str) -> ProviderError:
        """The error for a response with `error`: by the documented codes, or a filter's own message."""
        error = document.get("error") if isinstance(document, dict) else None
        words = words_of(error or document, key=self._key, private=prompt) or "no reason given"
        code = _code(document)
        if code in _ERRORS:
            return _ERRORS[code](words)
        refused = is_moderated(document) or (code != "failed" and MODERATED.search(_message(error)))
        return Moderated(words) if refused else ProviderFailed(words)


def _with_costs(files: Sequence[File], cost: object) -> list[File]:
    """The files of a job that ended; those without a cost of their own share what is said of the whole job."""
    return [
        file if file.cost is not None else replace(file, cost=share_of(cost, place, len(files)))
        for place, file in enumerate(files)
    ]


def _code(document: object) -> str:
    error = document.get("error") if isinstance(document, dict) else None
    return text(error.get("code")) if isinstance(error, dict) else ""


def _message(error: object) -> str:
    return text(error.get("message") if isinstance(error, dict) else error)


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
