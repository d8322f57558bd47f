"""Balance and journal."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from pydantic.json_schema import SkipJsonSchema

from gateway.domain import GENERATION_PATTERN, Bucket, EntryKind, Interval
from gateway.schemas.base import Answer, Credits, Limit, OfAccount, Period, Text, Time
from gateway.schemas.generations import EntryOut


class JournalQuery(Period, OfAccount):
    """One page of the journal, newest first."""

    limit: Limit = 20
    before: (
        Annotated[str, Field(pattern=r"^[0-9]{1,15}$", description="The `next` value of the previous page.")] | None
    ) = None
    kind: EntryKind | None = None
    generation: Annotated[str, Field(pattern=GENERATION_PATTERN, description="Only this generation's.")] | None = None
    key: (
        Annotated[Text, Field(max_length=64, description="Only those of generations created with this key: its id.")]
        | None
    ) = None
    member: (
        Annotated[Text, Field(max_length=64, description="Only those of this member's generations: the member's id.")]
        | None
    ) = None


class JournalOut(Answer):
    """A page of the journal. Pass `next` as `before` to get the next page; null on the last page."""

    data: list[EntryOut]
    next: str | None


class FreeBucket(Answer):
    """The daily free credits."""

    available: Credits
    resets_at: Time


class SubscriptionBucket(Answer):
    """The credits of the current monthly cycle: `available` out of `of`."""

    available: Credits
    of: Credits
    refreshes_at: Time | None


class TopUpBucket(Answer):
    """Purchased credits; they never expire."""

    available: Credits


class Buckets(Answer):
    """The three balances, in the order they are spent."""

    free: FreeBucket
    subscription: SubscriptionBucket
    top_up: TopUpBucket


class GrantOut(Answer):
    """A dated batch of credits."""

    id: str
    bucket: Bucket
    kind: str
    available: Credits
    held: Credits
    granted: Credits
    expires_at: Time | None
    created_at: Time


class ScheduledChange(Answer):
    """A plan change that takes effect at the end of the paid period."""

    plan: str
    interval: Interval | None
    at: Time | None


class AccountPlan(Answer):
    """The account's plan. `free` has no interval; a cancelled plan ends at `paid_through`."""

    id: str
    status: Literal["none", "active", "cancelled"]
    interval: Interval | None
    paid_through: Time | None
    scheduled: ScheduledChange | None


class Balance(Answer):
    """The account's credits. Grants are listed in the order they are spent."""

    available: Credits
    held: Credits
    buckets: Buckets
    grants: list[GrantOut]
    plan: AccountPlan
    top_up_allowed: bool
    debt: Credits = Field(
        description=(
            "Credits that were spent before their payment was reversed; the next purchase pays them back first. "
            'Always 0 unless the rate card says `[payments] spent = "debt"`.'
        )
    )
    clock_offset_seconds: int | SkipJsonSchema[None] = Field(
        default=None,
        description="Only present for a test account: how far its clock is ahead. Times here are by this clock.",
    )


class Alerts(Answer):
    """The thresholds as fractions of the monthly credits, and those currently reached."""

    thresholds: list[Credits]
    reached: list[Credits]


class AlertsOut(Alerts):
    """An account's low-credit alerts."""

    of: Credits | None = Field(
        description="The plan's credits, of which thresholds are fractions; null: no plan, nothing is reported."
    )
    available: Credits
