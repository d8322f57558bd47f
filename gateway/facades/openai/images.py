"""`/openai/v1/images`: generations and edits, held open until they end, or streamed."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Mapping
from contextlib import nullcontext
from functools import partial
from typing import Any

from aiohttp import web

from gateway.api.access.auth import ACCOUNT_CALLER
from gateway.api.errors import NotFound
from gateway.api.http.respond import answer_json
from gateway.api.services import HUB, LINKS, OUTPUTS
from gateway.domain import FINAL_STATES, Output
from gateway.errors import OutputMissing
from gateway.facades.calls import RETRY_SECONDS, answered, created_headers, models_of, order
from gateway.facades.held import BEAT_SECONDS, QUIET_SECONDS, beating, changed, hold
from gateway.facades.openai.errors import failure_of, not_made
from gateway.facades.openai.parameters import (
    LANGUAGE_HEADER,
    Asked,
    body_of,
    flag,
    read_asked,
    read_timeout,
    word,
)
from gateway.facades.parameters import refused, retries_of, whole
from gateway.kinds import MediaKind
from gateway.ledger import outcomes
from gateway.schemas.base import of_thousandths

_FORMATS = ("url", "b64_json")
_PARTIAL_IMAGES_MAX = 3
_PACKAGE_QUIET_SECONDS = 20.0  # the packages send their timeout; proxies usually have 60
_ELSEWHERE = ("response_format", "stream", "partial_images")


async def generations(request: web.Request) -> web.StreamResponse:
    """`POST /openai/v1/images/generations`."""
    return await _made(request, await read_asked(request, {}), "image_generation")


async def edits(request: web.Request) -> web.StreamResponse:
    """`POST /openai/v1/images/edits`: a form with one or more images, and optionally a mask, the last input."""
    asked = await read_asked(request, {"image": MediaKind.IMAGE, "mask": MediaKind.IMAGE})
    if not asked.inputs:
        raise refused("image", "is required: send at least one image file")
    return await _made(request, asked, "image_edit")


async def _made(request: web.Request, asked: Asked, kind: str) -> web.StreamResponse:
    streamed = flag(asked.given, "stream")
    with request.app[HUB].counted(request[ACCOUNT_CALLER].owner) if streamed else nullcontext():
        return await _answer(request, asked, kind, streamed=streamed)


async def _answer(request: web.Request, asked: Asked, kind: str, *, streamed: bool) -> web.StreamResponse:
    form = word(asked.given, "response_format", _FORMATS)
    # `partial_images` is accepted, but no provider sends partial images, so there are none.
    whole(asked.given, "partial_images", 0, most=_PARTIAL_IMAGES_MAX)
    default = next(iter(models_of(request, MediaKind.IMAGE)), "")
    body = body_of(request, asked, MediaKind.IMAGE, default_model=default, elsewhere=_ELSEWHERE)
    timeout = read_timeout(request)
    kept_seconds = RETRY_SECONDS + int(timeout or 0)
    ordered = await order(request, body, digest=asked.digest, retries=retries_of(request) or 0, seconds=kept_seconds)
    headers = created_headers(ordered)
    quiet_seconds = QUIET_SECONDS if timeout is None else min(_PACKAGE_QUIET_SECONDS, timeout / 2)
    if streamed:
        return await _stream(request, ordered.generation, headers, kind, min(BEAT_SECONDS, quiet_seconds))
    return await hold(
        request,
        ordered.generation,
        partial(_response, request, form),
        headers=headers,
        quiet_seconds=quiet_seconds,
        cut_off_errors=LANGUAGE_HEADER in request.headers,
    )


async def _response(request: web.Request, form: str | None, generation: outcomes.Generation) -> web.Response:
    """The delivered outputs, even if fewer than requested: they are what was charged."""
    if not generation.outputs:
        return not_made(generation)
    members: dict[str, Any] = {
        "created": (generation.finished_at or generation.created_at) // 1000,
        "data": [await _image(request, form, generation, output) for output in generation.outputs],
        **_look(generation, generation.outputs[0]),
        "generation": generation.id,
        "credits": of_thousandths(generation.committed_millicredits),
    }
    if _is_incomplete(generation):
        members["incomplete"] = failure_of(generation)
    return answer_json(body=json.dumps(members, separators=(",", ":")).encode())


async def _image(
    request: web.Request, form: str | None, generation: outcomes.Generation, output: Output
) -> dict[str, str]:
    """Both without a `response_format`: programs for GPT Image read `b64_json`, those for DALL·E `url`."""
    image = {}
    if form != "b64_json":
        image["url"] = request.app[LINKS].url(generation.id, output.index)
    if form != "url":
        image["b64_json"] = await _base64(request, output)
    return image


async def _base64(request: web.Request, output: Output) -> str:
    try:
        data = await request.app[OUTPUTS].get(output.object_key)
    except OutputMissing:
        raise NotFound("The file of this output is missing from the object store.") from None
    return (await asyncio.to_thread(base64.b64encode, data)).decode()


def _look(generation: outcomes.Generation, output: Output) -> dict[str, Any]:
    settings = generation.request.settings
    look: dict[str, Any] = {
        "size": f"{output.width}x{output.height}",
        "output_format": output.content_type.removeprefix("image/"),
    }
    return look | {name: settings[name] for name in ("quality", "background") if isinstance(settings.get(name), str)}


async def _stream(
    request: web.Request, generation: outcomes.Generation, headers: Mapping[str, str], kind: str, beat_seconds: float
) -> web.StreamResponse:
    """Stream a `completed` event for each delivered image, and an `error` event if some are missing."""
    response = web.StreamResponse(
        headers={"Content-Type": "text/event-stream; charset=utf-8", "X-Accel-Buffering": "no", **headers}
    )
    await response.prepare(request)
    sent = 0
    while True:
        news = changed(request, generation, partial(_has_news, sent))
        generation = await beating(response, b": waiting\n\n", beat_seconds, news)
        for output in generation.outputs[sent:]:
            event = {
                "type": f"{kind}.completed",
                "b64_json": await _base64(request, output),
                "url": request.app[LINKS].url(generation.id, output.index),
                "created_at": generation.created_at // 1000,
                "generation": generation.id,
                **_look(generation, output),
            }
            await response.write(_event(event))
        sent = len(generation.outputs)
        if generation.state in FINAL_STATES:
            if _is_incomplete(generation):
                error = {**failure_of(generation), "type": "server_error", "param": None, "generation": generation.id}
                await response.write(_event({"type": "error", "error": error}))
            await response.write_eof()
            answered(request)
            return response
        if request.app[HUB].closed:
            raise ConnectionResetError("the gateway stops: the stream is cut off, so that the client sees it")


def _is_incomplete(generation: outcomes.Generation) -> bool:
    """Whether fewer images were delivered than requested: it failed or was cancelled after the first."""
    return len(generation.outputs) < generation.request.outputs


def _has_news(sent: int, generation: outcomes.Generation) -> bool:
    return len(generation.outputs) > sent or generation.state in FINAL_STATES


def _event(members: Mapping[str, Any]) -> bytes:
    return f"event: {members['type']}\ndata: {json.dumps(members, separators=(',', ':'))}\n\n".encode()
