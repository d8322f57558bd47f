"""From Stripe's events to ours: the seven that matter, in the shapes of Stripe's API before and after 2025-03-31.

A webhook speaks the API version of its endpoint, not that of the library: since `2025-03-31.basil` an invoice names its
subscription under `parent`, and a subscription's period stands on its items (https://docs.stripe.com/changelog/basil).
Only purchases that Farebox began are read: their metadata says which. All else of a shared Stripe account is ignored.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

from gateway.domain import Interval
from gateway.ledger.payments import Billing
from gateway.payments.base import PaymentEvent, PaymentMade, PaymentReturned

ACCOUNT = "farebox_account"
CHECKOUT = "farebox_checkout"
PLAN = "farebox_plan"
INTERVAL = "farebox_interval"

_PAID = frozenset({"paid", "no_payment_required"})
_INTERVALS = {("month", 1): Interval.MONTHLY, ("month", 3): Interval.QUARTERLY, ("year", 1): Interval.YEARLY,
              ("month", 12): Interval.YEARLY}  # fmt: skip

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Disputed:
    """A dispute says which payment it is about, not whose that was: Stripe has to be asked."""

    charge: str
    payment_intent: str | None
    part: Fraction = Fraction(1)


def translate(event: Json) -> PaymentEvent | Disputed | None:
    """What a Stripe event says; None if it is not one of ours."""
    read = _READERS.get(event["type"])
    return None if read is None else read(event["data"]["object"], int(event["created"]))


def _session(session: Json, _: int) -> PaymentEvent | None:
    """A bundle is paid now, or later if the bank takes its time. Until when a plan is paid, its invoice says."""
    ours = _ours(session.get("metadata"))
    if ours is None:
        return None
    account, checkout = ours
    if session["mode"] == "subscription":
        return Billing(account=account, checkout=checkout, subscription=_id(session["subscription"]))
    if session["mode"] != "payment" or session["payment_status"] not in _PAID:
        return None
    return PaymentMade(account, checkout, _id(session.get("payment_intent") or session["id"]))


def _disputed(dispute: Json, _: int) -> Disputed:
    intent = dispute.get("payment_intent")
    return Disputed(_id(dispute["charge"]), None if intent is None else _id(intent))


def _invoice_paid(invoice: Json, _: int) -> Billing | None:
    return _invoice(invoice, paid=True)


def _invoice_failed(invoice: Json, _: int) -> Billing | None:
    return _invoice(invoice, paid=False)


def _invoice(invoice: Json, *, paid: bool) -> Billing | None:
    parent: Json = (invoice.get("parent") or {}).get("subscription_details") or {}
    details = parent or invoice.get("subscription_details") or {}
    subscription = parent.get("subscription") or invoice.get("subscription")
    ours = _ours(details.get("metadata"))
    periods = list(_periods(invoice))
    if ours is None or subscription is None or not periods:
        return None
    ends = max(end for _, end in periods)
    said = Billing(account=ours[0], checkout=ours[1], subscription=_id(subscription))
    if paid:
        return replace(said, started_at=min(start for start, _ in periods), paid_through=ends)
    return replace(said, unpaid_through=ends)


def _periods(invoice: Json) -> Iterator[tuple[int, int]]:
    """The whole periods that an invoice is for; the corrections of a change of plan are not periods."""
    for line in invoice["lines"]["data"]:
        item: Json = (line.get("parent") or {}).get("subscription_item_details") or {}
        of_subscription = bool(item) or line.get("type") == "subscription"
        if of_subscription and not item.get("proration") and not line.get("proration"):
            yield int(line["period"]["start"]) * 1000, int(line["period"]["end"]) * 1000


def _subscription(subscription: Json, seen: int) -> Billing | None:
    ours = _ours(subscription.get("metadata"))
    if ours is None:
        return None
    plan, interval = _plan(subscription)
    return Billing(
        account=ours[0],
        checkout=ours[1],
        subscription=_id(subscription),
        started_at=_started(subscription),
        seen_at=seen * 1000,
        plan=plan if interval else None,
        interval=interval,
        cancelled_to=_cancelled_to(subscription),
    )


def _deleted(subscription: Json, _: int) -> Billing | None:
    """It has ended for good: at once, or at the end of what was paid; `ended_at` is when."""
    ours = _ours(subscription.get("metadata"))
    if ours is None:
        return None
    ended = subscription.get("ended_at") or subscription["canceled_at"]
    return Billing(
        account=ours[0],
        checkout=ours[1],
        subscription=_id(subscription),
        started_at=_started(subscription),
        ended_at=int(ended) * 1000,
    )


def _plan(subscription: Json) -> tuple[str | None, Interval | None]:
    """The plan by the price's own metadata (a catalogue price for Stripe's customer portal), else by the purchase's."""
    price: Json = subscription["items"]["data"][0]["price"]
    metadata: Json = subscription["metadata"]
    recurring: Json = price.get("recurring") or {}
    interval = _INTERVALS.get((recurring.get("interval", ""), recurring.get("interval_count", 1)))
    return (price.get("metadata") or {}).get(PLAN) or metadata.get(PLAN), interval


def _cancelled_to(subscription: Json) -> int | None:
    at = subscription.get("cancel_at")
    if at is None and subscription.get("cancel_at_period_end"):
        at = subscription.get("current_period_end") or subscription["items"]["data"][0]["current_period_end"]
    return None if at is None else int(at) * 1000


def _started(subscription: Json) -> int:
    return int(subscription.get("start_date") or subscription["created"]) * 1000


def _refunded(charge: Json, _: int) -> PaymentReturned | None:
    """`amount_refunded` is the sum of all refunds so far; Stripe copies a payment's metadata to its charge."""
    ours = _ours(charge.get("metadata"))
    if ours is None or not charge["amount"]:
        return None
    return PaymentReturned(*ours, Fraction(int(charge["amount_refunded"]), int(charge["amount"])))


def _ours(metadata: Json | None) -> tuple[str, str] | None:
    """The account and the checkout, if Farebox began it."""
    if not metadata or not metadata.get(ACCOUNT) or not metadata.get(CHECKOUT):
        return None
    return str(metadata[ACCOUNT]), str(metadata[CHECKOUT])


def _id(thing: Any) -> str:
    """An id, also of what Stripe was asked to expand."""
    return str(thing["id"] if isinstance(thing, dict) else thing)


_READERS: Mapping[str, Callable[[Json, int], PaymentEvent | Disputed | None]] = {
    "checkout.session.completed": _session,
    "checkout.session.async_payment_succeeded": _session,
    "invoice.paid": _invoice_paid,
    "invoice.payment_failed": _invoice_failed,
    "customer.subscription.updated": _subscription,
    "customer.subscription.deleted": _deleted,
    "charge.refunded": _refunded,
    "charge.dispute.created": _disputed,
}
