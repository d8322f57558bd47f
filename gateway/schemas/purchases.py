"""Purchases, and an account's subscription."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from gateway.domain import Bucket, Interval
from gateway.schemas.base import Answer, Credits, OfAccount, PageQuery, Period, Time
from gateway.schemas.credits import ScheduledChange

CHECKOUT_PATTERN = r"^chk_[a-z2-7]{24}$"


class PurchasesQuery(Period, OfAccount, PageQuery):
    """Filters and paging for the list of purchases."""

    before: (
        Annotated[str, Field(pattern=CHECKOUT_PATTERN, description="The `next` value of the previous page.")] | None
    ) = None


class Granted(Answer):
    """What a payment bought: a bundle's grant of credits that never expire, or a plan's monthly credits."""

    bucket: Bucket
    credits: Credits
    grant: str | None = Field(
        description="The grant's id in `GET /v1/balance`; null for a plan, which creates a new grant each month."
    )


class PurchaseOut(Answer):
    """A purchase, from the start of its checkout."""

    id: str = Field(description="The checkout's id, as returned by `POST /v1/top-ups` and `POST /v1/subscriptions`.")
    object: Literal["purchase"]
    account: str
    status: Literal["open", "paid", "expired", "failed"] = Field(
        description=(
            "`open`: not paid yet. `expired`: the payment page expired unpaid. `failed`: the payment was declined or "
            "did not go through. If the payment provider later reports the payment, it counts all the same."
        )
    )
    bundle: str | None
    plan: str | None
    interval: Interval | None
    name: str
    credits: Credits = Field(description="The bundle's credits, or the plan's monthly credits.")
    price: Credits
    currency: str
    granted: Granted | None = Field(description="Null until paid.")
    refunded: Credits = Field(
        description="Money returned by refunds and disputes; for a plan, over all its payments so far."
    )
    taken_back: Credits = Field(description="Credits taken back for it, including those still owed.")
    created_at: Time
    paid_at: Time | None


class PurchasesOut(Answer):
    """A page of purchases. Pass `next` as `before` to get the next page; null on the last page."""

    data: list[PurchaseOut]
    next: str | None


class SubscriptionOut(Answer):
    """The account's current plan. Without a subscription it is `free` and has no times."""

    object: Literal["subscription"]
    account: str
    plan: str
    name: str
    status: Literal["none", "active", "past_due", "cancelled"] = Field(
        description=(
            "`past_due`: the paid period is over and the renewal's payment is pending, for at most a day. "
            "`cancelled`: the plan stays active until `ends_at`."
        )
    )
    interval: Interval | None
    price: Credits | None = Field(
        description="Current rate card prices by interval; null if not sold at that interval."
    )
    currency: str
    monthly_credits: Credits
    started_at: Time | None
    refreshes_at: Time | None = Field(description="When the next month's credits are granted.")
    paid_through: Time | None = Field(description="Null if it has no paid period.")
    renews_at: Time | None = Field(
        description="When it renews for another interval; null if it does not renew automatically."
    )
    cancel_at_period_end: bool
    ends_at: Time | None = Field(description="When it ends, as currently scheduled; null if it renews.")
    scheduled: ScheduledChange | None = Field(description="A plan change that has not taken effect yet.")
    payment_provider: Literal["stripe"] | None = Field(
        description="The payment provider that bills renewals; null if none does."
    )
    changeable: bool = Field(
        description=(
            "Whether the account can cancel and resume it (`DELETE /v1/subscription`); if not, it is managed by the "
            "gateway's operator."
        )
    )
