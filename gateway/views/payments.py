"""Bundles on sale, and payment events that could not be applied."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal

from gateway.domain import millicredits_to_credits
from gateway.payments.received import Unapplied
from gateway.pricing.sales import Bundle
from gateway.schemas import payments as payment_schemas
from gateway.schemas.base import utc

CURRENCY = "USD"


_PER_100_DECIMALS = Decimal("0.0001")


def bundle_shape(bundle_id: str, bundle: Bundle) -> payment_schemas.BundleOut:
    """A bundle on sale."""
    credits_ = millicredits_to_credits(bundle.millicredits)
    per_100 = (bundle.price * 100 / credits_).quantize(_PER_100_DECIMALS, ROUND_HALF_UP) if credits_ else Decimal(0)
    return payment_schemas.BundleOut(
        id=bundle_id,
        name=bundle.name,
        credits=credits_,
        price=bundle.price,
        currency=CURRENCY,
        price_per_100=per_100,
    )


def payment_event_shape(kept: Unapplied) -> payment_schemas.PaymentEventOut:
    """An event that could not be applied, for operators."""
    return payment_schemas.PaymentEventOut(
        id=kept.id,
        type=kept.type,
        account=kept.account,
        reason=kept.reason,
        detail=kept.detail,
        received_at=utc(kept.received_at),
        tried_at=utc(kept.tried_at),
        tries=kept.tries,
    )
