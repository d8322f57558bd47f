"""Is it alive, is it ready, and its figures for Prometheus."""

from __future__ import annotations

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST

from gateway.api.ops import depths_of
from gateway.api.respond import answer
from gateway.api.schemas import ops as s
from gateway.api.services import LEDGER, METRICS, QUEUE, RATE_CARDS, STARTUP
from gateway.errors import LedgerUnavailable, QueueUnavailable


async def healthz(_request: web.Request) -> web.Response:
    """`GET /healthz`: the process answers."""
    return answer(s.Health(status="ok"))


async def readyz(request: web.Request) -> web.Response:
    """`GET /readyz`: 503 while it cannot accept work; `degraded` while it can but an operator should look."""
    app = request.app
    unavailable = await _unavailable(app)
    if unavailable is not None:
        shape = s.Readiness(status="unavailable", problems=[unavailable], rate_card=app[RATE_CARDS].card.version)
        return answer(shape, status=503, headers={"Retry-After": "2"})
    problems = [*app[STARTUP].problems]
    if app[RATE_CARDS].problem is not None:
        problems.append(f"the rate card on disk is not in force: {app[RATE_CARDS].problem}")
    try:
        await app[QUEUE].ping()
    except QueueUnavailable:
        problems.append("the queue's Redis does not answer: work is accepted and starts when it does")
    shape = s.Readiness(
        status="degraded" if problems else "ok", problems=problems, rate_card=app[RATE_CARDS].card.version
    )
    return answer(shape)


async def metrics(request: web.Request) -> web.Response:
    """`GET /metrics`: what the ledger does not answer is left out, never shown as 0."""
    app = request.app
    totals = None
    try:
        if app[STARTUP].ready:
            totals = await app[LEDGER].totals()
    except LedgerUnavailable:
        pass
    tools = sorted(app[RATE_CARDS].card.tools)
    text = app[METRICS].exposition(totals, await depths_of(app, tools), tools, app[RATE_CARDS])
    return web.Response(body=text, headers={"Content-Type": CONTENT_TYPE_LATEST})


async def _unavailable(app: web.Application) -> str | None:
    if not app[STARTUP].ready:
        return app[STARTUP].problem
    try:
        await app[LEDGER].ping()
    except LedgerUnavailable:
        return "the ledger does not answer"
    return None
