"""Operators' calls: accounts, keys, subscriptions, grants, adjustments, clocks."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from gateway.domain import Bucket, Interval, Role, Scope
from gateway.schemas.base import (
    CREDITS_MAX,
    FACTOR_DECIMALS_MAX,
    WHOLE,
    AmountIn,
    Answer,
    Body,
    Counts,
    Email,
    Factors,
    Metadata,
    Query,
    Text,
    Time,
    TimeIn,
    amount_schema,
    given_number,
)
from gateway.schemas.credits import Alerts, Balance
from gateway.schemas.generations import EntryOut, GenerationOut
from gateway.schemas.limits import BoundsIn, BoundsOut, LimitIn, LimitOut, Spending
from gateway.schemas.members import MemberId, MemberOut
from gateway.schemas.pauses import PauseState

DAYS_30_SECONDS = 30 * 24 * 3600
YEARS_10_SECONDS = 10 * 366 * 24 * 3600

Reason = Annotated[Text, Field(min_length=1, max_length=500, description="Shown to the customer in the journal.")]
Label = Annotated[Text, Field(min_length=1, max_length=100)]

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
    """The fields to set; those omitted or null are left unchanged."""

    email: Email | None = None
    metadata: Metadata | None = None
    free_credits: (
        Annotated[
            bool,
            Field(
                description=(
                    "Whether it gets the daily free credits. Once true, it gets today's at once, if it had none. Never "
                    'set: the rate card decides; only `[free] for = "verified"` gives it none.'
                )
            ),
        ]
        | None
    ) = None


class AccountQuery(Query):
    """The account to find; case-insensitive."""

    email: Email


class KeyIn(BoundsIn):
    """A new key for an account."""

    label: Label | None = None
    member: (
        Annotated[
            MemberId,
            Field(description="Whose key it is; null: the account's own. Default: a member's own, for operators null."),
        ]
        | None
    ) = None
    limit: Annotated[LimitIn, Field(description="Default: none.")] | None = None


class KeyChangeIn(BoundsIn):
    """The fields to change; those omitted are left unchanged. Null removes a limit or a bound."""

    label: Annotated[Label, Field(description="Null leaves it unchanged.")] | None = None
    limit: (
        Annotated[
            LimitIn,
            Field(description="What the key has spent in the period so far counts. Null removes the limit."),
        ]
        | None
    ) = None


class KeyRotationIn(Body):
    """How long the old key stays valid."""

    overlap_seconds: Annotated[
        int,
        Field(ge=0, le=DAYS_30_SECONDS, description="For how long the old key stays valid. Default: 24 hours."),
        WHOLE,
    ] = 24 * 3600


class OperatorKeyIn(Body):
    """A new key for an operator."""

    scope: Annotated[
        Literal["admin", "billing", "ops", "support", "viewer", "worker"],
        Field(
            description=(
                "Its role. `ops` reads queues; `viewer` reads accounts, without prompts, inputs and outputs; `support` "
                "reads them all, and changes credits up to a ceiling per call; `billing` reads what a viewer does, and "
                "changes credits and subscriptions; `worker` makes generations without Redis, and nothing else; "
                "`admin` does everything."
            )
        ),
    ]
    label: Label | None = None


class SubscriptionIn(Body):
    """Start a subscription, or renew it with a later `paid_through`."""

    plan: Annotated[Text, Field(min_length=1, max_length=64, examples=["standard"])]
    interval: Interval
    started_at: Annotated[TimeIn, Field(description="Default: now. Must not be in the future.")] | None = None
    paid_through: (
        Annotated[TimeIn, Field(description="When it lapses. If omitted, it renews automatically until cancelled.")]
        | None
    ) = None


class SubscriptionChangeIn(Body):
    """A change to another plan, or to another interval of the same plan."""

    plan: Annotated[Text, Field(min_length=1, max_length=64, examples=["standard"])]
    interval: Annotated[Interval, Field(description="Default: unchanged.")] | None = None
    when: Annotated[
        Literal["now", "period_end"],
        Field(description="`now` starts a new cycle at once; `period_end` takes effect when the paid period ends."),
    ]


PAID_MAX = 10_000_000
"""As much as a bundle may cost."""


class GrantIn(Body):
    """Credits to add to a bucket."""

    bucket: Bucket
    credits: Annotated[
        AmountIn,
        Field(gt=0),
        amount_schema(exclusiveMinimum=0),
    ]
    expires_at: Annotated[TimeIn, Field(description="Default: never.")] | None = None
    paid: (
        Annotated[
            AmountIn,
            Field(
                ge=0,
                le=PAID_MAX,
                description="What was paid for them, in the rate card's currency, for the margin. Default: nothing.",
            ),
            amount_schema(minimum=0, maximum=PAID_MAX),
        ]
        | None
    ) = None
    reason: Reason


class AdjustmentIn(Body):
    """A correction to a bucket, up or down."""

    bucket: Bucket
    credits: Annotated[
        AmountIn,
        AfterValidator(_some),
        amount_schema(minimum=-int(CREDITS_MAX), **{"not": {"const": 0}}),
    ]
    reason: Reason


class AlertsIn(Body):
    """The fractions of the monthly credits at which the journal and webhooks report low credits."""

    thresholds: Annotated[
        list[Threshold],
        Field(max_length=10, description="Fractions, such as 0.2 for 20 %; 0 means none left. [] disables alerts."),
    ]

    @property
    def thousandths(self) -> list[int]:
        """The same as the ledger has them."""
        return [int(threshold * 10**THRESHOLD_DECIMALS_MAX) for threshold in self.thresholds]


def _share(number: Any) -> Any:
    share = given_number(number, "a number from 0 to 1, such as 0.9")
    if not 0 <= share <= 1 or share != round(share, FACTOR_DECIMALS_MAX):
        raise ValueError(f"must be from 0 to 1 with at most {FACTOR_DECIMALS_MAX} decimals, such as 0.9")
    return share


PaidShare = Annotated[
    Decimal,
    BeforeValidator(_share),
    WithJsonSchema({"type": "number", "minimum": 0, "maximum": 1}),
]
FactorName = Annotated[Text, Field(min_length=1, max_length=64)]


class FactorsIn(Body):
    """What an account pays of the prices on the rate card, beside the discounts of its plan."""

    factors: Annotated[
        dict[FactorName, PaidShare],
        Field(
            max_length=100,
            description=(
                "By the id of a model or a tool, or `*` for everything else: 0.9 is 10 % off. A model's entry comes "
                "before its tool's, and both before `*`. Multiplied with the plan's discount. {} ends them."
            ),
        ),
    ]
    reason: Annotated[Text, Field(min_length=1, max_length=500, description="Kept in the audit log.")]


class ClockIn(Body):
    """How far to advance the account's clock."""

    advance_seconds: Annotated[int, Field(ge=1, le=YEARS_10_SECONDS), WHOLE]


class KeyOut(BoundsOut):
    """An API key. `key` is only included in the response that created it: store it then."""

    id: str
    key: str | None = Field(default=None, description="The key itself. Shown only once.")
    scope: Scope
    label: str | None
    created_at: Time
    last_used_at: Time | None = Field(description="Up to a minute behind. Null if never used.")
    member: str | None = Field(description="The member it belongs to; null: the account's own, or an operator's.")
    limit: LimitOut | None = Field(description="What an account's key may spend per period; null: no limit.")
    networks: list[str] | None = Field(description="The only networks it may be used from; null: all.")


class KeyRate(Answer):
    """How many requests per minute a key may make."""

    requests_per_minute: int


class OwnKeyOut(BoundsOut, Spending):
    """The key of this request: what it may do, and what it has spent."""

    id: str
    label: str | None
    account: str
    member: str | None = Field(description="Whose key it is; null: the account's own.")
    role: Role | None = Field(description="What this member may do; null: the account's own key.")
    member_limit: Spending | None = Field(
        description="The same for its member, all of their keys together; null: the account's own key."
    )
    rate_limit: KeyRate | None = Field(description="Null: no limit.")


class KeysOut(Answer):
    """An account's keys, or the operators', without the secrets themselves."""

    data: list[KeyOut]


class Revoked(Answer):
    """The key has been revoked."""

    id: str
    revoked: Literal[True]


class Clock(Answer):
    """The account's time, and how far it is ahead of real time."""

    now: Time
    offset_seconds: int


class AccountOut(Answer):
    """An account with everything support needs."""

    id: str
    object: Literal["account"]
    email: str | None
    metadata: Metadata
    erased_at: Time | None = Field(default=None, description="When its person was erased.")
    free_credits: bool | None = Field(description="Whether it may have daily free credits; null: the card decides.")
    test: bool = Field(description="Whether the account's clock was ever advanced.")
    created_at: Time
    clock: Clock
    balance: Balance
    subscription_started_at: Time | None
    alerts: Alerts
    factors: Factors = Field(
        description="What it pays of the card's prices, by model, tool or `*`; its plan's discount is another factor."
    )
    paused: PauseState | None = Field(default=None, description="Set while operators have paused the account.")
    in_work: Counts = Field(description="Queued and running generations, by tool.")
    waiting: Counts
    keys: list[KeyOut]
    members: list[MemberOut] = Field(default=[], description="Oldest first, former ones among them.")
    journal: list[EntryOut] = Field(
        default=[], description="The ten newest entries; only included when the account is read."
    )
    generations: list[GenerationOut] = Field(
        default=[], description="The ten newest generations; only included when the account is read."
    )


class GrantMade(Answer):
    """The new grant, and the account including it."""

    grant: str | None
    account: AccountOut


class Adjusted(Answer):
    """The account after the adjustment."""

    account: AccountOut
