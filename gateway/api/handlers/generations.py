"""Generations: create, read, list, cancel."""

from __future__ import annotations

from http import HTTPStatus

from aiohttp import web
from pydantic_core import to_json

from gateway.api.access.auth import ACCOUNT_CALLER, CALLER
from gateway.api.http.context import context
from gateway.api.http.headers import REPLAY_HEADER
from gateway.api.http.parse import read_body, read_query
from gateway.api.http.periods import period_of
from gateway.api.http.respond import answer, answer_json
from gateway.api.middleware.idempotency import digests_of
from gateway.api.ownership.own_generations import (
    cancel_own,
    own_generation,
    own_page,
    shapes,
    shown,
    standings,
)
from gateway.api.ownership.target_account import target_account
from gateway.api.services import (
    BODIES,
    LINKS,
    ORDERING,
    PAUSE_BOARD,
)
from gateway.schemas import generations as generation_schemas
from gateway.views.generations import Standing, generation_members


async def create(request: web.Request) -> web.Response:
    """`POST /v1/generations`: price, reserve, queue. Before a refusal, check whether it was accepted earlier (R11)."""
    body, caller = await read_body(request, generation_schemas.GenerationIn), request[ACCOUNT_CALLER]
    ordered = await request.app[ORDERING].order(caller, body, await digests_of(request, caller))
    generation = ordered.generation
    context(request).generation = generation.id
    headers = {"Location": f"/v1/generations/{generation.id}"}
    if ordered.replay:
        return answer_json(body=await shown(request, generation), headers=headers | {REPLAY_HEADER: "true"})
    # Its position is unknown until it is dispatched, which this response does not wait for.
    pause = (await request.app[PAUSE_BOARD].of_generations([generation]))[0] if ordered.waits else None
    shape = to_json(generation_members(generation, request.app[LINKS], Standing(pause=pause)))
    return answer_json(body=shape, status=HTTPStatus.ACCEPTED, headers=headers)


async def get(request: web.Request) -> web.Response:
    """`GET /v1/generations/{generation}`."""
    bodies, generation = request.app[BODIES], request.match_info["generation"]
    current = await own_generation(request, generation, bodies.known(generation))
    if request[CALLER].account is None:
        return answer_json(body=await shown(request, current))
    (standing,) = await standings(request, [current])
    return answer_json(body=bodies.json(current, standing))


async def listed(request: web.Request) -> web.Response:
    """`GET /v1/generations`: newest first."""
    query = read_query(request, generation_schemas.GenerationsQuery)
    target, (created_after, created_before) = target_account(request, query.account), period_of(query)
    page = await own_page(
        request,
        target,
        what=f"generation {query.before} in this account's list" if query.before else None,
        member=query.member,
        limit=query.limit,
        before=query.before,
        state=query.status,
        tool=query.tool,
        model=query.model,
        created_after=created_after,
        created_before=created_before,
        key=query.key,
        tags=query.tags,
        metadata=query.metadata,
    )
    return answer(generation_schemas.GenerationsOut(data=await shapes(request, page.data), next=page.next))


async def cancel(request: web.Request) -> web.Response:
    """`POST /v1/generations/{generation}/cancel` (R18): no effect on one that has ended."""
    return answer_json(body=await shown(request, await cancel_own(request, request.match_info["generation"])))
