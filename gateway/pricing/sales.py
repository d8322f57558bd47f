"""What is sold for money, and what becomes of it later: prices, bundles, changes of plan, refunds of payments."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal, Self

from pydantic import Field, model_validator

from gateway.domain import Interval
from gateway.pricing.fields import Credits, Money, PositiveDurationMs, Text
from gateway.pricing.table import Table


class Refunds(Table):
    """`[refunds]`: how long credits refunded to an expired grant stay valid (R10)."""

    grace_ms: PositiveDurationMs = Field(86_400_000, alias="grace")


class Subscriptions(Table):
    """`[subscriptions]`: what happens to the old plan's credits when a change takes effect immediately (R12)."""

    upgrade_leftover: Literal["keep", "drop"] = "keep"


class Payments(Table):
    """`[payments]`: what happens to credits that were already spent when their payment is refunded (R33)."""

    spent: Literal["forgive", "debt"] = "forgive"


class PlanPrice(Table):
    """A plan's price per billing interval. None: not sold at that interval."""

    monthly: Money | None = None
    quarterly: Money | None = None
    yearly: Money | None = None

    @model_validator(mode="after")
    def _sold_at_some_interval(self) -> Self:
        if self.monthly is None and self.quarterly is None and self.yearly is None:
            msg = "needs a price for at least one of monthly, quarterly and yearly"
            raise ValueError(msg)
        return self

    def of(self, interval: Interval) -> Decimal | None:
        """The price of one interval."""
        return {
            Interval.MONTHLY: self.monthly,
            Interval.QUARTERLY: self.quarterly,
            Interval.YEARLY: self.yearly,
        }[interval]


class Bundle(Table):
    """`[bundles.<id>]`: a top-up for sale (R4)."""

    name: Text
    millicredits: Credits = Field(alias="credits")
    price: Money
