"""Whose payment was returned, and which part of it; what the event does not contain is queried from Stripe."""

from __future__ import annotations

from collections.abc import Awaitable
from fractions import Fraction
from typing import Any

import stripe
import structlog

from gateway.errors import EventNotApplicable
from gateway.ledger.payments import Billing, Returned
from gateway.payments.base import Amount, PaymentReturned
from gateway.payments.stripe_money import Json, MoneyMoved, cents, id_of, is_out, ours

_NOT_THERE = frozenset({400, 404})

log = structlog.get_logger(__name__)


async def returned(client: stripe.StripeClient, moved: MoneyMoved) -> PaymentReturned | Billing | None:
    """The purchase or the subscription's invoice, and the returned part of its payment; None if it is not ours.

    EventNotApplicable if that cannot be determined. stripe.StripeError if Stripe does not respond.
    """
    if moved.purchase is not None and moved.whole:
        part: Fraction | Amount = Fraction(moved.amount, moved.whole)
        return PaymentReturned(*moved.purchase, part, moved.of, moved.at, moved.made)
    payment = await _payment(client, moved)
    if payment is None:
        return None
    purchase = ours(payment.get("metadata"))
    if purchase is None:
        return await _of_invoice(client, moved, payment)
    part = await _part(client, moved, payment)
    return PaymentReturned(*purchase, part, moved.of, moved.at, moved.made)


async def _of_invoice(client: stripe.StripeClient, moved: MoneyMoved, payment: Json) -> Billing | None:
    """The same for a subscription's payment, which has none of our metadata: its invoice does."""
    invoice = await _invoice(client, moved, payment)
    parent: Json = ((invoice or {}).get("parent") or {}).get("subscription_details") or {}
    details = parent or (invoice or {}).get("subscription_details") or {}
    subscription = parent.get("subscription") or (invoice or {}).get("subscription")
    purchase = ours(details.get("metadata"))
    if invoice is None or purchase is None or subscription is None:
        return None
    if moved.of.startswith("refund:"):
        source, part = "refund", await _refunds(client, moved, payment)
    else:
        said = await _part(client, moved, payment)
        if isinstance(said, Amount):
            said = Fraction(said.minor_units, int(invoice.get("amount_paid") or 0) or said.minor_units)
        source, part = moved.of if moved.of != "charge" else "refund", said
    part = min(part, Fraction(1))
    one = Returned(invoice=id_of(invoice), source=source, amount=part.numerator, of=part.denominator, at=moved.at * 100)
    account, checkout = purchase
    return Billing(account=account, checkout=checkout, subscription=id_of(subscription), returned=(one,))


async def _invoice(client: stripe.StripeClient, moved: MoneyMoved, payment: Json) -> Json | None:
    """The invoice that a payment paid; since `2025-03-31.basil` the payment does not name it."""
    named = payment.get("invoice") or moved.invoice
    if named is None:
        intent = moved.payment_intent or payment.get("payment_intent")
        if intent is None:
            return None
        found = await _known(
            client.v1.invoice_payments.list_async(
                {"payment": {"type": "payment_intent", "payment_intent": str(intent)}, "limit": 1}
            )
        )
        named = next((one["invoice"] for one in (found or {}).get("data", [])), None)
    return None if named is None else await _known(client.v1.invoices.retrieve_async(id_of(named)))


async def _refunds(client: stripe.StripeClient, moved: MoneyMoved, payment: Json) -> Fraction:
    """The sum of a payment's refunds that are out, which an event about one of them does not contain."""
    whole = int(payment.get("amount_received") or payment.get("amount") or 0)
    found = await _known(client.v1.refunds.list_async({"charge": moved.charge, "limit": 100} if moved.charge else {}))
    out = sum(cents(one["amount"]) for one in (found or {}).get("data", []) if is_out(one))
    return Fraction(out, whole) if whole else Fraction(0)


async def _known(asked: Awaitable[Any]) -> Json | None:
    """Query Stripe; None if the object does not exist. EventNotApplicable if the key lacks permission."""
    try:
        answer: Json = (await asked).to_dict()
    except stripe.PermissionError:
        raise EventNotApplicable(
            "permission", "the Stripe key may not read invoices, their payments and refunds"
        ) from None
    except stripe.StripeError as error:
        if error.http_status not in _NOT_THERE:
            raise
        return None
    return answer


async def _payment(client: stripe.StripeClient, moved: MoneyMoved) -> Json | None:
    """The payment, which has the purchase's metadata if it is a bundle's; None if there is no such payment."""
    paid = None
    if moved.payment_intent is not None:
        paid = await _known(client.v1.payment_intents.retrieve_async(moved.payment_intent))
    elif moved.charge is not None:
        paid = await _known(client.v1.charges.retrieve_async(moved.charge))
    if paid is None:
        log.warning("returned_payment_unknown", stripe_payment=moved.payment_intent or moved.charge, what=moved.of)
    return paid


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
    """What the charge added to Stripe's balance, in the balance's currency, which a dispute's lines have too."""
    if moved.charge is None:
        return None
    charge = await client.v1.charges.retrieve_async(moved.charge, {"expand": ["balance_transaction"]})
    line = charge.to_dict().get("balance_transaction")
    return (int(line["amount"]), str(line["currency"])) if isinstance(line, dict) and line["amount"] else None
