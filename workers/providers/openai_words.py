"""Speech and text from OpenAI's API, and compatible servers: LocalAI, vLLM, gateways.

```
POST /audio/speech       {model, input, voice, …}   → the file
POST /chat/completions   {model, messages, n, …}    → {choices: [{message: {content}}], usage}
```

An argument `system` of the rate card becomes the first message: what the model is to do with the prompt.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from typing import Any

from gateway.errors import Moderated, ProviderFailed, ProviderRejected
from gateway.kinds import MediaKind
from workers.providers.base import Connection, ProgressReport, ProviderRequest, Rendered, Result
from workers.providers.calls import OUTPUT_BYTES_MAX, ProviderCalls, ProviderResponse
from workers.providers.figures import cost_in, share_of, shared, usage_in
from workers.providers.openai_images import OPENAI_URL, OpenAiImages, refusal_of
from workers.providers.values import text

_VOICE = "alloy"  # required by OpenAI, and the first of its voices
_PROMPT = "prompt"  # what our prompt is called unless the card says otherwise; here it has other names


class OpenAi:
    """Images, speech and text; which one is what the request's tool makes."""

    def __init__(self, connection: Connection) -> None:
        """Call OpenAI, or the compatible server at `connection.base_url`."""
        headers = {"Authorization": f"Bearer {connection.key}"} if connection.key else None
        self._calls = ProviderCalls(connection, base_url=OPENAI_URL, headers=headers)
        self._images = OpenAiImages(connection)

    async def submit(self, request: ProviderRequest) -> None:
        """Nothing: there is no job to resume, and `results` makes the call."""

    async def results(self, ref: str | None, request: ProviderRequest) -> AsyncGenerator[Result]:
        """Request the missing outputs."""
        match request.kind:
            case MediaKind.AUDIO:
                outputs = self._speech(request)
            case MediaKind.TEXT:
                outputs = self._texts(request)
            case _:
                outputs = self._images.results(ref, request)
        async with aclosing(outputs):
            async for output in outputs:
                yield output

    async def cancel(self, ref: str, provider_model: str) -> None:
        """Nothing: there is no job, and closing `results` aborts the call."""

    async def close(self) -> None:
        """Close the sessions."""
        await self._calls.close()
        await self._images.close()

    async def _speech(self, request: ProviderRequest) -> AsyncGenerator[Result]:
        """One call for each output."""
        _refuse_inputs(request)
        name = "input" if request.names.prompt == _PROMPT else request.names.prompt
        fields = {"voice": _VOICE, **request.arguments, "model": request.provider_model, name: request.prompt}
        for place, index in enumerate(request.indices):
            yield ProgressReport(place / len(request.indices))
            answer = await self._ask(request, "/audio/speech", fields, index)
            if not answer.ok or answer.headers.get("Content-Type", "").startswith("application/json"):
                raise refusal_of(self._calls, answer, await asyncio.to_thread(answer.json), request.prompt)
            yield Rendered(index=index, data=answer.body)

    async def _texts(self, request: ProviderRequest) -> AsyncGenerator[Result]:
        """One call for all outputs; if fewer arrive than requested, those are all."""
        _refuse_inputs(request)
        system = request.arguments.get("system")
        first = [{"role": "system", "content": system}] if isinstance(system, str) else []
        fields: dict[str, Any] = {
            **{name: value for name, value in request.arguments.items() if name != "system"},
            "model": request.provider_model,
            "messages": [*first, {"role": "user", "content": request.prompt}],
        }
        if len(request.indices) > 1:
            fields["n"] = len(request.indices)
        answer = await self._ask(request, "/chat/completions", fields, request.indices[0])
        document = answer.json()
        if not answer.ok or not isinstance(document, dict) or document.get("error"):
            raise refusal_of(self._calls, answer, document, request.prompt)
        choices = document.get("choices")
        said = [_content(choice) for choice in choices] if isinstance(choices, list) else []
        usage, made = document.get("usage"), min(len(said), len(request.indices))
        for place, (index, words) in enumerate(zip(request.indices, said, strict=False)):
            yield Rendered(
                index=index,
                data=words.encode(),
                reported=shared(usage_in(usage), place, made),
                cost=share_of(cost_in(usage), place, made),
            )
        if not said:
            raise ProviderFailed("its response has no choices")

    async def _ask(
        self, request: ProviderRequest, path: str, fields: Mapping[str, Any], index: int
    ) -> ProviderResponse:
        headers = {"Idempotency-Key": f"{request.idempotency_key}:{index}"}
        return await self._calls.ask(
            "POST", path, json=fields, headers=headers, repeatable=False, slow=True, bytes_max=OUTPUT_BYTES_MAX
        )


def _content(choice: object) -> str:
    """A choice's text, which may be in parts; Moderated if a filter removed it."""
    message = choice.get("message") if isinstance(choice, dict) else None
    content = message.get("content") if isinstance(message, dict) else None
    if isinstance(content, Sequence) and not isinstance(content, str):
        content = "".join(text(part.get("text")) for part in content if isinstance(part, dict))
    if not content and (
        (isinstance(message, dict) and message.get("refusal"))
        or (isinstance(choice, dict) and choice.get("finish_reason") == "content_filter")
    ):
        raise Moderated("it refused, or its filter removed the text")
    return text(content)


def _refuse_inputs(request: ProviderRequest) -> None:
    if request.inputs:
        raise ProviderRejected("neither speech nor text takes inputs")
