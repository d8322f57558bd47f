"""Operators' calls about an account's subscription: start, renew, change, cancel, resume (R2, R3, R12)."""

from __future__ import annotations

from aiohttp import web

from gateway.api.http.parse import read_body
from gateway.api.http.respond import answer
from gateway.api.middleware.idempotency import operation
from gateway.api.ownership.changes import applied
from gateway.api.services import LEDGER
from gateway.schemas import accounts as account_schemas
from gateway.schemas.base import to_milliseconds
from gateway.views.accounts import account_shape

# `DELETE` and `resume` have no body, so their errors name the path's resource instead of a field.
_SUBSCRIPTION = "subscription"


async def put(request: web.Request) -> web.Response:
    """`PUT /v1/admin/accounts/{account}/subscription`: start or renew."""
    body = await read_body(request, account_schemas.SubscriptionIn)
    outcome = await request.app[LEDGER].subscribe(
        account=request.match_info["account"],
        operation=operation(request),
        plan=body.plan,
        interval=body.interval,
        started_at=None if body.started_at is None else to_milliseconds(body.started_at),
        paid_through=None if body.paid_through is None else to_milliseconds(body.paid_through),
    )
    return answer(account_shape(applied(request, outcome, "plan").account))


async def change(request: web.Request) -> web.Response:
    """`PATCH /v1/admin/accounts/{account}/subscription`: another plan or interval, now or at the period's end."""
    body = await read_body(request, account_schemas.SubscriptionChangeIn)
    outcome = await request.app[LEDGER].change(
        account=request.match_info["account"],
        operation=operation(request),
        plan=body.plan,
        interval=body.interval,
        when=body.when,
    )
    return answer(account_shape(applied(request, outcome, "plan").account))


async def cancel(request: web.Request) -> web.Response:
    """`DELETE /v1/admin/accounts/{account}/subscription`: at the end of the paid period; until then, see `resume`."""
    outcome = await request.app[LEDGER].unsubscribe(account=request.match_info["account"], operation=operation(request))
    return answer(account_shape(applied(request, outcome, _SUBSCRIPTION).account))


async def resume(request: web.Request) -> web.Response:
    """`POST /v1/admin/accounts/{account}/subscription/resume`: undo a cancellation or a scheduled change."""
    outcome = await request.app[LEDGER].resume(account=request.match_info["account"], operation=operation(request))
    return answer(account_shape(applied(request, outcome, _SUBSCRIPTION).account))
