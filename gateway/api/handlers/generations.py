"""Generations: create, read, list, cancel."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from time import monotonic

from aiohttp import hdrs, web

from gateway.api.access.auth import ACCOUNT_CALLER, CALLER
from gateway.api.errors import Forbidden
from gateway.api.http.context import context
from gateway.api.http.headers import REPLAY_HEADER
from gateway.api.http.parse import read_body, read_query
from gateway.api.http.periods import period_of
from gateway.api.http.preferences import preferred_wait
from gateway.api.http.respond import answer, answer_json, answer_tagged, has_already, tag_of
from gateway.api.middleware.idempotency import digests_of
from gateway.api.middleware.rates import admitted
from gateway.api.ownership.awaited import changed
from gateway.api.ownership.own_generations import (
    cancel_own,
    own_page,
    own_standing,
    shapes,
    shown,
    shown_at,
    standings,
    withholds_content,
)
from gateway.api.ownership.target_account import target_account
from gateway.api.services import (
    BODIES,
    KEY_USE,
    LINKS,
    ORDERING,
    PAUSE_BOARD,
)
from gateway.domain import FINAL_STATES
from gateway.json_text import to_json
from gateway.ledger.outcomes import Generation
from gateway.schemas import generations as generation_schemas
from gateway.views.generations import Standing, generation_members


async def create(request: web.Request) -> web.Response:
    """`POST /v1/generations`: price, reserve, queue. Before a refusal, check whether it was accepted earlier (R11)."""
    body, caller = await read_body(request, generation_schemas.GenerationIn), request[ACCOUNT_CALLER]
    ordered = await request.app[ORDERING].order(caller, body, await digests_of(request, caller))
    generation = ordered.generation
    context(request).generation = generation.id
    headers = {hdrs.LOCATION: f"/v1/generations/{generation.id}"}
    if ordered.replay:
        return answer_json(body=await shown(request, generation), headers=headers | {REPLAY_HEADER: "true"})
    request.app[KEY_USE].recorded[caller.key_id] = monotonic()
    # Its position is unknown until it is dispatched, which this response does not wait for.
    pause = (await request.app[PAUSE_BOARD].of_generations([generation]))[0] if ordered.waits else None
    shape = to_json(generation_members(generation, request.app[LINKS], Standing(pause=pause)))
    return answer_json(body=shape, status=HTTPStatus.ACCEPTED, headers=headers)


async def get(request: web.Request) -> web.Response:
    """`GET /v1/generations/{generation}`: at once, or with `Prefer: wait=30` when it has ended.

    A client that sends its `ETag` in `If-None-Match` gets a 304 if nothing has changed, and waits only for that.
    """
    bodies, generation = request.app[BODIES], request.match_info["generation"]
    current, standing = await own_standing(request, generation, bodies.known(generation))
    seconds = preferred_wait(request)
    if not seconds:
        return answer_tagged(request, _body(request, current, standing), {})
    headers = {"Preference-Applied": f"wait={seconds}"}
    if (
        current.state not in FINAL_STATES
        and (enough := _awaits(request, current, standing))
        and await admitted(request)
    ):
        current = await changed(request, current, enough, seconds=seconds)
        (standing,) = await standings(request, [current])
    return answer_tagged(request, _body(request, current, standing), headers)


def _awaits(request: web.Request, current: Generation, standing: Standing) -> Callable[[Generation], bool] | None:
    """What a client waits for that has, or has not, seen the generation as it is; None: it gets it as it is."""
    if hdrs.IF_NONE_MATCH not in request.headers:
        return lambda one: one.state in FINAL_STATES
    if has_already(request, tag_of(_body(request, current, standing))):
        return lambda one: one is not current
    return None


def _body(request: web.Request, current: Generation, standing: Standing) -> bytes:
    """The generation as JSON, as the caller may see it."""
    if request[CALLER].account is None:
        return shown_at(request, current, standing)
    return request.app[BODIES].json(current, standing)


async def listed(request: web.Request) -> web.Response:
    """`GET /v1/generations`: newest first."""
    query = read_query(request, generation_schemas.GenerationsQuery)
    if query.q is not None and withholds_content(request):
        raise Forbidden("Your role does not include prompts, so they cannot be searched. Filter by tags.")
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
        words=query.words,
    )
    return answer(generation_schemas.GenerationsOut(data=await shapes(request, page.data), next=page.next))


async def cancel(request: web.Request) -> web.Response:
    """`POST /v1/generations/{generation}/cancel` (R18): no effect on one that has ended."""
    return answer_json(body=await shown(request, await cancel_own(request, request.match_info["generation"])))
