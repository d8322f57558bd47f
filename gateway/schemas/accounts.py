"""What operators send and see: accounts, keys, subscriptions, grants, adjustments, clocks."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from gateway.domain import Bucket, Interval
from gateway.schemas.base import (
    CREDITS_MAX,
    UNSAFE_IN_JSON_SCHEMA,
    WHOLE,
    AmountIn,
    Answer,
    Body,
    Credits,
    Metadata,
    Query,
    Time,
    TimeIn,
    amount_schema,
    given_number,
)
from gateway.schemas.credits import Balance
from gateway.schemas.generations import EntryOut, GenerationOut

YEARS_10_SECONDS = 10 * 366 * 24 * 3600
EMAIL_PATTERN = rf"^[^@\s{UNSAFE_IN_JSON_SCHEMA}]{{1,64}}@[^@\s{UNSAFE_IN_JSON_SCHEMA}]{{1,189}}$"

Reason = Annotated[str, Field(min_length=1, max_length=500, description="Shown to the customer in the journal.")]
Label = Annotated[str, Field(min_length=1, max_length=100)]
Email = Annotated[str, Field(pattern=EMAIL_PATTERN, max_length=254, examples=["ada@example.com"])]

THRESHOLD_DECIMALS_MAX = 3


def _threshold(number: Any) -> Any:
    fraction = given_number(number, "a number from 0 to 1, such as 0.2")
    if not 0 <= fraction <= 1 or fraction != round(fraction, THRESHOLD_DECIMALS_MAX):
        raise ValueError("must be from 0 to 1 with at most three decimals, such as 0.2")
    return fraction


Threshold = Annotated[
    Decimal,
    BeforeValidator(_threshold),
    WithJsonSchema({"type": "number", "minimum": 0, "maximum": 1, "multipleOf": 0.001}),
]


def _some(amount: Any) -> Any:
    if amount == 0:
        raise ValueError("must not be 0")
    return amount


class AccountIn(Body):
    """What to set; what is left out, or null, stays as it is."""

    email: Email | None = None
    metadata: Metadata | None = None


class AccountQuery(Query):
    """Which account to find; letter case does not matter."""

    email: Email


class KeyIn(Body):
    """A new key for an account."""

    label: Label | None = None


class OperatorKeyIn(Body):
    """A new admin key, or an ops key that only reads."""

    scope: Literal["admin", "ops"]
    label: Label | None = None


class SubscriptionIn(Body):
    """Start a subscription, or renew it by a later `paid_through` (R2, R3, R12)."""

    plan: Annotated[str, Field(min_length=1, max_length=64, examples=["standard"])]
    interval: Interval
    started_at: Annotated[TimeIn, Field(description="Now, if left out; never in the future.")] | None = None
    paid_through: (
        Annotated[TimeIn, Field(description="When it lapses; left out, it renews itself until cancelled.")] | None
    ) = None


class SubscriptionChangeIn(Body):
    """Another plan, or another interval of the same (R12)."""

    plan: Annotated[str, Field(min_length=1, max_length=64, examples=["standard"])]
    interval: Annotated[Interval, Field(description="As it is, if left out.")] | None = None
    when: Annotated[
        Literal["now", "period_end"],
        Field(description="`now` starts a new cycle at once; `period_end` waits for what was paid to end."),
    ]


class GrantIn(Body):
    """Credits to add to a bucket (R5)."""

    bucket: Bucket
    credits: Annotated[
        AmountIn,
        Field(gt=0),
        amount_schema(exclusiveMinimum=0),
    ]
    expires_at: Annotated[TimeIn, Field(description="Never, if left out.")] | None = None
    reason: Reason


class AdjustmentIn(Body):
    """A correction of a bucket, up or down (R24)."""

    bucket: Bucket
    credits: Annotated[
        AmountIn,
        AfterValidator(_some),
        amount_schema(minimum=-int(CREDITS_MAX), **{"not": {"const": 0}}),
    ]
    reason: Reason


class AlertsIn(Body):
    """At which parts of the monthly credits the journal says that they run low."""

    thresholds: Annotated[
        list[Threshold],
        Field(
            max_length=10, description="Fractions, such as 0.2 for 20 %; 0 is when nothing is left. [] turns it off."
        ),
    ]


class ClockIn(Body):
    """How far to move the account's clock forward (R22)."""

    advance_seconds: Annotated[int, Field(ge=1, le=YEARS_10_SECONDS), WHOLE]


class KeyOut(Answer):
    """A key. `key` is there only in the answer that made it: keep it then."""

    id: str
    key: str | None = Field(default=None, description="The key itself, shown once.")
    scope: Literal["account", "admin", "ops"]
    label: str | None
    created_at: Time
    last_used_at: Time | None = Field(description="Up to a minute late. Null: never used.")


class KeysOut(Answer):
    """An account's keys, or the operators', never the keys themselves."""

    data: list[KeyOut]


class Revoked(Answer):
    """The key no longer opens anything."""

    id: str
    revoked: Literal[True]


class Clock(Answer):
    """The account's time, and how far it is ahead of real time (R22)."""

    now: Time
    offset_seconds: int


class Alerts(Answer):
    """The thresholds as fractions of the monthly credits, and those that are reached now."""

    thresholds: list[Credits]
    reached: list[Credits]


class AccountOut(Answer):
    """Everything support needs about an account."""

    id: str
    object: Literal["account"]
    email: str | None
    metadata: dict[str, Any]
    test: bool = Field(description="Whether its clock was ever moved (R22).")
    created_at: Time
    clock: Clock
    balance: Balance
    subscription_started_at: Time | None
    alerts: Alerts
    in_work: dict[str, int] = Field(description="Open generations, queued or running, by tool.")
    waiting: dict[str, int]
    keys: list[KeyOut]
    journal: list[EntryOut] = Field(default=[], description="The last ten entries; only when the account is read.")
    generations: list[GenerationOut] = Field(default=[], description="The last ten; only when the account is read.")


class GrantMade(Answer):
    """The new grant, and the account with it."""

    grant: str | None
    account: AccountOut


class Adjusted(Answer):
    """The account after the correction."""

    account: AccountOut
