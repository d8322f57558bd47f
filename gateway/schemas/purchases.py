"""Purchases, and the subscription that an account has."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from gateway.domain import Bucket, Interval
from gateway.schemas.base import Answer, Credits, OfAccount, PageQuery, Period, Time
from gateway.schemas.credits import ScheduledChange

CHECKOUT_PATTERN = r"^chk_[a-z2-7]{24}$"


class PurchasesQuery(Period, OfAccount, PageQuery):
    """Which purchases to list."""

    before: Annotated[str, Field(pattern=CHECKOUT_PATTERN, description="The `next` of the page before.")] | None = None


class Granted(Answer):
    """What a payment gave: a bundle's grant of credits that never expire, or a plan's credits of each month."""

    bucket: Bucket
    credits: Credits
    grant: str | None = Field(description="The grant in `GET /v1/balance`; null: a plan makes one each month.")


class PurchaseOut(Answer):
    """A purchase, from the moment its checkout began."""

    id: str = Field(description="The checkout's id, which `POST /v1/top-ups` and `POST /v1/subscriptions` answered.")
    object: Literal["purchase"]
    account: str
    status: Literal["open", "paid", "expired", "failed"] = Field(
        description="`open`: not paid yet. `expired`: its payment page is over, and nothing was paid. `failed`: it was "
        "declined, or the payment did not go through. A payment provider's word that it was paid always counts."
    )
    bundle: str | None
    plan: str | None
    interval: Interval | None
    name: str
    credits: Credits = Field(description="What the bundle gives, or the plan each month.")
    price: Credits
    currency: str
    granted: Granted | None = Field(description="Null until it is paid.")
    refunded: Credits = Field(
        description="Money that went back by refunds and disputes: for a plan, of all its payments so far."
    )
    taken_back: Credits = Field(description="Credits that were taken back for it, those that are owed included.")
    created_at: Time
    paid_at: Time | None


class PurchasesOut(Answer):
    """A page of purchases. `next` goes into `before`; null: this was the last page."""

    data: list[PurchaseOut]
    next: str | None


class SubscriptionOut(Answer):
    """The plan that an account has now. Without a subscription it is `free`, and has no times."""

    object: Literal["subscription"]
    account: str
    plan: str
    name: str
    status: Literal["none", "active", "past_due", "cancelled"] = Field(
        description="`past_due`: what was paid is over, and the plan waits for its renewal's payment, a day at most. "
        "`cancelled`: it goes on to `ends_at`."
    )
    interval: Interval | None
    price: Credits | None = Field(description="For each interval, as the rate card sells it now; null: not sold so.")
    currency: str
    monthly_credits: Credits
    started_at: Time | None
    refreshes_at: Time | None = Field(description="When the next month's credits come.")
    paid_through: Time | None = Field(description="Null: it is not paid for a limited time.")
    renews_at: Time | None = Field(description="When it goes on for another interval; null: it does not by itself.")
    cancel_at_period_end: bool
    ends_at: Time | None = Field(description="When it ends, as things stand; null: it renews itself.")
    scheduled: ScheduledChange | None = Field(description="A change of plan that has not come yet.")
    payment_provider: Literal["stripe"] | None = Field(description="Who renews it for money; null: nobody does.")
    changeable: bool = Field(
        description="Whether the account itself may cancel and resume it (`DELETE /v1/subscription`); if not, whoever "
        "runs this gateway arranged it."
    )
