"""Applies a payment provider's events to the ledger: each once, however often and in whatever order they arrive."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import structlog

from gateway.errors import EventNotApplicable
from gateway.ledger import outcomes
from gateway.ledger.ledger import Ledger
from gateway.ledger.payments import Billing, Checkout
from gateway.payments.base import (
    Amount,
    PaymentEnded,
    PaymentEvent,
    PaymentMade,
    PaymentProvider,
    PaymentReturned,
    minor_units,
)

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Brought:
    """The event is in the ledger. `unknown_plans`: payments for plans that no card has had; they wait for one."""

    unknown_plans: Sequence[str] = ()


async def apply(event: PaymentEvent, ledger: Ledger, provider: PaymentProvider) -> Brought | None:
    """Apply an event to the ledger; None if this ledger does not know the purchase.

    A subscription that a newer purchase has replaced is cancelled at the provider, so that nobody pays for two. If
    that fails, PaymentsUnavailable has the event sent again.
    """
    brought = await _apply(event, ledger, provider)
    if brought is not None and isinstance(event, PaymentMade | Billing) and event.customer is not None:
        await ledger.set_customer(account=event.account, customer=event.customer, replace=True)
    if brought is None:
        # Another ledger's, or older than 400 days: an operator has to decide.
        log.error("payment_event_of_unknown_checkout", account=event.account, checkout=event.checkout)
    return brought


async def _apply(event: PaymentEvent, ledger: Ledger, provider: PaymentProvider) -> Brought | None:
    match event:
        case PaymentMade():
            return await _pay(event, ledger)
        case PaymentEnded():
            # An unknown one is no loss: nothing was paid, and nothing will be.
            await ledger.decline(account=event.account, checkout=event.checkout, because=event.because)
            return Brought()
        case PaymentReturned():
            return await _take_back(event, ledger)
        case Billing():
            billed = await ledger.bill(event)
            if isinstance(billed, outcomes.NotFound):
                return None
            if isinstance(billed, outcomes.Refused):
                detail = f"{event.subscription} is at the limit of stored invoice lines"
                raise EventNotApplicable(billed.reason, detail, event.account)
            for subscription in billed.superseded:
                await provider.end(subscription)
            return Brought(billed.unknown_plans)


async def _pay(event: PaymentMade, ledger: Ledger) -> Brought | None:
    paid = await ledger.pay(account=event.account, checkout=event.checkout, ref=event.ref)
    if isinstance(paid, outcomes.NotFound):
        return None
    if isinstance(paid, Checkout):
        log.error("declined_checkout_was_paid", account=event.account, checkout=event.checkout, ref=event.ref)
        return Brought()
    return Brought()


async def _take_back(event: PaymentReturned, ledger: Ledger) -> Brought | None:
    account, checkout = event.account, event.checkout
    part = event.part
    if isinstance(part, Amount):
        known = await ledger.checkout(account=account, checkout=checkout)
        if isinstance(known, outcomes.NotFound):
            return None
        part = _part_of(part, known)
    back = await ledger.take_back(
        account=account, checkout=checkout, part=part, of=event.of, at=event.at, made=event.made
    )
    if isinstance(back, outcomes.Refused):
        raise EventNotApplicable(back.reason, f"{checkout} is at the limit of stored refunds and disputes")
    return None if isinstance(back, outcomes.NotFound) else Brought()


def _part_of(amount: Amount, checkout: Checkout) -> Fraction:
    """An amount as a fraction of the purchase's price."""
    if amount.currency.lower() not in {"", checkout.currency.lower()}:
        detail = f"the money returned is in {amount.currency}, the purchase in {checkout.currency}"
        raise EventNotApplicable("currency", detail)
    price = minor_units(checkout.price)
    return Fraction(amount.minor_units, price) if price else Fraction(1)
