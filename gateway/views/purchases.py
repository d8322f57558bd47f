"""Purchases as shown to callers."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal
from typing import Literal

from gateway.clock import now_ms
from gateway.domain import Bucket
from gateway.ledger.payments import Checkout
from gateway.ledger.purchases import Purchase
from gateway.payments.links import is_over
from gateway.schemas import purchases as purchase_schemas
from gateway.schemas.base import utc
from gateway.views.generations import credits_of

Status = Literal["open", "paid", "expired", "failed"]


_CENT = Decimal("0.01")


def purchase_shape(purchase: Purchase) -> purchase_schemas.PurchaseOut:
    """A purchase as its account sees it."""
    order = purchase.checkout
    bundle = order.kind == "bundle"
    return purchase_schemas.PurchaseOut(
        id=order.id,
        object="purchase",
        account=order.account,
        status=_status(order),
        bundle=order.what if bundle else None,
        plan=None if bundle else order.what,
        interval=order.interval,
        name=order.name,
        credits=credits_of(order.millicredits),
        price=order.price,
        currency=order.currency,
        granted=_granted(order),
        refunded=_refunded(order) if bundle else Decimal(purchase.returned_cents) / 100,
        taken_back=credits_of(order.taken_back_millicredits),
        created_at=utc(order.created_at),
        paid_at=utc(order.paid_at),
    )


def _status(order: Checkout) -> Status:
    """The status. No event reports that a test purchase's page has expired; its link's age decides."""
    match order.status:
        case "declined":
            return "failed"
        case "open" if order.provider == "local" and is_over(order, now_ms()):
            return "expired"
        case status:
            return status


def _granted(order: Checkout) -> purchase_schemas.Granted | None:
    if order.status != "paid":
        return None
    bucket = Bucket.TOP_UP if order.kind == "bundle" else Bucket.SUBSCRIPTION
    return purchase_schemas.Granted(bucket=bucket, credits=credits_of(order.millicredits), grant=order.grant)


def _refunded(order: Checkout) -> Decimal:
    """The money returned for a bundle: the same share of its price as of its credits is due back."""
    if not order.millicredits or order.status != "paid":
        return Decimal(0)
    return (order.price * order.due_millicredits / order.millicredits).quantize(_CENT, ROUND_HALF_UP)
