"""What operators do with an account: create, read, grant, adjust, move its clock."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from http import HTTPStatus
from typing import Any

from aiohttp import web

from gateway.api.auth import found
from gateway.api.context import caller
from gateway.api.credits import balance_shape
from gateway.api.errors import Forbidden, InvalidRequest, NotFound
from gateway.api.generations import queue_positions
from gateway.api.idempotency import operation
from gateway.api.keys import key_shape
from gateway.api.parse import read_body, read_query
from gateway.api.respond import answer
from gateway.api.services import LEDGER, LINKS, RATE_CARDS, SETTINGS
from gateway.domain import credits_to_millicredits, format_credits, is_account_id
from gateway.errors import FieldProblem
from gateway.ledger import outcomes as o
from gateway.schemas import accounts as s
from gateway.schemas.base import to_milliseconds, utc, utc_or_none
from gateway.shapes import entry_shape, generation_shape

RECENT = 10
_THOUSANDTHS = 1000


async def put(request: web.Request) -> web.Response:
    """`PUT /v1/admin/accounts/{account}`: 201 if it is new."""
    body = await read_body(request, s.AccountIn)
    account = request.match_info["account"]
    if not is_account_id(account):
        text = "must be 1 to 64 letters, digits or any of _ . @ -, and neither . nor .."
        raise InvalidRequest(f"An account's id {text}.", fields=[FieldProblem("id", text)])
    outcome = await request.app[LEDGER].put_account(account=account, email=body.email, metadata=body.metadata)
    if isinstance(outcome, o.Refused):
        raise _refusal(outcome, "email")
    made, new = outcome
    return answer(account_shape(made), status=HTTPStatus.CREATED if new else HTTPStatus.OK)


async def get(request: web.Request) -> web.Response:
    """`GET /v1/admin/accounts/{account}`: everything support needs."""
    account = request.match_info["account"]
    return await _whole(request, found(await request.app[LEDGER].account(account=account), _what(account)))


async def find(request: web.Request) -> web.Response:
    """`GET /v1/admin/accounts?email=`."""
    query = read_query(request, s.AccountQuery)
    account = found(await request.app[LEDGER].find_account(email=query.email), f"account with the email {query.email}")
    return await _whole(request, account)


async def grant(request: web.Request) -> web.Response:
    """`POST /v1/admin/accounts/{account}/grants` (R5)."""
    body = await read_body(request, s.GrantIn)
    outcome = await request.app[LEDGER].grant(
        account=request.match_info["account"],
        operation=operation(request),
        bucket=body.bucket,
        millicredits=credits_to_millicredits(body.credits),
        expires_at=None if body.expires_at is None else to_milliseconds(body.expires_at),
        reason=body.reason,
    )
    made = applied(request, outcome, "credits")
    shape = s.GrantMade(grant=made.grant, account=account_shape(made.account))
    return answer(shape, status=HTTPStatus.CREATED)


async def adjust(request: web.Request) -> web.Response:
    """`POST /v1/admin/accounts/{account}/adjustments` (R24)."""
    body = await read_body(request, s.AdjustmentIn)
    outcome = await request.app[LEDGER].adjust(
        account=request.match_info["account"],
        operation=operation(request),
        bucket=body.bucket,
        millicredits=credits_to_millicredits(body.credits),
        reason=body.reason,
    )
    account = applied(request, outcome, "credits").account
    return answer(s.Adjusted(account=account_shape(account)), status=HTTPStatus.CREATED)


async def set_alerts(request: web.Request) -> web.Response:
    """`PUT /v1/admin/accounts/{account}/alerts`: when the journal says that credits run low."""
    body = await read_body(request, s.AlertsIn)
    outcome = await request.app[LEDGER].set_alerts(
        account=request.match_info["account"],
        operation=operation(request),
        thousandths=[int(threshold * _THOUSANDTHS) for threshold in body.thresholds],
    )
    return answer(account_shape(applied(request, outcome, "thresholds").account))


async def advance_clock(request: web.Request) -> web.Response:
    """`POST /v1/admin/accounts/{account}/clock` (R22)."""
    body = await read_body(request, s.ClockIn)
    if not request.app[SETTINGS].in_test_mode:
        raise Forbidden(
            "An account's clock can be moved in test mode only, and this gateway is not in it. Set FAREBOX_TEST_MODE=1 "
            "where no real customers are."
        )
    outcome = await request.app[LEDGER].advance(
        account=request.match_info["account"],
        operation=operation(request),
        advance_ms=body.advance_seconds * 1000,
    )
    return answer(account_shape(applied(request, outcome, "advance_seconds").account))


def account_shape(account: o.Account, **recent: Any) -> s.AccountOut:
    """An account as operators see it; `recent` adds its last entries and generations."""
    return s.AccountOut(
        id=account.id,
        object="account",
        email=account.email,
        metadata=dict(account.metadata),
        test=account.test,
        created_at=utc(account.created_at),
        clock=s.Clock(now=utc(account.now), offset_seconds=account.clock_offset_ms // 1000),
        balance=balance_shape(account),
        subscription_started_at=utc_or_none(account.subscription.started_at if account.subscription else None),
        alerts=s.Alerts(
            thresholds=[Decimal(part) / _THOUSANDTHS for part in account.alerts_thousandths],
            reached=[Decimal(part) / _THOUSANDTHS for part in account.alerted_thousandths],
        ),
        in_work=dict(account.in_work),
        waiting=dict(account.waiting),
        keys=[key_shape(key) for key in account.keys],
        **recent,
    )


async def _whole(request: web.Request, account: o.Account) -> web.Response:
    """The account with its last entries and generations."""
    ledger = request.app[LEDGER]
    journal, generations = await asyncio.gather(
        ledger.journal(account=account.id, keys_version=None, limit=RECENT),
        ledger.generations(account=account.id, keys_version=None, limit=RECENT),
    )
    entries = found(journal, _what(account.id)).data
    last = found(generations, _what(account.id)).data
    positions = await queue_positions(request, last)
    return answer(
        account_shape(
            account,
            journal=[entry_shape(entry) for entry in entries],
            generations=[
                generation_shape(one, request.app[LINKS], position)
                for one, position in zip(last, positions, strict=True)
            ],
        )
    )


def applied(request: web.Request, outcome: o.NotFound | o.Refused | o.Applied, field: str) -> o.Applied:
    """The change of the account in the path, or the caller's own, its promotions dispatched; else the refusal."""
    account = request.match_info.get("account") or caller(request).acting_account
    match outcome:
        case o.NotFound():
            raise NotFound(f"There is no {_what(account)}.")
        case o.Refused():
            raise _refusal(outcome, field, plans=request.app[RATE_CARDS].card.plans)
        case o.Applied():
            return outcome


def _refusal(refused: o.Refused, field: str, plans: Any = ()) -> InvalidRequest:
    """Why an operator's change cannot be made, field by field."""
    match refused.reason:
        case "unknown_plan":
            path, text = "plan", f"must be one of {', '.join(plans) or 'the plans of the rate card: it has none'}"
        case "starts_in_future":
            path, text = "started_at", f"must not be in the future: the account's time is {_time(refused)}"
        case "paid_through_past":
            path, text = "paid_through", f"must be later than the account's time, {_time(refused)}"
        case "expires_in_past":
            path, text = "expires_at", f"must be later than the account's time, {_time(refused)}"
        case "not_available":
            path = "credits"
            text = f"takes away more than the bucket has available: {_amount(refused)}. Held credits are not touched"
        case "no_subscription" if field in {"plan", "subscription"}:
            path, text = field, "cannot be changed: the account has no subscription. Start one with PUT"
        case "no_subscription":
            path = "bucket"
            text = "must not be `subscription`: the account has no subscription. Use `top_up`, or start one"
        case "too_far":
            path, text = field, f"moves the account's clock, at {_time(refused)}, past the year 9000"
        case "too_much":
            path, text = field, "would give the account more than a ledger can count. Give less"
        case "too_many_grants":
            path, text = field, "would be another grant, and the account has 500 that are not spent (limit: 500)"
        case "email_taken":
            path, text = "email", f"belongs to the account {refused.detail}"
        case reason:
            path, text = field, f"was refused: {reason.replace('_', ' ')}"
    about = f"`{path}` {text}." if path else f"It {text}."
    return InvalidRequest(f"{about} Nothing was changed.", fields=[FieldProblem(path, text)])


def _time(refused: o.Refused) -> str:
    return utc(int(refused.detail))


def _amount(refused: o.Refused) -> str:
    return f"{format_credits(int(refused.detail))} credits"


def _what(account: str) -> str:
    return f"account {account}"
