"""Translates Stripe's events to ours, in the shapes of Stripe's API before and after 2025-03-31.

A webhook has the API version of its endpoint, not of the library: since `2025-03-31.basil` an invoice has its
subscription under `parent`, and a subscription's period is on its items (https://docs.stripe.com/changelog/basil). Only
purchases started by Farebox are read, by their metadata; everything else in a shared Stripe account is ignored.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from fractions import Fraction
from typing import Any, Literal

from gateway.domain import Interval
from gateway.ledger.payments import Billing, PaidLine
from gateway.payments.base import PaymentEnded, PaymentEvent, PaymentMade
from gateway.payments.stripe_money import MOVES, Json, MoneyMoved, money_moved
from gateway.payments.stripe_money import cents as _cents
from gateway.payments.stripe_money import id_of as _id
from gateway.payments.stripe_money import milliseconds as _milliseconds
from gateway.payments.stripe_money import ours as _ours

PLAN = "farebox_plan"
INTERVAL = "farebox_interval"
CURRENCY = "usd"

_PAID = frozenset({"paid", "no_payment_required"})
_INTERVALS = {("month", 1): Interval.MONTHLY, ("month", 3): Interval.QUARTERLY, ("year", 1): Interval.YEARLY,
              ("month", 12): Interval.YEARLY}  # fmt: skip

_STATUSES = frozenset(
    {"trialing", "active", "past_due", "unpaid", "incomplete", "incomplete_expired", "paused", "canceled"}
)
_PLAN_ID = re.compile(r"[A-Za-z0-9_.-]{1,64}")


def translate(event: Json) -> PaymentEvent | MoneyMoved | None:
    """The meaning of a Stripe event; None if it is not about one of ours."""
    kind = event["type"]
    if kind in MOVES:
        return money_moved(kind, event["data"]["object"], int(event["created"]))
    read = _READERS.get(kind)
    return None if read is None else read(event["data"]["object"], int(event["created"]))


def _session(session: Json, _: int) -> PaymentEvent | None:
    """A bundle is paid now, or later if the payment is delayed. A plan's paid period comes from its invoice."""
    ours = _ours(session.get("metadata"))
    if ours is None:
        return None
    account, checkout = ours
    customer = None if session.get("customer") is None else _id(session["customer"])
    if session["mode"] == "subscription":
        return Billing(account=account, checkout=checkout, subscription=_id(session["subscription"]), customer=customer)
    if session["mode"] != "payment" or session["payment_status"] not in _PAID:
        return None
    return PaymentMade(account, checkout, _id(session.get("payment_intent") or session["id"]), customer)


def _session_ended(because: Literal["expired", "failed"]) -> Callable[[Json, int], PaymentEnded | None]:
    """The page was left unpaid, or the payment finally failed. A plan's invoices are handled separately."""

    def read(session: Json, _: int) -> PaymentEnded | None:
        ours = _ours(session.get("metadata"))
        return None if ours is None else PaymentEnded(*ours, because)

    return read


def _invoice_paid(invoice: Json, _: int) -> Billing | None:
    """An invoice was paid, with money or the customer's credit balance: each of the subscription's lines counts."""
    said = _invoice(invoice)
    if said is None:
        return None
    lines = tuple(_lines(invoice))
    return replace(said, lines=lines) if lines else None


def _invoice_unpaid(because: str) -> Callable[[Json, int], Billing | None]:
    """A failed payment, or an invoice that was given up: grants nothing, and is noted in the journal."""

    def read(invoice: Json, _: int) -> Billing | None:
        said, lines = _invoice(invoice), list(_lines(invoice))
        if said is None or not lines:
            return None
        through = max(line.ends_at for line in lines)
        return replace(said, unpaid_invoice=lines[0].invoice, unpaid_through=through, unpaid_because=because)

    return read


def _invoice(invoice: Json) -> Billing | None:
    parent: Json = (invoice.get("parent") or {}).get("subscription_details") or {}
    details = parent or invoice.get("subscription_details") or {}
    subscription = parent.get("subscription") or invoice.get("subscription")
    ours = _ours(details.get("metadata"))
    if ours is None or subscription is None:
        return None
    return Billing(account=ours[0], checkout=ours[1], subscription=_id(subscription))


def _lines(invoice: Json) -> Iterator[PaidLine]:
    """The invoice's lines for its subscription: periods, and prorations of changes."""
    forgiven = _forgiven(invoice)
    foreign = str(invoice.get("currency", CURRENCY)).lower() != CURRENCY
    billed_at = _milliseconds(invoice["created"])
    for line in invoice["lines"]["data"]:
        parent: Json = line.get("parent") or {}
        item: Json = parent.get("subscription_item_details") or {}
        correction: Json = parent.get("invoice_item_details") or {}
        proration = bool(item.get("proration") or correction.get("proration") or line.get("proration"))
        if not (item or line.get("type") == "subscription" or (proration and _of_subscription(line, correction))):
            continue
        gross = _cents(line["amount"])
        amount = gross - sum(_cents(one["amount"]) for one in line.get("discount_amounts") or ())
        price, plan = _price_of(line)
        yield PaidLine(
            id=_id(line["id"]),
            invoice=_id(invoice["id"]),
            starts_at=_milliseconds(line["period"]["start"]),
            ends_at=_milliseconds(line["period"]["end"]),
            billed_at=billed_at,
            amount=int(amount * (1 - forgiven)) if gross >= 0 else amount,
            gross=gross,
            proration=proration,
            foreign=foreign,
            price=price,
            plan=plan,
            named_plan=_named_plan(line.get("metadata") or {}),
        )


def _of_subscription(line: Json, correction: Json) -> bool:
    return bool(correction.get("subscription") or line.get("subscription"))


def _forgiven(invoice: Json) -> Fraction:
    """The part of an invoice that a credit note deducted before it was paid: that money was never received."""
    noted, total = invoice.get("pre_payment_credit_notes_amount") or 0, invoice.get("total") or 0
    if noted <= 0 or total <= 0:
        return Fraction(0)
    return min(Fraction(1), Fraction(_cents(noted), _cents(total)))


def _price_of(line: Json) -> tuple[str | None, str | None]:
    """The id of a line's price, and the plan it names; since basil, the line has only the price's id."""
    named: Any = ((line.get("pricing") or {}).get("price_details") or {}).get("price") or line.get("price")
    if named is None:
        return None, None
    if isinstance(named, dict):
        return _id(named), _named_plan(named.get("metadata") or {})
    return _id(named), None


def _subscription(subscription: Json, seen: int) -> Billing | None:
    """A subscription's current state. It grants nothing: only paid invoices do."""
    ours = _ours(subscription.get("metadata"))
    if ours is None:
        return None
    item: Json = subscription["items"]["data"][0]
    plan, interval = _plan(subscription, item["price"])
    return Billing(
        account=ours[0],
        checkout=ours[1],
        subscription=_id(subscription),
        started_at=_started(subscription),
        seen_at=_milliseconds(seen),
        plan=plan,
        interval=interval,
        price=_id(item["price"]) if item["price"].get("id") else None,
        status=_status(subscription),
        cancelled_to=_cancelled_to(subscription),
    )


def _status(subscription: Json) -> str | None:
    """Stripe's status; `paused` also if only payment collection is."""
    if subscription.get("pause_collection"):
        return "paused"
    status = subscription.get("status")
    return status if status in _STATUSES else None


def _deleted(subscription: Json, _: int) -> Billing | None:
    """It has ended for good, at `ended_at`: immediately, or at the end of the paid period."""
    ours = _ours(subscription.get("metadata"))
    if ours is None:
        return None
    ended = subscription.get("ended_at") or subscription["canceled_at"]
    return Billing(
        account=ours[0],
        checkout=ours[1],
        subscription=_id(subscription),
        started_at=_started(subscription),
        ended_at=_milliseconds(ended),
    )


def _plan(subscription: Json, price: Json) -> tuple[str | None, Interval | None]:
    """The plan from the price's own metadata (a catalogue price for Stripe's customer portal), else the purchase's."""
    recurring: Json = price.get("recurring") or {}
    interval = _INTERVALS.get((recurring.get("interval", ""), recurring.get("interval_count", 1)))
    return _named_plan(price.get("metadata") or {}) or _named_plan(subscription["metadata"]), interval


def _named_plan(metadata: Json) -> str | None:
    """A plan's id; None if it is not a valid one."""
    named = metadata.get(PLAN)
    return named if isinstance(named, str) and _PLAN_ID.fullmatch(named) else None


def _cancelled_to(subscription: Json) -> int | None:
    at = subscription.get("cancel_at")
    if at is None and subscription.get("cancel_at_period_end"):
        at = subscription.get("current_period_end") or subscription["items"]["data"][0]["current_period_end"]
    return None if at is None else _milliseconds(at)


def _started(subscription: Json) -> int:
    return _milliseconds(subscription.get("start_date") or subscription["created"])


_READERS: Mapping[str, Callable[[Json, int], PaymentEvent | None]] = {
    "checkout.session.completed": _session,
    "checkout.session.async_payment_succeeded": _session,
    "checkout.session.async_payment_failed": _session_ended("failed"),
    "checkout.session.expired": _session_ended("expired"),
    "invoice.paid": _invoice_paid,
    "invoice.payment_succeeded": _invoice_paid,
    "invoice.payment_failed": _invoice_unpaid("a payment failed"),
    "invoice.voided": _invoice_unpaid("an invoice was voided"),
    "invoice.marked_uncollectible": _invoice_unpaid("an invoice was marked uncollectible"),
    "customer.subscription.created": _subscription,
    "customer.subscription.updated": _subscription,
    "customer.subscription.paused": _subscription,
    "customer.subscription.resumed": _subscription,
    "customer.subscription.pending_update_applied": _subscription,
    "customer.subscription.pending_update_expired": _subscription,
    "customer.subscription.deleted": _deleted,
}
