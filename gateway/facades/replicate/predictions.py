"""Predictions: each is a generation, and has its id."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from http import HTTPStatus
from time import monotonic

from aiohttp import web

from gateway.api.errors import WaitingRoomFull
from gateway.api.http.context import context
from gateway.api.http.headers import GENERATION_HEADER
from gateway.api.http.parse import DOCUMENT, canonical_json, raw_body
from gateway.api.http.preferences import preferred_wait
from gateway.api.http.respond import answer_json
from gateway.api.ordering.ordering import Ordered
from gateway.api.ownership.own_generations import cancel_own, own_generation, own_page
from gateway.api.ownership.target_account import own
from gateway.api.services import HUB
from gateway.domain import FINAL_STATES, is_generation_id
from gateway.facades.calls import RETRY_SECONDS, answered, created_headers, order
from gateway.facades.held import BEAT_SECONDS, beating, ended, send_whole
from gateway.facades.parameters import query_with, refused, retries_of
from gateway.facades.replicate.inputs import body_of, read_call
from gateway.facades.replicate.names import model_in_path, model_of_version, url_of
from gateway.facades.replicate.shapes import prediction_of
from gateway.facades.replicate.webhooks import webhook_of
from gateway.ledger import outcomes
from gateway.views.predictions import STARTING

PAGE = 100
CANCEL_AFTER_HEADER = "Cancel-After"

ROOM_SECONDS = 25.0
"""How long a create waits for its key's rate limit, and for room among the waiting generations: few packages retry."""

UNCOUNTED_SECONDS = 60
"""How long a create is stored for retries if the client does not count them: JavaScript's retries at once."""

_ROOM_PAUSE_SECONDS, _ROOM_PAUSE_MAX_SECONDS = 0.5, 4.0  # growing: each attempt copies the inputs into the store

Generation = outcomes.Generation


async def create(request: web.Request) -> web.StreamResponse:
    """`POST /replicate/v1/predictions`: for the model that `version` names."""
    call = await read_call(request)
    if "version" not in call:
        raise refused("version", "is required: a version, or owner/name")
    return await _create(request, model_of_version(request, call["version"]), call)


async def create_of_model(request: web.Request) -> web.StreamResponse:
    """`POST /replicate/v1/models/{owner}/{name}/predictions`, and the same for `deployments`."""
    call = await read_call(request)
    model_id = model_in_path(request)
    if "version" in call and model_of_version(request, call["version"]) != model_id:
        raise refused("version", "is not one of this model")
    return await _create(request, model_id, call)


async def get(request: web.Request) -> web.Response:
    """`GET /replicate/v1/predictions/{prediction}`."""
    return await _answer(request, await own_generation(request, request.match_info["prediction"]))


async def cancel(request: web.Request) -> web.Response:
    """`POST /replicate/v1/predictions/{prediction}/cancel`: no effect on one that has ended."""
    return await _answer(request, await cancel_own(request, request.match_info["prediction"], "prediction"))


async def listed(request: web.Request) -> web.Response:
    """`GET /replicate/v1/predictions`: newest first."""
    query = query_with(request, "cursor")
    before = query.get("cursor")
    if before is not None and not is_generation_id(before):
        raise refused("cursor", "must be that of a `next` of this list")
    page = await own_page(
        request, own(request), what=f"prediction {before} in this account's list", limit=PAGE, before=before
    )
    following = None if page.next is None else url_of(request, f"/predictions?cursor={page.next}")
    results = [await prediction_of(request, generation) for generation in page.data]
    return answer_json(body=json.dumps({"results": results, "next": following, "previous": None}).encode())


async def _create(request: web.Request, model_id: str, call: Mapping[str, object]) -> web.StreamResponse:
    came_at = context(request).came_at
    if CANCEL_AFTER_HEADER in request.headers:
        raise refused(CANCEL_AFTER_HEADER, "is not supported: cancel the prediction")
    body, webhook = body_of(request, model_id, call), webhook_of(call)
    digest = canonical_json(await raw_body(request), request[DOCUMENT])
    retries = retries_of(request)
    kept_seconds = RETRY_SECONDS if retries is not None else UNCOUNTED_SECONDS
    ordering = partial(order, request, body, digest=digest, retries=retries, seconds=kept_seconds, webhook=webhook)
    ordered = await _with_room(ordering, came_at + patience(request))
    headers = created_headers(ordered)
    seconds = came_at + preferred_wait(request) - monotonic()
    if seconds <= 0 or ordered.generation.state in FINAL_STATES:
        return await send_whole(request, await _answer(request, ordered.generation, created=True, headers=headers))
    return await _waited(request, ordered.generation, seconds, headers)


def patience(request: web.Request) -> float:
    """How long a create waits for its turn, in seconds: no longer than its client waits for the end."""
    return min(preferred_wait(request) or ROOM_SECONDS, ROOM_SECONDS)


async def _with_room(ordering: Callable[[], Awaitable[Ordered]], give_up_at: float) -> Ordered:
    """Create the generation once there is room for another waiting one; WaitingRoomFull if there is none in time."""
    pause = _ROOM_PAUSE_SECONDS
    while True:
        try:
            return await ordering()
        except WaitingRoomFull:
            left = give_up_at - monotonic()
            if left <= 0:
                raise
        await asyncio.sleep(min(pause, left))
        pause = min(2 * pause, _ROOM_PAUSE_MAX_SECONDS)


async def _waited(
    request: web.Request, generation: Generation, seconds: float, headers: Mapping[str, str]
) -> web.StreamResponse:
    """Respond with the prediction once it has ended, or after `seconds`; headers at once, white space meanwhile."""
    response = web.StreamResponse(
        status=HTTPStatus.CREATED, headers={"Content-Type": "application/json; charset=utf-8", **headers}
    )
    await response.prepare(request)
    beat_seconds = min(BEAT_SECONDS, seconds)
    generation = await beating(response, b" \n", beat_seconds, ended(request, generation, seconds=seconds))
    if generation.state not in FINAL_STATES and request.app[HUB].closed:
        raise ConnectionResetError("the gateway stops: the response is cut off, so that the client sees it")
    await response.write(await _text(request, generation, created=True))
    await response.write_eof()
    answered(request)
    return response


async def _answer(
    request: web.Request, generation: Generation, *, created: bool = False, headers: Mapping[str, str] | None = None
) -> web.Response:
    return answer_json(
        body=await _text(request, generation, created=created),
        status=HTTPStatus.CREATED if created else HTTPStatus.OK,
        headers={GENERATION_HEADER: generation.id, **(headers or {})},
    )


async def _text(request: web.Request, generation: Generation, *, created: bool) -> bytes:
    """A prediction as JSON. A new one must be `starting`: `run` takes any other status for its end."""
    shape = await prediction_of(request, generation)
    if created and generation.state not in FINAL_STATES:
        shape["status"] = STARTING
    return json.dumps(shape, ensure_ascii=False, separators=(",", ":")).encode()
