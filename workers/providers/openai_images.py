"""OpenAI's Images API, and compatible servers: LocalAI, vLLM, gateways.

```
POST /images/generations   {model, prompt, n, …}                        → {data: [{b64_json | url}]}
POST /images/edits         the same as a form, with `image` files       → the same
```

The API is synchronous: there are no jobs, so nothing can be resumed or stopped. A lost response may have been billed;
it counts as failed, and is retried at most `attempts_max` times.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from typing import Any

import aiohttp

from gateway.errors import (
    Moderated,
    ProviderError,
    ProviderFailed,
    ProviderNotSetUp,
    ProviderRejected,
    ProviderUnreachable,
)
from gateway.outside.addresses import AddressGuard
from workers.providers.base import Connection, ProgressReport, ProviderRequest, Rendered, Result
from workers.providers.calls import ProviderCalls, ProviderResponse
from workers.providers.figures import cost_in, share_of, shared, usage_in
from workers.providers.files import File, bytes_of, file_in
from workers.providers.inputs import InputBytes, Inputs
from workers.providers.moderation import MODERATED, is_moderated
from workers.providers.values import text

OPENAI_URL = "https://api.openai.com/v1"

_N_MAX = 10  # per call
_ANSWER_BYTES_MAX = 512 * 1024 * 1024  # ten 4K images in base64
_FETCH_PAUSES_SECONDS = (1, 2, 5, 10, 30)
_MAY_BE_MODERATED = frozenset({200, 400, 403, 422, 451})  # 403: Stability AI
_OUT_OF_MONEY = frozenset({"insufficient_quota", "billing_hard_limit_reached", "billing_not_active"})


class OpenAiImages:
    """Images from OpenAI's Images API."""

    def __init__(self, connection: Connection, guard: AddressGuard | None = None) -> None:
        """Call OpenAI, or the compatible server at `connection.base_url`. `guard` restricts where inputs come from."""
        key = connection.key
        headers = {"Authorization": f"Bearer {key}"} if key else None
        self._calls = ProviderCalls(connection, base_url=OPENAI_URL, headers=headers)
        self._inputs = Inputs(guard or connection.input_guard)

    async def submit(self, request: ProviderRequest) -> None:
        """Nothing: there is no job to resume, and `results` makes the call."""

    async def results(self, ref: str | None, request: ProviderRequest) -> AsyncGenerator[Result]:
        """Request the outputs, ten at a time; if fewer arrive than requested, those are all."""
        del ref
        if any(given.kind != "image" for given in request.inputs):
            raise ProviderRejected("the Images API accepts only images")
        inputs = [await self._inputs.read(given) for given in request.inputs]
        for start in range(0, len(request.indices), _N_MAX):
            indices = request.indices[start : start + _N_MAX]
            yield ProgressReport(start / len(request.indices))
            files, usage = await self._ask(request, indices, inputs)
            made = min(len(files), len(indices))
            for place, (index, file) in enumerate(zip(indices, files, strict=False)):
                yield Rendered(
                    index=index,
                    data=await self._picture(file),
                    reported=shared(usage_in(usage), place, made),
                    cost=share_of(cost_in(usage), place, made),
                )

    async def cancel(self, ref: str, provider_model: str) -> None:
        """Nothing: there is no job, and closing `results` aborts the call."""

    async def close(self) -> None:
        """Close the sessions."""
        await self._calls.close()
        await self._inputs.close()

    async def _ask(
        self, request: ProviderRequest, indices: Sequence[int], inputs: Sequence[InputBytes]
    ) -> tuple[list[File], object]:
        """The images in the response, and their `usage` together."""
        fields: dict[str, Any] = {
            **request.arguments,
            "model": request.provider_model,
            request.names.prompt: request.prompt,
            request.names.outputs or "n": len(indices),
        }
        answer = await self._calls.ask(
            "POST",
            "/images/edits" if inputs else "/images/generations",
            json=None if inputs else fields,
            form=_form(fields, inputs) if inputs else None,
            # OpenAI itself ignores this header; gateways in front of it may honour it, so that a retry is not billed
            # twice.
            headers={"Idempotency-Key": f"{request.idempotency_key}:{indices[0]}"},
            repeatable=False,
            slow=True,
            bytes_max=_ANSWER_BYTES_MAX,
        )
        document = await asyncio.to_thread(answer.json)
        if not answer.ok or (isinstance(document, dict) and document.get("error")):
            raise refusal_of(self._calls, answer, document, request.prompt)
        data = document.get("data") if isinstance(document, dict) else None
        entries = [data] if isinstance(data, dict) else data
        files = [file_in(entry, answer.url) for entry in entries] if isinstance(entries, list) else []
        usable = [file for file in files if file is not None]
        if not usable and is_moderated(document):
            raise Moderated("its moderation removed the output")
        if not isinstance(entries, list):
            raise ProviderFailed("its response has no `data` list")
        if not usable:
            raise ProviderFailed(f"its response has {len(entries)} entries but no image")
        return usable, document.get("usage")

    async def _picture(self, file: File) -> bytes:
        """An image's bytes. The download is retried while its server is unreachable: the image is already billed.

        Finally raises ProviderFailed, which is retried at most `attempts_max` times. With ProviderUnreachable the
        worker would call `results` again and again, and each call buys another image.
        """
        for pause in _FETCH_PAUSES_SECONDS:
            try:
                return await bytes_of(self._calls, file)
            except ProviderUnreachable:
                await asyncio.sleep(pause)
        try:
            return await bytes_of(self._calls, file)
        except ProviderUnreachable as error:
            raise ProviderFailed(f"an image cannot be fetched: {error.detail}") from None


def refusal_of(calls: ProviderCalls, answer: ProviderResponse, document: object, prompt: str) -> ProviderError:
    """The error for a response with an error, whatever its status."""
    error = document.get("error") if isinstance(document, dict) else None
    said = {str(error.get(name)).lower() for name in ("code", "type")} if isinstance(error, dict) else set()
    refusal = calls.refusal(answer, private=prompt)
    if is_moderated(error) or (answer.status in _MAY_BE_MODERATED and MODERATED.search(_sentence(error))):
        return Moderated(refusal.detail)
    if said & _OUT_OF_MONEY:  # a 429 that waiting does not fix
        return ProviderNotSetUp(f"its account is out of funds: {refusal.detail}")
    return ProviderFailed(refusal.detail) if answer.ok else refusal


def _sentence(error: object) -> str:
    return text(error.get("message") if isinstance(error, dict) else error)


def _form(fields: dict[str, Any], inputs: Sequence[InputBytes]) -> aiohttp.FormData:
    """The request as a form: numbers and flags as in JSON, one file as `image`, several as `image[]`."""
    form = aiohttp.FormData()
    for name, value in fields.items():
        for part, written in _parts(name, value):
            form.add_field(part, written)
    for given in inputs:
        part = "image" if len(inputs) == 1 else "image[]"
        form.add_field(part, given.data, content_type=given.content_type, filename=given.name)
    return form


def _parts(name: str, value: Any) -> list[tuple[str, str]]:
    """A value as form fields: `a[b]` for objects, `a[]` for lists, as in OpenAI's own client."""
    if isinstance(value, dict):
        return [part for key, each in value.items() for part in _parts(f"{name}[{key}]", each)]
    if isinstance(value, list):
        return [part for each in value for part in _parts(f"{name}[]", each)]
    return [(name, str(value).lower() if isinstance(value, bool) else str(value))]
