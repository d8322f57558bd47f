"""Buying credits and plans: bundles, checkouts, the checkout page, and the payment provider's webhook."""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from http import HTTPStatus
from typing import Literal

from aiohttp import web

from gateway.api.access.auth import ACCOUNT_CALLER, OWN_ACCOUNT, found
from gateway.api.access.sessions import from_our_page
from gateway.api.console import PAGE_POLICY
from gateway.api.errors import Forbidden, InvalidRequest, LedgerDown, NotFound, PaymentsDown, SubscriptionRequired
from gateway.api.http.parse import query_of, raw_body, read_body, read_form
from gateway.api.http.respond import answer
from gateway.api.middleware.idempotency import seed
from gateway.api.ownership.changes import too_few_seats
from gateway.api.ownership.sold import not_sold, plan_sold
from gateway.api.services import CHECKOUT_LINKS, LEDGER, PAYMENT_EVENTS, PAYMENTS, RATE_CARDS, SETTINGS, STARTUP
from gateway.domain import Interval
from gateway.errors import EventRefused, PaymentsUnavailable
from gateway.ledger import outcomes
from gateway.ledger.payments import Checkout
from gateway.outside.return_urls import origin_of, with_checkout
from gateway.payments import PaymentProvider
from gateway.payments.apply import apply
from gateway.payments.base import CheckoutStarted, PaymentMade
from gateway.payments.page import missing, page
from gateway.payments.received import NoRoomForEvent
from gateway.schemas import payments as payment_schemas
from gateway.views.payments import CURRENCY, bundle_shape


@dataclass(frozen=True, slots=True)
class _Item:
    """The item to buy, at the rate card's current price."""

    kind: Literal["bundle", "plan"]
    what: str
    interval: Interval | None
    name: str
    millicredits: int
    price: Decimal


class InvalidSignature(InvalidRequest):
    """A webhook request without a valid signature of the payment provider."""

    status = 400


async def bundles(request: web.Request) -> web.Response:
    """`GET /v1/bundles`."""
    card = request.app[RATE_CARDS].card
    data = [bundle_shape(bundle_id, bundle) for bundle_id, bundle in card.bundles.items()]
    return answer(payment_schemas.BundlesOut(data=data, rate_card=card.version))


async def top_up(request: web.Request) -> web.Response:
    """`POST /v1/top-ups`: start the purchase of a bundle (R4)."""
    body = await read_body(request, payment_schemas.TopUpIn)
    provider = _provider(request)
    sold = request.app[RATE_CARDS].card.bundles
    bundle = sold.get(body.bundle)
    if bundle is None:
        raise not_sold("bundle", f"must be one of {', '.join(sold) or 'the bundles of the rate card, which has none'}")
    item = _Item("bundle", body.bundle, None, bundle.name, bundle.millicredits, bundle.price)
    return await _begin(request, provider, item, _returning(request, body))


async def subscribe(request: web.Request) -> web.Response:
    """`POST /v1/subscriptions`: start the purchase of a plan."""
    body = await read_body(request, payment_schemas.SubscriptionBuyIn)
    provider = _provider(request)
    plan, price = plan_sold(request, body.plan, body.interval)
    item = _Item("plan", body.plan, body.interval, plan.name, plan.monthly_millicredits, price)
    return await _begin(request, provider, item, _returning(request, body))


async def show(request: web.Request) -> web.Response:
    """`GET /checkout/{checkout}?token=`: the page of a purchase, for anyone with its link."""
    token = query_of(request).get("token", "")
    checkout = await _linked(request, token)
    if checkout is None:
        return _html(missing(), HTTPStatus.NOT_FOUND)
    return _html(page(checkout, token), leads_to=(checkout.success_url, checkout.cancel_url))


async def press(request: web.Request) -> web.Response:
    """`POST /checkout/{checkout}`: pay or decline a test purchase, from its own page only."""
    if from_our_page(request, request.app[SETTINGS].public_address) is False:
        raise Forbidden("A test checkout can only be paid from its own page.")
    form = await read_form(request, payment_schemas.CheckoutForm)
    checkout = await _linked(request, form.token)
    provider = request.app[PAYMENTS]
    if checkout is None or provider is None or provider.name != "local" or checkout.provider != "local":
        return _html(missing(), HTTPStatus.NOT_FOUND)
    if form.answer == "pay":
        made = PaymentMade(checkout.account, checkout.id, f"local:{checkout.id}")
        await apply(made, request.app[LEDGER], provider)
    else:
        await request.app[LEDGER].decline(account=checkout.account, checkout=checkout.id)
    ended = found(
        await request.app[LEDGER].checkout(account=checkout.account, checkout=checkout.id), f"checkout {checkout.id}"
    )
    # Reloading the page that follows must not send the form again.
    page_again = request.app[CHECKOUT_LINKS].url(checkout).removeprefix(request.app[SETTINGS].public_address)
    follows = (ended.success_url if ended.status == "paid" else ended.cancel_url) or page_again
    return web.Response(status=HTTPStatus.SEE_OTHER, headers={"Location": follows})


async def stripe_webhook(request: web.Request) -> web.Response:
    """`POST /v1/payments/stripe/webhook`: an event signed by Stripe; one that cannot be applied yet is stored."""
    provider = request.app[PAYMENTS]
    if provider is None or provider.name != "stripe":
        raise NotFound("This gateway does not accept Stripe payments.")
    if not request.app[STARTUP].ready:
        raise LedgerDown(f"Farebox is not ready: {request.app[STARTUP].problem}. Send the event again.")
    try:
        event = provider.signed(await raw_body(request, signed=True), request.headers)
        await request.app[PAYMENT_EVENTS].receive(event)
    except EventRefused as error:
        raise InvalidSignature(f"The event was rejected: {error}. Nothing was done.") from None
    except PaymentsUnavailable as error:
        raise PaymentsDown(f"Stripe is not responding ({error}). Send the event again.") from None
    except NoRoomForEvent as error:
        raise LedgerDown(f"{error}: see GET /v1/ops/payment-events. Send the event again.") from None
    return web.json_response({"received": True})


def checkout_id(seed_: str | None) -> str:
    """A purchase's id: random, or derived from the idempotency key so that concurrent duplicates share one."""
    digest = hashlib.sha256(f"checkout\n{seed_}".encode()).digest()[:15] if seed_ else secrets.token_bytes(15)
    return f"chk_{base64.b32encode(digest).decode().lower()}"


@dataclass(frozen=True, slots=True)
class _Returning:
    """Where the customer goes from the payment page; None: to the gateway's own page."""

    success_url: str | None
    cancel_url: str | None


def _returning(request: web.Request, body: payment_schemas.TopUpIn | payment_schemas.SubscriptionBuyIn) -> _Returning:
    """The return URLs of a purchase; InvalidRequest if an origin is not allowed."""
    allowed = request.app[SETTINGS].return_urls
    for field, url in (("success_url", body.success_url), ("cancel_url", body.cancel_url)):
        problem = None if url is None else allowed.problem(url)
        if problem is not None:
            raise not_sold(field, problem)
    return _Returning(body.success_url, body.cancel_url)


async def _begin(request: web.Request, provider: PaymentProvider, item: _Item, returning: _Returning) -> web.Response:
    """Start a purchase in the ledger, then at the provider: from then on it stays valid."""
    caller, checkout = request[ACCOUNT_CALLER], checkout_id(seed(request))
    success_url, cancel_url = (
        None if url is None else with_checkout(url, checkout) for url in (returning.success_url, returning.cancel_url)
    )
    outcome = await request.app[LEDGER].check_out(
        account=caller.account,
        checkout=checkout,
        keys_version=caller.keys_version,
        kind=item.kind,
        what=item.what,
        interval=item.interval,
        name=item.name,
        millicredits=item.millicredits,
        price=item.price,
        currency=CURRENCY,
        provider=provider.name,
        live=provider.live,
        success_url=success_url,
        cancel_url=cancel_url,
    )
    if isinstance(outcome, outcomes.Refused):
        raise too_few_seats(outcome) if outcome.reason == "too_few_seats" else _refusal(outcome.reason)
    begun = found(outcome, OWN_ACCOUNT)
    try:
        started = await _start(request, provider, begun)
    except PaymentsUnavailable as error:
        raise PaymentsDown(
            f"The payment provider is not responding ({error}). Nothing was bought; retry with the same "
            "Idempotency-Key."
        ) from None
    return answer(payment_schemas.CheckoutOut(id=begun.id, checkout_url=started.url), status=HTTPStatus.CREATED)


async def _start(request: web.Request, provider: PaymentProvider, begun: Checkout) -> CheckoutStarted:
    """Start it at the provider, with the account's customer id, so that it stays one customer there."""
    ledger = request.app[LEDGER]
    email = found(await ledger.account(account=begun.account), OWN_ACCOUNT).email
    if begun.customer is None:
        customer = await provider.customer(begun.account, email)
        if customer is not None:
            customer = await ledger.set_customer(account=begun.account, customer=customer, checkout=begun.id)
        begun = replace(begun, customer=customer)
    return await provider.checkout(begun, email)


def _provider(request: web.Request) -> PaymentProvider:
    provider = request.app[PAYMENTS]
    if provider is None:
        raise Forbidden(
            "Payments are disabled on this gateway. Its operator can enable them (FAREBOX_PAYMENTS) or grant credits."
        )
    return provider


def _refusal(reason: str) -> Exception:
    match reason:
        case "subscription_required":
            return SubscriptionRequired(
                "Top-ups require an active subscription. Subscribe to a plan first (POST /v1/subscriptions). "
                "Nothing was bought."
            )
        case "test_account":
            return Forbidden(
                "This is a test account: its clock has been advanced, so it can never make a live payment. Use "
                "another account, or a gateway with FAREBOX_PAYMENTS=local."
            )
        case "already_subscribed":
            return not_sold("plan", "is already the account's plan, at this interval")
        case _:
            return not_sold("plan", "is no longer on sale")


async def _linked(request: web.Request, token: str) -> Checkout | None:
    """The purchase of a link; None if the link is invalid."""
    checkout = request.match_info["checkout"]
    account = request.app[CHECKOUT_LINKS].account(token, checkout)
    if account is None:
        return None
    read = await request.app[LEDGER].checkout(account=account, checkout=checkout)
    return None if isinstance(read, outcomes.NotFound) else read


def _html(text: str, status: int = HTTPStatus.OK, leads_to: Sequence[str | None] = ()) -> web.Response:
    # Browsers apply `form-action` to the redirect after a form too. It is the last directive.
    origins = dict.fromkeys(origin_of(url) for url in leads_to if url is not None)
    policy = " ".join((PAGE_POLICY, *origins))
    # With `no-referrer`, a browser would send the form with the origin `null`.
    headers = {"Content-Security-Policy": policy, "Referrer-Policy": "same-origin"}
    return web.Response(text=text, status=status, content_type="text/html", charset="utf-8", headers=headers)
