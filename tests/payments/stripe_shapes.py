"""Stripe's events as its webhooks send them, in the shapes of API version 2025-08-27.basil (and one from before).

Written after the objects' reference (https://docs.stripe.com/api); what Farebox does not read is there as well, so that
a reader that takes the wrong member is found out.
"""

from __future__ import annotations

import json
from itertools import count
from typing import Any

import stripe

from gateway.ledger.payments import Checkout

SECRET = "whsec_not_a_real_secret"
DAY = 86_400  # Stripe's times are seconds

Event = dict[str, Any]
_numbers = count(1)


def signed(event: Event, secret: str = SECRET, at: int | None = None) -> tuple[bytes, dict[str, str]]:
    """The request's body and headers, signed by the library's own signer."""
    body = json.dumps(event, indent=2)
    header = stripe.WebhookSignature.generate_signature_header(body, secret, at)
    return body.encode(), {"Stripe-Signature": header, "Content-Type": "application/json; charset=utf-8"}


def event_of(kind: str, about: Event, created: int) -> Event:
    """The envelope."""
    return {
        "id": f"evt_{next(_numbers)}",
        "object": "event",
        "api_version": "2025-08-27.basil",
        "created": created,
        "data": {"object": about},
        "livemode": False,
        "pending_webhooks": 1,
        "request": {"id": None, "idempotency_key": None},
        "type": kind,
    }


def metadata_of(checkout: Checkout) -> dict[str, str]:
    """What Farebox gave Stripe when the purchase began."""
    return {"farebox_account": checkout.account, "farebox_checkout": checkout.id}


def bundle_paid(checkout: Checkout, intent: str, created: int, payment_status: str = "paid") -> Event:
    """`checkout.session.completed` of one payment."""
    cents = int(checkout.price * 100)
    session = {
        "id": f"cs_{intent}",
        "object": "checkout.session",
        "amount_subtotal": cents,
        "amount_total": cents,
        "client_reference_id": checkout.id,
        "created": created - 60,
        "currency": "usd",
        "customer": None,
        "customer_details": {"email": "ann@example.com", "name": "Ann"},
        "invoice": None,
        "livemode": False,
        "metadata": metadata_of(checkout),
        "mode": "payment",
        "payment_intent": intent,
        "payment_method_types": ["card"],
        "payment_status": payment_status,
        "status": "complete",
        "subscription": None,
    }
    return event_of("checkout.session.completed", session, created)


def plan_checked_out(checkout: Checkout, subscription: str, created: int) -> Event:
    """`checkout.session.completed` of a subscription."""
    event = bundle_paid(checkout, f"sub_session_{subscription}", created)
    event["data"]["object"] |= {"mode": "subscription", "payment_intent": None, "subscription": subscription}
    return event


def refunded(checkout: Checkout, intent: str, cents: int, created: int) -> Event:
    """`charge.refunded`: `cents` is all that was refunded so far."""
    whole = int(checkout.price * 100)
    charge = {
        "id": f"ch_{intent}",
        "object": "charge",
        "amount": whole,
        "amount_captured": whole,
        "amount_refunded": cents,
        "captured": True,
        "created": created - DAY,
        "currency": "usd",
        "disputed": False,
        "metadata": metadata_of(checkout),
        "paid": True,
        "payment_intent": intent,
        "payment_method_details": {"card": {"brand": "visa", "last4": "4242"}, "type": "card"},
        "refunded": cents == whole,
        "status": "succeeded",
    }
    return event_of("charge.refunded", charge, created)


def refund(
    checkout: Checkout,
    intent: str,
    cents: int,
    created: int,
    *,
    word: str = "refund.updated",
    made: int | None = None,
    **changes: Any,
) -> Event:
    """`refund.created`, `.updated`, `.failed` or `charge.refund.updated`, of one refund: it has no metadata of ours."""
    about = {
        "id": f"re_{intent}",
        "object": "refund",
        "amount": cents,
        "balance_transaction": f"txn_{next(_numbers)}",
        "charge": f"ch_{intent}",
        "created": created if made is None else made,
        "currency": checkout.currency.lower(),
        "destination_details": {"card": {"reference_status": "pending", "type": "refund"}, "type": "card"},
        "metadata": {},
        "payment_intent": intent,
        "reason": "requested_by_customer",
        "receipt_number": None,
        "status": "failed" if word == "refund.failed" else "succeeded",
        **changes,
    }
    return event_of(word, about, created)


def balance_line(cents: int, currency: str = "usd") -> Event:
    """A line of Stripe's balance that a dispute made: less what is withdrawn, or what comes back."""
    return {
        "id": f"txn_{next(_numbers)}",
        "object": "balance_transaction",
        "amount": cents,
        "currency": currency,
        "fee": 1500 if cents < 0 else 0,
        "net": cents - (1500 if cents < 0 else 0),
        "reporting_category": "dispute" if cents < 0 else "dispute_reversal",
        "type": "adjustment",
    }


def disputed(checkout: Checkout, intent: str, created: int, *, word: str = "created", **changes: Any) -> Event:
    """`charge.dispute.created`, or another word of it: it has no metadata of ours."""
    dispute = {
        "id": f"dp_{intent}",
        "object": "dispute",
        "amount": int(checkout.price * 100),
        "balance_transactions": [],
        "charge": f"ch_{intent}",
        "created": created,
        "currency": "usd",
        "evidence_details": {"due_by": created + 7 * DAY, "has_evidence": False, "submission_count": 0},
        "is_charge_refundable": False,
        "livemode": False,
        "metadata": {},
        "payment_intent": intent,
        "reason": "fraudulent",
        "status": "needs_response",
        **changes,
    }
    return event_of(f"charge.dispute.{word}", dispute, created)


def price_id(checkout: Checkout, plan: str) -> str:
    """The price of a checkout is made with it; another plan's is in the catalogue, for the customer portal."""
    return "price_1" if plan == checkout.what else f"price_{plan}"


def line(
    checkout: Checkout,
    subscription: str,
    start: int,
    end: int,
    cents: int,
    *,
    plan: str | None = None,
    proration: bool = False,
    discount: int = 0,
) -> Event:
    """One line of an invoice of a subscription, for a plan. Its metadata are the subscription's, as of the purchase."""
    plan = plan or checkout.what
    return {
        "id": f"il_{next(_numbers)}",
        "object": "line_item",
        "amount": cents,
        "currency": "usd",
        "description": f"1 × {plan}",
        "discount_amounts": [{"amount": discount, "discount": "di_1"}] if discount else [],
        "metadata": {
            **metadata_of(checkout),
            "farebox_plan": checkout.what,
            "farebox_interval": str(checkout.interval),
        },
        "parent": {
            "invoice_item_details": None,
            "subscription_item_details": {
                "invoice_item": None,
                "proration": proration,
                "subscription": subscription,
                "subscription_item": "si_1",
            },
            "type": "subscription_item_details",
        },
        "period": {"start": start, "end": end},
        "pricing": {
            "price_details": {"price": price_id(checkout, plan), "product": "prod_1"},
            "type": "price_details",
            "unit_amount_decimal": str(abs(cents)),
        },
        "quantity": 1,
    }


def invoice(
    checkout: Checkout,
    subscription: str,
    start: int,
    end: int,
    *,
    paid: bool = True,
    proration: bool = False,
    cents: int | None = None,
    lines: list[Event] | None = None,
    billed: int | None = None,
    **changes: Any,
) -> Event:
    """`invoice.paid` or `invoice.payment_failed` of one period, or of these lines; its own members may be changed."""
    cents = int(checkout.price * 100) if cents is None else cents
    lines = lines or [line(checkout, subscription, start, end, cents, proration=proration)]
    total = sum(one["amount"] - sum(off["amount"] for off in one["discount_amounts"]) for one in lines)
    billed = start if billed is None else billed
    metadata = {**metadata_of(checkout), "farebox_plan": checkout.what, "farebox_interval": str(checkout.interval)}
    about = {
        "id": f"in_{next(_numbers)}",
        "object": "invoice",
        "amount_due": max(0, total),
        "amount_paid": max(0, total) if paid else 0,
        "attempt_count": 1,
        "billing_reason": "subscription_cycle",
        "collection_method": "charge_automatically",
        "created": billed,
        "currency": "usd",
        "lines": {"object": "list", "data": lines, "has_more": False, "total_count": len(lines)},
        "metadata": {},
        "parent": {
            "quote_details": None,
            "subscription_details": {"metadata": metadata, "subscription": subscription},
            "type": "subscription_details",
        },
        # An invoice's own period is the one before its lines': not what was paid for.
        "period_end": billed,
        "period_start": billed,
        "pre_payment_credit_notes_amount": 0,
        "status": "paid" if paid else "open",
        "total": total,
        **changes,
    }
    return event_of("invoice.paid" if paid else "invoice.payment_failed", about, billed + 3600)


def subscription_seen(
    checkout: Checkout, subscription: str, start: int, created: int, *, kind: str = "updated", **changes: Any
) -> Event:
    """`customer.subscription.updated` or `.deleted`; `plan`, `interval` and Stripe's own members may be changed."""
    plan, interval = changes.pop("plan", checkout.what), changes.pop("interval", ("month", 1))
    about = {
        "id": subscription,
        "object": "subscription",
        "billing_cycle_anchor": start,
        "cancel_at": None,
        "cancel_at_period_end": False,
        "canceled_at": None,
        "collection_method": "charge_automatically",
        "created": start,
        "currency": "usd",
        "customer": "cus_1",
        "ended_at": None,
        "items": {
            "object": "list",
            "data": [
                {
                    "id": "si_1",
                    "object": "subscription_item",
                    "current_period_start": start,
                    "current_period_end": start + 30 * DAY,
                    "price": {
                        "id": price_id(checkout, plan),
                        "object": "price",
                        "currency": "usd",
                        "metadata": {} if plan == checkout.what else {"farebox_plan": plan},
                        "product": "prod_1",
                        "recurring": {"interval": interval[0], "interval_count": interval[1], "usage_type": "licensed"},
                        "type": "recurring",
                    },
                    "quantity": 1,
                }
            ],
            "has_more": False,
        },
        "latest_invoice": "in_1",
        "livemode": False,
        "metadata": {**metadata_of(checkout), "farebox_plan": checkout.what, "farebox_interval": "monthly"},
        "start_date": start,
        "status": "canceled" if kind == "deleted" else "active",
        **changes,
    }
    return event_of(f"customer.subscription.{kind}", about, created)


def before_basil(event: Event) -> Event:
    """The same invoice event as an endpoint of an API version before 2025-03-31 sends it."""
    about = dict(event["data"]["object"])
    details = about.pop("parent")["subscription_details"]
    about |= {"subscription": details["subscription"], "subscription_details": {"metadata": details["metadata"]}}
    lines = []
    for one in about["lines"]["data"]:
        item = one["parent"]["subscription_item_details"]
        price = {"id": one["pricing"]["price_details"]["price"], "object": "price", "metadata": {}}
        old = {name: value for name, value in one.items() if name not in {"parent", "pricing"}}
        lines.append({**old, "type": "subscription", "proration": item["proration"], "price": price})
    about["lines"] = about["lines"] | {"data": lines}
    return {**event, "api_version": "2024-06-20", "data": {"object": about}}
