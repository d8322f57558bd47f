"""Liveness and readiness."""

from __future__ import annotations

from collections.abc import Iterator

from aiohttp import web

from gateway.api.http.respond import answer
from gateway.api.services import (
    BACKGROUND,
    HUB,
    LEDGER,
    QUEUE,
    RATE_CARDS,
    SETTINGS,
    STARTUP,
    STORE_WATCH,
    WORKFORCE,
)
from gateway.api.watching import archive_problem, audit_if_known, events_waiting, provider_states
from gateway.clock import CLOCK, now_ms
from gateway.errors import LedgerUnavailable
from gateway.ledger.audit import LastAudit
from gateway.schemas import ops as operations_schemas
from gateway.schemas.base import utc


async def healthz(_request: web.Request) -> web.Response:
    """`GET /healthz`: the process responds."""
    return answer(operations_schemas.Health(status="ok"))


async def readyz(request: web.Request) -> web.Response:
    """`GET /readyz`: 503 while it cannot accept work; `degraded` while it can, but needs an operator."""
    app = request.app
    unavailable = await _unavailable(app)
    if unavailable is not None:
        shape = operations_schemas.Readiness(
            status="unavailable",
            problems=[unavailable],
            rate_card=app[RATE_CARDS].card.version,
            audit=None,
            durable_by=app[SETTINGS].durable_by,
        )
        return answer(shape, status=503, headers={"Retry-After": "2"})
    last = await audit_if_known(app)
    problems = await _problems(app, last)
    shape = operations_schemas.Readiness(
        status="degraded" if problems else "ok",
        problems=problems,
        rate_card=app[RATE_CARDS].card.version,
        audit=None if last is None else _audit_state(last),
        durable_by=app[SETTINGS].durable_by,
    )
    return answer(shape)


async def _problems(app: web.Application, last: LastAudit | None) -> list[str]:
    """What an operator should look at, each with what to do."""
    card = app[RATE_CARDS].card
    problems = [*app[STARTUP].problems, *app[BACKGROUND].problems]
    problems += filter(None, [CLOCK.problem, app[STORE_WATCH].problem])
    if app[RATE_CARDS].problem is not None:
        problems.append(f"the rate card on disk is not in force: {app[RATE_CARDS].problem}")
    away = await app[QUEUE].servers.problems()
    # Without the queue there are no notices anyway, and its own problem is reported.
    problems += away or filter(None, [app[HUB].problem])
    problems += [
        f"{variable} belongs to no tool of the rate card: rename it, or unset it"
        for variable in app[SETTINGS].queues_without_a_tool(card.tools)
    ]
    problems += [
        f"the provider {name!r} cannot be reached: "
        f"{'other providers make its models' if card.is_replaceable(name) else 'its generations wait'}"
        for name, state in (await provider_states(app) or {}).items()
        if state.is_away(now_ms())
    ]
    problems += [*app[WORKFORCE].problems, *_audit_problems(last)]
    problems += filter(None, [await archive_problem(app)])
    if waiting := await events_waiting(app):
        events = "1 payment event" if waiting == 1 else f"{waiting} payment events"
        problems.append(f"{events} could not be applied: see `GET /v1/ops/payment-events`")
    return problems


def _audit_problems(last: LastAudit | None) -> Iterator[str]:
    if last is not None and last.differences:
        found = "1 difference" if last.differences == 1 else f"{last.differences} differences"
        yield f"the last audit found {found} in the ledger: run `farebox audit`"
    if last is not None and last.unproved:
        yield f"the last audit could not verify {last.unproved} items that kept changing: run `farebox audit`"


def _audit_state(last: LastAudit) -> operations_schemas.AuditState:
    return operations_schemas.AuditState(at=utc(last.at), differences=last.differences, unproved=last.unproved)


async def _unavailable(app: web.Application) -> str | None:
    if not app[STARTUP].ready:
        return app[STARTUP].problem
    try:
        await app[LEDGER].ping()
    except LedgerUnavailable as error:
        return error.problem
    return None
