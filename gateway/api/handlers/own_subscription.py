"""An account's changes to the subscription that it pays for itself: change, cancel, resume (R3, R12).

Only changes that cost nothing now: an immediate change of plan is a purchase, `POST /v1/subscriptions`. A subscription
paid through Stripe is cancelled and resumed at Stripe, whose webhook confirms it. One arranged by the operator can only
be changed by the operator, or accounts could give themselves unpaid credits.
"""

from __future__ import annotations

from aiohttp import web

from gateway.api.access.auth import ACCOUNT_CALLER
from gateway.api.errors import Forbidden, InvalidRequest, PaymentsDown
from gateway.api.http.parse import read_body, read_query
from gateway.api.http.respond import answer
from gateway.api.middleware.idempotency import operation
from gateway.api.ownership.changes import applied
from gateway.api.ownership.sold import plan_sold
from gateway.api.ownership.target_account import account_of, own_account, target_account
from gateway.api.services import LEDGER, PAYMENTS, RATE_CARDS
from gateway.errors import FieldProblem, PaymentsUnavailable
from gateway.ledger import outcomes
from gateway.payments import PaymentProvider
from gateway.schemas import payments as payment_schemas
from gateway.schemas.base import OfAccount
from gateway.views.accounts import balance_shape
from gateway.views.subscriptions import subscription_shape

_SUBSCRIPTION = "subscription"


async def get(request: web.Request) -> web.Response:
    """`GET /v1/subscription`: the current plan, and scheduled changes."""
    account = await account_of(request, target_account(request, read_query(request, OfAccount).account))
    own = account.subscription
    changeable = own is not None and _pays_itself(request.app[PAYMENTS], own) is not None
    return answer(subscription_shape(account, request.app[RATE_CARDS].card, changeable=changeable))


async def change(request: web.Request) -> web.Response:
    """`PATCH /v1/subscription`: another plan or interval, from the end of the paid period on."""
    body = await read_body(request, payment_schemas.OwnChangeIn)
    _, subscription = await _own(request)
    if subscription.billing is not None:
        raise Forbidden(
            "This plan is billed by Stripe, where a change cannot be scheduled. Buy the other plan now (POST "
            "/v1/subscriptions), or cancel this one (DELETE /v1/subscription) and buy the other when it ends. "
            "Nothing was changed."
        )
    interval = body.interval or subscription.interval
    plan_sold(request, body.plan, interval)
    outcome = await request.app[LEDGER].change(
        account=request[ACCOUNT_CALLER].account,
        operation=operation(request),
        plan=body.plan,
        interval=interval,
        when="period_end",
    )
    return answer(balance_shape(applied(request, outcome, "plan").account))


async def cancel(request: web.Request) -> web.Response:
    """`DELETE /v1/subscription`: at the end of the paid period."""
    return await _renew(request, renews=False)


async def resume(request: web.Request) -> web.Response:
    """`POST /v1/subscription/resume`: undo a cancellation or a scheduled change."""
    return await _renew(request, renews=True)


async def _renew(request: web.Request, *, renews: bool) -> web.Response:
    provider, subscription = await _own(request)
    if subscription.billing is not None:
        try:
            await provider.renew(subscription.billing, renews=renews)
        except PaymentsUnavailable as error:
            raise PaymentsDown(f"Stripe is not responding ({error}). Nothing was changed; try again.") from None
        return answer(balance_shape(await own_account(request)))
    ledger, account = request.app[LEDGER], request[ACCOUNT_CALLER].account
    move = ledger.resume if renews else ledger.unsubscribe
    outcome = await move(account=account, operation=operation(request))
    return answer(balance_shape(applied(request, outcome, _SUBSCRIPTION).account))


async def _own(request: web.Request) -> tuple[PaymentProvider, outcomes.Subscription]:
    """The subscription and its payment provider; Forbidden if the account does not pay for it itself."""
    subscription = (await own_account(request)).subscription
    if subscription is None:
        text = "cannot be changed: this account has no subscription. Buy a plan with POST /v1/subscriptions"
        raise InvalidRequest(
            f"The subscription {text}. Nothing was changed.", fields=[FieldProblem(_SUBSCRIPTION, text)]
        )
    provider = _pays_itself(request.app[PAYMENTS], subscription)
    if provider is None:
        raise Forbidden(
            "This subscription is managed by the operator of this gateway; contact them to change it. Nothing "
            "was changed."
        )
    return provider, subscription


def _pays_itself(provider: PaymentProvider | None, subscription: outcomes.Subscription) -> PaymentProvider | None:
    """The provider that bills it; None: the operator arranged it.

    Neither a test payment nor, with real payments, an operator's subscription has a subscription at a provider.
    """
    return None if provider is None or (subscription.billing is not None) != provider.live else provider
