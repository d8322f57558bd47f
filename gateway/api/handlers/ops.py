"""Current queues and holds, for operators; an audit on request."""

from __future__ import annotations

from http import HTTPStatus

from aiohttp import web

from gateway.api.errors import NotFound
from gateway.api.http.respond import answer
from gateway.api.services import LEDGER, RATE_CARDS, SETTINGS
from gateway.api.watching import queues_shape
from gateway.ledger.audit import make_audit_due
from gateway.schemas.ops import AuditAsked, ScaleOut


async def queues(request: web.Request) -> web.Response:
    """`GET /v1/ops/queues`."""
    return answer(await queues_shape(request.app))


async def ask_for_audit(request: web.Request) -> web.Response:
    """`POST /v1/ops/audit`: a caretaker makes it, as it makes the daily one."""
    await make_audit_due(request.app[LEDGER])
    return answer(AuditAsked(object="audit_request"), status=HTTPStatus.ACCEPTED)


async def scale(request: web.Request) -> web.Response:
    """`GET /v1/ops/scale/{tool}`: also 0, so that an autoscaler may stop the last worker and start it again."""
    tool, totals = request.match_info["tool"], await request.app[LEDGER].totals()
    queued, running = totals.queued.get(tool, 0), totals.running.get(tool, 0)
    if tool not in request.app[RATE_CARDS].card.tools and not queued and not running:
        raise NotFound(f"There is no tool {tool}, and no open generation of one.")
    jobs = request.app[SETTINGS].worker_jobs
    return answer(
        ScaleOut(tool=tool, value=round((queued + running) / jobs, 3), queued=queued, running=running, worker_jobs=jobs)
    )
