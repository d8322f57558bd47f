"""Whose money moved, and which part of the payment it is: what an event does not say, Stripe is asked for."""

from __future__ import annotations

from fractions import Fraction

import stripe
import structlog

from gateway.errors import EventNotApplicable
from gateway.payments.base import Amount, PaymentReturned
from gateway.payments.stripe_money import Json, MoneyMoved, ours

_NOT_THERE = frozenset({400, 404})

log = structlog.get_logger(__name__)


async def returned(client: stripe.StripeClient, moved: MoneyMoved) -> PaymentReturned | None:
    """The purchase and the part of its payment that is out; None if it is nothing that Farebox sold.

    EventNotApplicable if the part cannot be known. stripe.StripeError if Stripe does not answer.
    """
    if moved.purchase is not None and moved.whole:
        part: Fraction | Amount = Fraction(moved.amount, moved.whole)
        return PaymentReturned(*moved.purchase, part, moved.of, moved.at, moved.made)
    payment = await _payment(client, moved)
    purchase = None if payment is None else ours(payment.get("metadata"))
    if payment is None or purchase is None:
        return None
    part = await _part(client, moved, payment)
    return PaymentReturned(*purchase, part, moved.of, moved.at, moved.made)


async def _payment(client: stripe.StripeClient, moved: MoneyMoved) -> Json | None:
    """The payment, which has the purchase's metadata if it is a bundle's; None if there is no such payment."""
    try:
        if moved.payment_intent is not None:
            return (await client.v1.payment_intents.retrieve_async(moved.payment_intent)).to_dict()
        if moved.charge is not None:
            return (await client.v1.charges.retrieve_async(moved.charge)).to_dict()
    except stripe.StripeError as error:
        if error.http_status not in _NOT_THERE:
            raise
        log.warning("returned_payment_unknown", stripe_payment=moved.payment_intent or moved.charge, what=moved.of)
    return None


async def _part(client: stripe.StripeClient, moved: MoneyMoved, payment: Json) -> Fraction | Amount:
    currency = str(payment.get("currency") or "")
    whole = int(payment.get("amount_received") or payment.get("amount") or 0)
    if not moved.amount:
        return Fraction(0)
    if not whole:
        return Amount(moved.amount, moved.currency)
    if moved.currency in {"", currency}:
        return Fraction(moved.amount, whole)
    if moved.booked is not None and moved.booked[1] == currency:
        return moved.booked[0] / whole
    settled = await _settled(client, moved)
    if settled is None or moved.booked is None or moved.booked[1] != settled[1]:
        raise EventNotApplicable("currency", f"{moved.of} is in {moved.currency}, its payment in {currency}")
    return moved.booked[0] / settled[0]


async def _settled(client: stripe.StripeClient, moved: MoneyMoved) -> tuple[int, str] | None:
    """What the charge brought to Stripe's balance, in the balance's currency: a dispute's lines are in that, too."""
    if moved.charge is None:
        return None
    charge = await client.v1.charges.retrieve_async(moved.charge, {"expand": ["balance_transaction"]})
    line = charge.to_dict().get("balance_transaction")
    return (int(line["amount"]), str(line["currency"])) if isinstance(line, dict) and line["amount"] else None
