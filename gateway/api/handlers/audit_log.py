"""The audit log: what operators' keys changed (`gateway.api.middleware.operator_calls` writes it)."""

from __future__ import annotations

from aiohttp import web

from gateway.api.http.parse import read_query
from gateway.api.http.periods import period_of
from gateway.api.http.respond import answer
from gateway.api.services import LEDGER
from gateway.ledger.audit_log import CallFilter
from gateway.schemas import audit_log as audit_schemas
from gateway.views.audit_log import audit_log_entry_shape


async def listed(request: web.Request) -> web.Response:
    """`GET /v1/admin/audit-log`: newest first."""
    query = read_query(request, audit_schemas.AuditLogQuery)
    first_ms, end_ms = period_of(query)
    only = CallFilter(account=query.account, key=query.key, action=query.action, first_ms=first_ms, end_ms=end_ms)
    page = await request.app[LEDGER].audit_log(limit=query.limit, before=query.before, only=only)
    return answer(
        audit_schemas.AuditLogOut(data=[audit_log_entry_shape(logged) for logged in page.data], next=page.next)
    )
