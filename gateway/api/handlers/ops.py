"""Current queues and holds, for operators; an audit on request."""

from __future__ import annotations

from http import HTTPStatus

from aiohttp import web

from gateway.api.http.respond import answer
from gateway.api.services import LEDGER
from gateway.api.watching import queues_shape
from gateway.ledger.audit import make_audit_due
from gateway.schemas.ops import AuditAsked


async def queues(request: web.Request) -> web.Response:
    """`GET /v1/ops/queues`."""
    return answer(await queues_shape(request.app))


async def ask_for_audit(request: web.Request) -> web.Response:
    """`POST /v1/ops/audit`: a caretaker makes it, as it makes the daily one."""
    await make_audit_due(request.app[LEDGER])
    return answer(AuditAsked(object="audit_request"), status=HTTPStatus.ACCEPTED)
