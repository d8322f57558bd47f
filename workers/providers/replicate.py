"""Replicate, and servers with its API (version 1).

```
POST /v1/models/{owner}/{name}/predictions   {input, webhook?, webhook_events_filter?}      owner/name
POST /v1/predictions                         the same with `version`                        owner/name:version, version
GET  /v1/predictions/{id}                    until succeeded, failed, canceled, aborted
POST /v1/predictions/{id}/cancel
POST /v1/files                               inputs that are too large for the request
```

It has no idempotency keys: a submit whose response is lost counts as failed, and is retried at most `attempts_max`
times.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import aiohttp
from yarl import URL

from gateway.errors import Moderated, ProviderError, ProviderFailed, ProviderNotSetUp
from gateway.kinds import MediaKind
from gateway.metering import Unit
from workers.providers.base import Connection, Pending, ProviderInput, ProviderRequest, Result
from workers.providers.calls import ProviderCalls, ProviderResponse, lost
from workers.providers.details import presentable, words_of
from workers.providers.figures import figures_in, usage_in
from workers.providers.files import File, fetched
from workers.providers.jobs import (
    POLL_BYTES_MAX,
    arguments,
    checked,
    data_url,
    pauses,
    poll,
    progress_of,
    ref_in,
    stop,
)
from workers.providers.moderation import MODERATED, is_moderated
from workers.providers.stages import Stage, stage_of
from workers.providers.texts import texts_in
from workers.providers.values import address, nodes, text

BASE_URL = "https://api.replicate.com"

_DATA_URL_BYTES_MAX = 256 * 1024  # for larger ones, its documentation asks for a file
_PART = r"(?!\.{1,2}(?![\w.-]))[\w.-]+"  # a path segment, except `.` and `..`
_MODEL = re.compile(rf"({_PART})/({_PART})", re.ASCII)
_VERSION = re.compile(r"(?:[\w.-]+/[\w.-]+:)?([\w-]+)", re.ASCII)
_ENDED_ALREADY = frozenset({404, 409, 410, 422})
_METRICS = {
    Unit.GPU_SECONDS: ("predict_time",),
    Unit.SECONDS: ("video_output_duration_seconds", "audio_output_duration_seconds"),
    Unit.CHARACTERS: ("character_output_count", "character_input_count"),
}
_TOKENS = {"input_tokens": "token_input_count", "output_tokens": "token_output_count"}
_OLDER_TOKENS = {"input_tokens": "input_token_count", "output_tokens": "output_token_count"}
_STOPPED = {
    "canceled": "it was canceled at Replicate",
    "aborted": "Replicate dropped it before it started",
}


class Replicate:
    """Predictions of models on Replicate."""

    def __init__(self, connection: Connection) -> None:
        """Call Replicate, or the server at the connection's `base_url`, with or without a trailing `/v1`."""
        if connection.base_url is not None:
            connection = replace(connection, base_url=connection.base_url.removesuffix("/v1"))
        self._key = connection.key
        headers = {"Authorization": f"Bearer {connection.key}"} if connection.key else None
        self._calls = ProviderCalls(connection, base_url=BASE_URL, headers=headers)

    async def submit(self, request: ProviderRequest) -> str:
        """Create the prediction; returns its id."""
        path, version = _target(request.provider_model)
        body: dict[str, Any] = {"input": await arguments(request, self._address_of), **version}
        if request.callback_url:
            body |= {"webhook": request.callback_url, "webhook_events_filter": ["completed"]}
        answer = await self._calls.ask("POST", path, json=body, repeatable=False, bytes_max=POLL_BYTES_MAX)
        if not answer.ok:
            raise self._refusal(answer, request.prompt)
        return ref_in(answer, "id")

    async def results(self, ref: str | None, request: ProviderRequest) -> AsyncGenerator[Result]:
        """Poll until the prediction has ended, then fetch its files: earlier ones may be previews."""
        at, polls = _address(ref), pauses()
        while True:
            answer = await poll(self._calls, at, request)
            prediction = answer.document()
            stage = stage_of(prediction.get("status"))
            if stage is not Stage.RUNS:
                break
            yield Pending(progress_of(prediction.get("logs")))
            await request.pause(next(polls))
        if stage is not Stage.SUCCEEDED:
            raise self._failure(answer, prediction, request.prompt)
        files = list(_files(prediction.get("output"), answer.url))
        if request.kind is MediaKind.TEXT:
            files = texts_in(prediction.get("output"), len(request.job_indices or request.indices)) or files
        reported = _reported(prediction.get("metrics"))
        async with aclosing(fetched(self._calls, files, request, reported)) as outputs:
            async for output in outputs:
                yield output

    async def cancel(self, ref: str, provider_model: str) -> None:
        """Request a stop; a prediction that has ended or is unknown counts as stopped."""
        del provider_model
        await stop(self._calls, "POST", f"{_address(ref)}/cancel", ended_already=_ENDED_ALREADY)

    async def close(self) -> None:
        """Close the session."""
        await self._calls.close()

    async def _address_of(self, given: ProviderInput) -> str:
        """A URL for an input's bytes: a `data:` URL, or a file uploaded to Replicate, which keeps it for a day."""
        if len(given.data or b"") <= _DATA_URL_BYTES_MAX:
            return await data_url(given)
        form = aiohttp.FormData()
        form.add_field("content", given.data, content_type=given.content_type, filename="input")
        answer = await self._calls.ask("POST", "/v1/files", form=form, repeatable=True, slow=True)
        if not answer.ok:
            raise self._calls.refusal(answer)
        urls = answer.document().get("urls")
        found = address(urls.get("get"), answer.url, named=True) if isinstance(urls, dict) else None
        if found is None:
            raise ProviderFailed("its response to a file upload has no URL")
        return found

    def _refusal(self, answer: ProviderResponse, prompt: str) -> ProviderError:
        refusal = self._calls.refusal(answer, private=prompt)
        document = answer.json()
        message = text(document.get("detail")) if isinstance(document, dict) else ""
        if answer.status in {400, 422} and (MODERATED.search(message) or is_moderated(document)):
            return Moderated(refusal.detail)
        return refusal

    def _failure(self, answer: ProviderResponse, prediction: dict[str, Any], prompt: str) -> ProviderError:
        """The error for a prediction that ended without a result, or a response without its status."""
        status = text(prediction.get("status"))
        if not status:
            return lost("its response to a prediction has no `status`", answer)
        if status in _STOPPED:
            return ProviderFailed(_STOPPED[status])
        error = prediction.get("error")
        message = text(error) or words_of(error, key=self._key, private=prompt) or f"it ended as {status[:40]!r}"
        detail = presentable(message, key=self._key, private=prompt)
        return Moderated(detail) if MODERATED.search(message) or is_moderated(error) else ProviderFailed(detail)


def _target(provider_model: str) -> tuple[str, dict[str, str]]:
    """The path where a model's predictions are created, and the version to send."""
    if model := _MODEL.fullmatch(provider_model):
        return f"/v1/models/{model[1]}/{model[2]}/predictions", {}
    if version := _VERSION.fullmatch(provider_model):
        return "/v1/predictions", {"version": version[1]}
    raise ProviderNotSetUp(f"`provider_model` is {provider_model!r}; it must be owner/name or owner/name:version")


def _address(ref: str | None) -> str:
    return f"/v1/predictions/{checked(ref)}"


def _reported(metrics: object) -> dict[Unit, object]:
    """What a prediction reports of its use: the seconds it ran, and what Replicate bills its official models by."""
    reported = figures_in(metrics, _METRICS)
    if isinstance(metrics, dict):
        tokens = usage_in({name: metrics.get(metric) for name, metric in _TOKENS.items()})
        reported |= tokens or usage_in({name: metrics.get(metric) for name, metric in _OLDER_TOKENS.items()})
    return reported


def _files(output: object, base: URL) -> Iterator[File]:
    """The files of an output from `base`: a single one, a list, or an object with files among other values."""
    for name, value in nodes(output):
        if (found := address(value, base, named=name == "url")) is not None:
            yield File(address=found)
