"""Payments by Stripe: Checkout pages for bundles and plans, and the webhook that reports their result.

Prices are sent inline from the rate card; only the webhook has to be set up in Stripe. Idempotency keys given to Stripe
derive from the purchase's id (R11). No card data ever reaches the gateway, and no key is ever logged.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import stripe
import structlog

from gateway.clock import now_seconds
from gateway.domain import Interval
from gateway.errors import EventNotUnderstood, EventRefused, PaymentsUnavailable
from gateway.ledger.payments import Checkout
from gateway.outside.strict_json import NotJson, read_json
from gateway.payments.base import CheckoutStarted, PaymentEvent, minor_units
from gateway.payments.links import CheckoutLinks
from gateway.payments.stripe_events import INTERVAL, PLAN, translate
from gateway.payments.stripe_money import ACCOUNT, CHECKOUT, MoneyMoved
from gateway.payments.stripe_returns import returned

if TYPE_CHECKING:
    from stripe.params import CustomerCreateParams
    from stripe.params.checkout import (
        SessionCreateParams,
        SessionCreateParamsLineItemPriceData,
        SessionCreateParamsLineItemPriceDataRecurring,
    )

SIGNATURE_HEADER = "Stripe-Signature"
TOLERANCE_SECONDS = 300  # Stripe's own default: how old a signed event may be
TIMEOUT_SECONDS = 20
_REFUSED, _BROKEN, _LIMITED = 400, 500, 429
RETRIES = 2

_RECURRING: Mapping[Interval, SessionCreateParamsLineItemPriceDataRecurring] = {
    Interval.MONTHLY: {"interval": "month", "interval_count": 1},
    Interval.QUARTERLY: {"interval": "month", "interval_count": 3},
    Interval.YEARLY: {"interval": "year", "interval_count": 1},
}

log = structlog.get_logger(__name__)


class StripePayments:
    """Stripe, by its official library. `api_base` is only set by tests."""

    name = "stripe"
    live = True

    def __init__(
        self, *, key: str, webhook_secret: str, links: CheckoutLinks, api_base: str = stripe.DEFAULT_API_BASE
    ) -> None:
        self._webhook_secret = webhook_secret
        self._links = links
        self._http = stripe.AIOHTTPClient(timeout=TIMEOUT_SECONDS)
        self._client = stripe.StripeClient(
            key, http_client=self._http, base_addresses={"api": api_base}, max_network_retries=RETRIES
        )

    async def customer(self, account: str, email: str | None) -> str | None:
        """A customer for an account, the same one until its email changes; None if the key may not create any."""
        about = hashlib.sha256(f"{account}\n{email or ''}".encode()).hexdigest()
        options: stripe.RequestOptions = {"idempotency_key": f"farebox-customer-{about}"}
        params: CustomerCreateParams = {"metadata": {ACCOUNT: account}}
        if email is not None:
            params["email"] = email
        try:
            made = await self._client.v1.customers.create_async(params=params, options=options)
        except stripe.StripeError as error:
            refused = _REFUSED <= (error.http_status or 0) < _BROKEN and error.http_status != _LIMITED
            if not refused:
                raise _unavailable("customer", error) from None
            # A restricted key without access to customers still works: Stripe then creates one for each checkout.
            log.warning("stripe_customer_not_made", account=account, error=type(error).__name__, code=error.code)
            return None
        return made.id

    async def checkout(self, order: Checkout, email: str | None = None) -> CheckoutStarted:
        """A Checkout Session: one payment for a bundle, a subscription for a plan."""
        page = self._links.url(order)
        try:
            session = await self._session(session_of(order, page, email), f"farebox-{order.id}")
        except stripe.InvalidRequestError as error:
            if order.customer is None or error.code != "resource_missing":
                raise _unavailable("checkout", error) from None
            # Deleted in Stripe, or created in test mode: the checkout creates another one, and its event reports that.
            log.warning("stripe_customer_gone", account=order.account, stripe_customer=order.customer)
            without_customer = session_of(replace(order, customer=None), page, email)
            try:
                session = await self._session(without_customer, f"farebox-{order.id}-anew")
            except stripe.StripeError as again:
                raise _unavailable("checkout", again) from None
        except stripe.StripeError as error:
            raise _unavailable("checkout", error) from None
        if session.url is None:
            raise PaymentsUnavailable("Stripe created a checkout session without a URL")
        log.info("checkout_started", checkout=order.id, account=order.account, stripe_session=session.id)
        return CheckoutStarted(session.url, session.id)

    async def _session(self, params: SessionCreateParams, key: str) -> stripe.checkout.Session:
        options: stripe.RequestOptions = {"idempotency_key": key}
        return await self._client.v1.checkout.sessions.create_async(params=params, options=options)

    async def event(self, body: bytes, headers: Mapping[str, str]) -> PaymentEvent | None:
        """The event of a webhook request: `signed`, then `read`."""
        return await self.read(self.signed(body, headers))

    def signed(self, body: bytes, headers: Mapping[str, str]) -> Any:
        """The event in a request; EventRefused unless Stripe signed it, with our secret, within five minutes."""
        try:
            signature = headers.get(SIGNATURE_HEADER)
            # The library uses this machine's clock; one that is ahead would reject every payment.
            stripe.WebhookSignature.verify_header(body, signature, self._webhook_secret, tolerance=None)
            if _signed_at(signature) < now_seconds() - TOLERANCE_SECONDS:
                raise EventRefused("the signature is more than five minutes old")
        except (stripe.SignatureVerificationError, ValueError):
            raise EventRefused("the signature does not match this gateway's webhook secret") from None
        try:
            return read_json(body)
        except NotJson as error:
            raise EventRefused(f"the event {error}") from None

    async def read(self, event: Any) -> PaymentEvent | None:
        """The meaning of an event, new or stored; what it does not contain is queried from Stripe."""
        try:
            said = translate(event)
            return await returned(self._client, said) if isinstance(said, MoneyMoved) else said
        except stripe.StripeError as error:
            raise _unavailable("refund or dispute", error) from None
        except (AttributeError, LookupError, TypeError, ValueError, ArithmeticError) as error:
            log.exception("stripe_event_not_understood")
            raise EventNotUnderstood(
                f"the event does not have the shape Stripe documents ({type(error).__name__})"
            ) from None

    async def renew(self, subscription: str, *, renews: bool) -> None:
        """Have Stripe cancel a subscription at the end of its period, or undo that; its webhook then confirms it."""
        try:
            await self._client.v1.subscriptions.update_async(subscription, {"cancel_at_period_end": not renews})
        except stripe.StripeError as error:
            raise _unavailable("resume" if renews else "cancel", error) from None
        log.info("subscription_renewal_changed", stripe_subscription=subscription, renews=renews)

    async def end(self, subscription: str) -> None:
        """Cancel a subscription at Stripe without a refund: its value was kept as credits."""
        try:
            await self._client.v1.subscriptions.cancel_async(subscription, {"prorate": False, "invoice_now": False})
        except stripe.InvalidRequestError as error:
            if error.code != "resource_missing":
                raise _unavailable("cancel", error) from None
        except stripe.StripeError as error:
            raise _unavailable("cancel", error) from None
        log.info("superseded_subscription_cancelled", stripe_subscription=subscription)

    async def close(self) -> None:
        """Close every connection."""
        await self._http.close_async()  # type: ignore[no-untyped-call]  # the library says nothing of it


def session_of(order: Checkout, page: str, email: str | None = None) -> SessionCreateParams:
    """The Checkout Session's parameters: a customer, or the email of a new one, never both."""
    metadata = {ACCOUNT: order.account, CHECKOUT: order.id}
    price: SessionCreateParamsLineItemPriceData = {
        "currency": order.currency.lower(),
        "unit_amount": minor_units(order.price),
        "product_data": {"name": order.name},
    }
    params: SessionCreateParams = {
        "line_items": [{"price_data": price, "quantity": 1}],
        "success_url": order.success_url or page,
        "cancel_url": order.cancel_url or page,
        "client_reference_id": order.id,
        "metadata": metadata,
    }
    if order.customer is not None:
        params["customer"] = order.customer
    elif email is not None:
        params["customer_email"] = email
    if order.interval is None:
        params["mode"], params["payment_intent_data"] = "payment", {"metadata": metadata}
        if "customer_email" in params:
            params["customer_creation"] = "always"  # sessions for subscriptions always create one
    else:
        of_plan = {**metadata, PLAN: order.what, INTERVAL: str(order.interval)}
        price["recurring"] = _RECURRING[order.interval]
        params["mode"], params["subscription_data"] = "subscription", {"metadata": of_plan}
    return params


def _signed_at(header: str | None) -> int:
    """When a request was signed, by its header; ValueError if the header has no time."""
    said = re.match(r"(?:[^,]*,)*?t=([0-9]{1,15})(?:,|\Z)", header or "")
    if said is None:
        raise ValueError("no time")
    return int(said[1])


def _unavailable(what: str, error: stripe.StripeError) -> PaymentsUnavailable:
    """Stripe's message may quote parts of a key: only the error's type and the request's id are kept."""
    kind = f"{type(error).__name__} {error.code or ''}".strip()
    return PaymentsUnavailable(f"{what}: {kind} (request {error.request_id or 'none'})")
