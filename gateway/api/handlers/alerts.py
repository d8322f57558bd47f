"""An account's low-credit alerts: at which fractions of its plan's credits the journal and webhooks report (R19)."""

from __future__ import annotations

from aiohttp import web

from gateway.api.access.auth import ACCOUNT_CALLER
from gateway.api.http.parse import read_body, read_query
from gateway.api.http.respond import answer
from gateway.api.middleware.idempotency import operation
from gateway.api.ownership.changes import applied
from gateway.api.ownership.target_account import account_of, target_account
from gateway.api.services import LEDGER
from gateway.schemas.accounts import AlertsIn
from gateway.schemas.base import OfAccount
from gateway.views.accounts import alerts_shape


async def get(request: web.Request) -> web.Response:
    """`GET /v1/alerts`."""
    target = target_account(request, read_query(request, OfAccount).account)
    return answer(alerts_shape(await account_of(request, target)))


async def put(request: web.Request) -> web.Response:
    """`PUT /v1/alerts`: the thresholds, all of them."""
    body = await read_body(request, AlertsIn)
    outcome = await request.app[LEDGER].set_alerts(
        account=request[ACCOUNT_CALLER].account, operation=operation(request), thousandths=body.thousandths
    )
    return answer(alerts_shape(applied(request, outcome, "thresholds").account))
