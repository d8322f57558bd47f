"""Streams a prediction's outputs as they are delivered, as server-sent events."""

from __future__ import annotations

import json
import re
from functools import partial

from aiohttp import web

from gateway.api.access.auth import ACCOUNT_CALLER, owner_of
from gateway.api.handlers.outputs import signed_generation
from gateway.api.ownership.awaited import Read
from gateway.api.ownership.own_generations import own_generation
from gateway.api.services import HUB, LINKS, OUTPUTS
from gateway.domain import FINAL_STATES, State
from gateway.facades.held import BEAT_SECONDS, beating, changed
from gateway.ledger import outcomes
from gateway.outputs import texts_of
from gateway.views.predictions import STREAM, error_of

_LINE_ENDS = re.compile(r"\r\n|\r|\n")  # of server-sent events: any of them in a text ends a line, two end the event


async def stream(request: web.Request) -> web.StreamResponse:
    """`GET /replicate/v1/predictions/{prediction}/stream`: each output's URL, an error if there is one, and `done`."""
    with request.app[HUB].counted(request[ACCOUNT_CALLER].owner):
        return await _stream(request, await own_generation(request, request.match_info["prediction"]))


async def stream_signed(request: web.Request) -> web.StreamResponse:
    """The same with a signature in the URL: the package for JavaScript sends no key."""

    async def read(generation: outcomes.Generation) -> outcomes.Generation:
        return await signed_generation(request, generation.id, STREAM)

    generation = await signed_generation(request, request.match_info["prediction"], STREAM)
    with request.app[HUB].counted(owner_of(generation.account)):
        return await _stream(request, generation, read)


async def _stream(
    request: web.Request, generation: outcomes.Generation, read: Read | None = None
) -> web.StreamResponse:
    response = web.StreamResponse(
        headers={"Content-Type": "text/event-stream; charset=utf-8", "X-Accel-Buffering": "no"}
    )
    await response.prepare(request)
    sent = 0
    while True:
        news = changed(request, generation, partial(_has_news, sent), read=read)
        generation = await beating(response, b": waiting\n\n", BEAT_SECONDS, news)
        texts = await texts_of(request.app[OUTPUTS], generation.outputs[sent:])
        for output in generation.outputs[sent:]:
            data = texts.get(output.index) or request.app[LINKS].url(generation.id, output.index)
            await response.write(_event("output", f"{generation.id}:{output.index}", data))
        sent = len(generation.outputs)
        if generation.state in FINAL_STATES:
            await response.write(_end(generation))
            await response.write_eof()
            return response
        if request.app[HUB].closed:
            raise ConnectionResetError("the gateway stops: the stream is cut off, so that the client sees it")


def _end(generation: outcomes.Generation) -> bytes:
    """The last event; after a failure, preceded by an error."""
    reason = {"reason": "canceled"} if generation.state is State.CANCELLED else {}
    error = error_of(generation)
    if error is None:
        return _event("done", f"{generation.id}:done", json.dumps(reason))
    detail = json.dumps({"detail": error})
    return _event("error", f"{generation.id}:error", detail) + _event(
        "done", f"{generation.id}:done", json.dumps({"reason": "error"})
    )


def _has_news(sent: int, generation: outcomes.Generation) -> bool:
    return len(generation.outputs) > sent or generation.state in FINAL_STATES


def _event(kind: str, event_id: str, data: str) -> bytes:
    lines = "".join(f"data: {line}\n" for line in _LINE_ENDS.split(data))
    return f"event: {kind}\nid: {event_id}\n{lines}\n".encode()
