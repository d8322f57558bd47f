"""`POST /fal/<model>`: submitted to the queue, run to its end, or streamed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from typing import Any

from aiohttp import web

from gateway.api.access.auth import ACCOUNT_CALLER
from gateway.api.http.parse import DOCUMENT, canonical_json, raw_body, read_object
from gateway.api.http.respond import answer_json
from gateway.api.ordering.ordering import Ordered
from gateway.api.ownership.own_generations import queue_positions
from gateway.api.services import HUB
from gateway.domain import FINAL_STATES, OwnWebhook
from gateway.facades.calls import RETRY_SECONDS, answered, created_headers, order
from gateway.facades.fal.parameters import body_of
from gateway.facades.fal.results import Generation, headers_of, made_of, result_of, status_of, urls_of
from gateway.facades.fal.webhooks import webhook_of
from gateway.facades.held import BEAT_SECONDS, QUIET_SECONDS, beating, changed, hold, send_whole
from gateway.facades.parameters import query_with
from gateway.views.fal_results import error_members

SUBMIT_SECONDS = 60
"""How long an equal submit counts as a retry of one whose response was lost: the client gives up after 51 s."""

_QUEUE, _RUN, _STREAM = "queue/", "run/", "/stream"
_QUEUE_HOST = "queue."


async def create(request: web.Request) -> web.StreamResponse:
    """`POST /fal/queue/{app}` submits, `/fal/run/{app}` runs; with neither prefix it submits.

    Versions of the client before 0.11 use `queue.<host>` instead of a separate base URL.
    """
    app = request.match_info["app"]
    runs = app.startswith(_RUN) and not request.host.startswith(_QUEUE_HOST)
    app = app.removeprefix(_RUN).removeprefix(_QUEUE)
    if app.endswith(_STREAM):
        with request.app[HUB].counted(request[ACCOUNT_CALLER].owner):
            return await _stream(request, app.removesuffix(_STREAM))
    return await (_run if runs else _submit)(request, app)


async def _submit(request: web.Request, app: str) -> web.StreamResponse:
    ordered = await _ordered(request, app, SUBMIT_SECONDS, webhook_of(request))
    generation = ordered.generation
    (position,) = await queue_positions(request, [generation])
    members = status_of(generation, position, logs=False) | urls_of(request, app, generation)
    return await send_whole(request, answer_json(body=json.dumps(members).encode(), headers=_headers(ordered)))


async def _run(request: web.Request, app: str) -> web.StreamResponse:
    ordered = await _ordered(request, app, RETRY_SECONDS)
    shape = partial(result_of, request)
    return await hold(request, ordered.generation, shape, headers=_headers(ordered), cut_off_errors=True)


async def _stream(request: web.Request, app: str) -> web.StreamResponse:
    """Stream the partial result at each delivery; the last event is the complete result, or the error."""
    ordered = await _ordered(request, app, RETRY_SECONDS)
    generation = ordered.generation
    response = web.StreamResponse(
        headers={
            "Content-Type": "text/event-stream; charset=utf-8",
            "X-Accel-Buffering": "no",
            **_headers(ordered),
        }
    )
    await response.prepare(request)
    while True:
        news = changed(request, generation, partial(_has_news, len(generation.outputs)))
        generation = await beating(response, b": waiting\n\n", min(BEAT_SECONDS, QUIET_SECONDS), news)
        if generation.outputs:
            await response.write(_event(await made_of(request, generation)))
        if generation.state in FINAL_STATES:
            if not generation.outputs:
                await response.write(_event(error_members(generation)))
            await response.write_eof()
            answered(request)
            return response
        if request.app[HUB].closed:
            raise ConnectionResetError("the gateway stops: the stream is cut off, so that the client sees it")


async def _ordered(request: web.Request, app: str, seconds: int, webhook: OwnWebhook | None = None) -> Ordered:
    query_with(request, *([] if webhook is None else [webhook.member]))
    arguments = await read_object(request)
    body = body_of(request, app, arguments)
    digest = canonical_json(await raw_body(request), request[DOCUMENT])
    if webhook is not None:
        digest = f"{digest}\n{webhook.url}"
    return await order(request, body, digest=digest, retries=None, seconds=seconds, webhook=webhook)


def _headers(ordered: Ordered) -> dict[str, str]:
    return headers_of(ordered.generation) | created_headers(ordered)


def _has_news(sent: int, generation: Generation) -> bool:
    """Whether there is something to send. The last output is sent with the end, which follows at once."""
    return sent < len(generation.outputs) < generation.request.outputs or generation.state in FINAL_STATES


def _event(members: Mapping[str, Any]) -> bytes:
    return f"data: {json.dumps(members, separators=(',', ':'))}\n\n".encode()
