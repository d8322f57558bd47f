"""`/openai/v1/audio/speech`: the text is the prompt, and the response is the file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from aiohttp import web

from gateway.api.errors import NotFound
from gateway.api.services import HUB, OUTPUTS
from gateway.domain import FINAL_STATES
from gateway.errors import OutputMissing
from gateway.facades.calls import answered, created_headers, models_of, order
from gateway.facades.held import QUIET_SECONDS, Generation, ended, send_whole, stopping
from gateway.facades.openai.errors import not_made
from gateway.facades.openai.parameters import Asked, body_of, read_asked, read_timeout, word
from gateway.facades.parameters import refused, retries_of
from gateway.kinds import MediaKind
from gateway.pricing.measures import PROMPT_MAX_CHARACTERS

_PACKAGE_QUIET_SECONDS = 20.0  # the packages send their timeout; proxies usually have 60
_ELSEWHERE = ("stream_format",)


async def speech(request: web.Request) -> web.StreamResponse:
    """`POST /openai/v1/audio/speech`."""
    asked = _as_ours(await read_asked(request, {}))
    word(asked.given, "stream_format", ("audio",))
    default = next(iter(models_of(request, MediaKind.AUDIO)), "")
    body = body_of(request, asked, MediaKind.AUDIO, default_model=default, elsewhere=_ELSEWHERE)
    ordered = await order(request, body, digest=asked.digest, retries=retries_of(request) or 0)
    timeout = read_timeout(request)
    quiet_seconds = QUIET_SECONDS if timeout is None else min(_PACKAGE_QUIET_SECONDS, timeout / 2)
    headers = created_headers(ordered)
    generation = await ended(request, ordered.generation, seconds=quiet_seconds)
    if generation.state in FINAL_STATES:
        return await _answer(request, generation, headers)
    if request.app[HUB].closed:
        raise stopping()
    return await _answer_late(request, generation, headers)


def _as_ours(asked: Asked) -> Asked:
    """Their names for the prompt and the voice, as we have them."""
    given = dict(asked.given)
    if "input" not in given:
        raise refused("input", "is required")
    if "prompt" in given:
        raise refused("prompt", "is not a parameter of this call: send `input`")
    if "n" in given:
        raise refused("n", "is not a parameter of this call: its response is one file")
    text = given["prompt"] = given.pop("input")
    if not isinstance(text, str) or not 0 < len(text) <= PROMPT_MAX_CHARACTERS:
        raise refused("input", f"must be text of at most {PROMPT_MAX_CHARACTERS:,} characters")
    if isinstance(given.get("voice"), dict):  # a custom voice
        given["voice"] = given["voice"].get("id")
    return replace(asked, given=given)


async def _answer(request: web.Request, generation: Generation, headers: Mapping[str, str]) -> web.StreamResponse:
    """The file, streamed; or the error, with its own status."""
    if not generation.outputs:
        failure = not_made(generation)
        failure.headers.update(headers)
        return await send_whole(request, failure)
    output = generation.outputs[0]
    response = web.StreamResponse(headers={**headers, "Content-Type": output.content_type})
    response.content_length = output.bytes
    return await _sent(request, response, generation)


async def _answer_late(request: web.Request, generation: Generation, headers: Mapping[str, str]) -> web.StreamResponse:
    """Begin the response, which names the generation, and wait for the end.

    White space cannot keep it open: it would be in the file. If there is no file in the end, the connection is closed
    before the end of the body: the client retries, and gets the error with its status.
    """
    response = web.StreamResponse(headers={**headers, "Content-Type": "application/octet-stream"})
    await response.prepare(request)
    generation = await ended(request, generation)
    if not generation.outputs:
        raise ConnectionResetError("the response is cut off, so that the client retries")
    return await _sent(request, response, generation)


async def _sent(request: web.Request, response: web.StreamResponse, generation: Generation) -> web.StreamResponse:
    try:
        chunks = await request.app[OUTPUTS].stream(generation.outputs[0].object_key)
    except OutputMissing:
        raise NotFound("The file of this output is missing from the object store.") from None
    if not response.prepared:
        await response.prepare(request)
    async for chunk in chunks:
        await response.write(chunk)
    await response.write_eof()
    answered(request)
    return response
