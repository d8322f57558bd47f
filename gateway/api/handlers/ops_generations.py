"""Generations of all accounts, for operators: what is open, what failed lately, what was charged."""

from __future__ import annotations

from aiohttp import web

from gateway.api.http.parse import read_query
from gateway.api.http.periods import period_of
from gateway.api.http.respond import answer
from gateway.api.services import LEDGER
from gateway.clock import now_ms
from gateway.domain import OPEN_STATES, State
from gateway.ledger.finding import FoundGeneration, GenerationFilter, Kind
from gateway.schemas import ops_generations as shapes
from gateway.views.ops_generations import found_shape


async def listed(request: web.Request) -> web.Response:
    """`GET /v1/ops/generations`: open ones oldest first, ended ones newest first."""
    query, now = read_query(request, shapes.OpsGenerationsQuery), now_ms()
    kind, only = _asked(query, now)
    # An account's list is in the order of creation, and an earlier page may have ended anywhere in a set.
    enough = None if query.account or query.before else query.limit + 1
    finds = await request.app[LEDGER].find(kind=kind, only=only, enough=enough)
    found = sorted(finds.data, key=_place, reverse=kind is not Kind.OPEN)
    if query.before:
        cursor = _cursor_place(query.before)
        found = [one for one in found if (_place(one) > cursor) is (kind is Kind.OPEN) and _place(one) != cursor]
    page = found[: query.limit]
    more = f"{_place(page[-1])[0]}-{page[-1].id}" if len(found) > len(page) else None
    data = [found_shape(one, now) for one in page]
    return answer(shapes.OpsGenerationsOut(data=data, next=more, examined=finds.examined, complete=finds.complete))


def _asked(query: shapes.OpsGenerationsQuery, now: int) -> tuple[Kind, GenerationFilter]:
    first, end = period_of(query)
    if query.older_than_seconds is not None:
        old = now - query.older_than_seconds * 1000 + 1
        end = old if end is None else min(end, old)
    state = State(query.status) if query.status in OPEN_STATES else None
    only = GenerationFilter(
        account=query.account,
        tool=query.tool,
        model=query.model,
        provider=query.provider,
        state=state,
        code=query.code,
        created_after=first,
        created_before=end,
    )
    return Kind.OPEN if state is not None else Kind(query.status), only


def _place(found: FoundGeneration) -> tuple[int, str]:
    """Where it stands in the list: by its creation while it is open, by its end afterwards."""
    return (found.created_at if found.finished_at is None else found.finished_at), found.id


def _cursor_place(cursor: str) -> tuple[int, str]:
    at, _, identifier = cursor.partition("-")
    return int(at), identifier
