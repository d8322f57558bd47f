"""Operators' calls about accounts: create, read, grant, adjust, advance the clock."""

from __future__ import annotations

import asyncio
from http import HTTPStatus

from aiohttp import web

from gateway.api.access.auth import found
from gateway.api.errors import Forbidden, InvalidRequest
from gateway.api.http.parse import read_body, read_query
from gateway.api.http.respond import answer
from gateway.api.middleware.idempotency import operation
from gateway.api.ownership.changes import applied, check_support_ceiling, refusal_of_change
from gateway.api.ownership.own_generations import shapes
from gateway.api.services import LEDGER, RATE_CARDS, SETTINGS
from gateway.domain import credits_to_millicredits, is_account_id
from gateway.errors import FieldProblem
from gateway.ledger import outcomes
from gateway.pricing.consistency import not_discountable
from gateway.pricing.costs import MICRO
from gateway.schemas import accounts as account_schemas
from gateway.schemas.base import to_milliseconds
from gateway.views.accounts import account_shape
from gateway.views.generations import entry_shape

RECENT = 10


async def put(request: web.Request) -> web.Response:
    """`PUT /v1/admin/accounts/{account}`: 201 if it is new."""
    body = await read_body(request, account_schemas.AccountIn)
    account = request.match_info["account"]
    if not is_account_id(account):
        text = "must be 1 to 64 characters: letters, digits, and _ . @ - (not . or .. alone)"
        raise InvalidRequest(f"The account id {text}.", fields=[FieldProblem("id", text)])
    outcome = await request.app[LEDGER].put_account(
        account=account, email=body.email, metadata=body.metadata, free_credits=body.free_credits
    )
    if isinstance(outcome, outcomes.Refused):
        raise refusal_of_change(outcome, "email")
    made, new = outcome
    return answer(account_shape(made), status=HTTPStatus.CREATED if new else HTTPStatus.OK)


async def get(request: web.Request) -> web.Response:
    """`GET /v1/admin/accounts/{account}`: with everything support needs."""
    account = request.match_info["account"]
    return await _whole(request, found(await request.app[LEDGER].account(account=account), _what(account)))


async def find(request: web.Request) -> web.Response:
    """`GET /v1/admin/accounts?email=`."""
    query = read_query(request, account_schemas.AccountQuery)
    account = found(await request.app[LEDGER].find_account(email=query.email), f"account with the email {query.email}")
    return await _whole(request, account)


async def grant(request: web.Request) -> web.Response:
    """`POST /v1/admin/accounts/{account}/grants` (R5)."""
    body = await read_body(request, account_schemas.GrantIn)
    check_support_ceiling(request, credits_to_millicredits(body.credits))
    outcome = await request.app[LEDGER].grant(
        account=request.match_info["account"],
        operation=operation(request),
        bucket=body.bucket,
        millicredits=credits_to_millicredits(body.credits),
        expires_at=None if body.expires_at is None else to_milliseconds(body.expires_at),
        reason=body.reason,
        paid_micro=None if body.paid is None else int(body.paid * MICRO),
    )
    made = applied(request, outcome, "credits")
    shape = account_schemas.GrantMade(grant=made.grant, account=account_shape(made.account))
    return answer(shape, status=HTTPStatus.CREATED)


async def adjust(request: web.Request) -> web.Response:
    """`POST /v1/admin/accounts/{account}/adjustments` (R24)."""
    body = await read_body(request, account_schemas.AdjustmentIn)
    check_support_ceiling(request, credits_to_millicredits(body.credits))
    outcome = await request.app[LEDGER].adjust(
        account=request.match_info["account"],
        operation=operation(request),
        bucket=body.bucket,
        millicredits=credits_to_millicredits(body.credits),
        reason=body.reason,
    )
    account = applied(request, outcome, "credits").account
    return answer(account_schemas.Adjusted(account=account_shape(account)), status=HTTPStatus.CREATED)


async def set_alerts(request: web.Request) -> web.Response:
    """`PUT /v1/admin/accounts/{account}/alerts`: the thresholds of low-credit alerts."""
    body = await read_body(request, account_schemas.AlertsIn)
    outcome = await request.app[LEDGER].set_alerts(
        account=request.match_info["account"],
        operation=operation(request),
        thousandths=body.thousandths,
    )
    return answer(account_shape(applied(request, outcome, "thresholds").account))


async def set_factors(request: web.Request) -> web.Response:
    """`PUT /v1/admin/accounts/{account}/factors`: what the account pays of the rate card's prices."""
    body = await read_body(request, account_schemas.FactorsIn)
    card = request.app[RATE_CARDS].card
    problems = {name: not_discountable(card, name) for name in body.factors}
    fields = [FieldProblem(f"factors.{name}", problem) for name, problem in problems.items() if problem is not None]
    if fields:
        stop = "" if fields[0].message.endswith("?") else "."
        raise InvalidRequest(f"`{fields[0].path}` {fields[0].message}{stop}", fields=fields)
    outcome = await request.app[LEDGER].set_factors(
        account=request.match_info["account"], operation=operation(request), factors=body.factors
    )
    return answer(account_shape(applied(request, outcome, "factors").account))


async def advance_clock(request: web.Request) -> web.Response:
    """`POST /v1/admin/accounts/{account}/clock` (R22)."""
    body = await read_body(request, account_schemas.ClockIn)
    if not request.app[SETTINGS].in_test_mode:
        raise Forbidden(
            "Clocks can only be advanced in test mode, which is off on this gateway. Set FAREBOX_TEST_MODE=1 on a "
            "gateway without real customers."
        )
    outcome = await request.app[LEDGER].advance(
        account=request.match_info["account"],
        operation=operation(request),
        advance_ms=body.advance_seconds * 1000,
    )
    return answer(account_shape(applied(request, outcome, "advance_seconds").account))


async def _whole(request: web.Request, account: outcomes.Account) -> web.Response:
    """The account with its newest entries and generations."""
    ledger = request.app[LEDGER]
    journal, generations = await asyncio.gather(
        ledger.journal(account=account.id, keys_version=None, limit=RECENT),
        ledger.generations(account=account.id, keys_version=None, limit=RECENT),
    )
    entries = found(journal, _what(account.id)).data
    last = found(generations, _what(account.id)).data
    return answer(
        account_shape(
            account,
            journal=[entry_shape(entry) for entry in entries],
            generations=await shapes(request, last),
        )
    )


def _what(account: str) -> str:
    return f"account {account}"
