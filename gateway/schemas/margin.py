"""What generations earned and cost, by day, model, provider and bucket: for operators only."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field, WithJsonSchema

from gateway.domain import Bucket
from gateway.schemas.base import Answer, Credits, Query, Text
from gateway.schemas.usage import Day, Filter

DIMENSIONS = ("day", "model", "provider", "bucket")
"""What margin is grouped by, in the order of a row's members."""
_IN_ORDER = (
    r"^(?:day(?:,model)?(?:,provider)?(?:,bucket)?|model(?:,provider)?(?:,bucket)?|provider(?:,bucket)?|bucket)$"
)
_EXAMPLE = "0.551250"


def _dimensions(text: str) -> str:
    named = text.split(",")
    if not set(named) <= set(DIMENSIONS) or len(named) != len(set(named)):
        raise ValueError(f"must be a comma-separated list of {', '.join(DIMENSIONS)}, each at most once")
    return text


Money = Annotated[
    str,
    WithJsonSchema({"type": "string", "pattern": r"^-?\d+\.\d{6}$", "examples": [_EXAMPLE]}),
]
"""An amount in the currency of the rate card, as decimal text with six decimals: sums of it stay exact."""


class MarginQuery(Query):
    """The days, filters and grouping."""

    first: Annotated[
        Day | None, Field(alias="from", description="The first day. Default: 29 days before the last.")
    ] = None
    last: Annotated[Day | None, Field(alias="to", description="The last day, inclusive. Default: today.")] = None
    model: Filter | None = None
    provider: Filter | None = None
    group_by: Annotated[
        Text,
        AfterValidator(_dimensions),
        WithJsonSchema({"type": "string", "pattern": _IN_ORDER}),
        Field(
            description="A comma-separated list of `day`, `model`, `provider` and `bucket`, in this order.",
            examples=["day,model"],
        ),
    ] = "day,model,provider"

    @property
    def dimensions(self) -> list[str]:
        """The dimensions to group by, in the order of a row's members."""
        return [name for name in DIMENSIONS if name in self.group_by.split(",")]


class CreditsByBucket(Answer):
    """Credits of each bucket."""

    free: Credits
    subscription: Credits
    top_up: Credits


class MoneyByBucket(Answer):
    """Money of each bucket."""

    free: Money
    subscription: Money
    top_up: Money


class UnknownOut(Answer):
    """What could not be valued, and counts as 0."""

    credits: Credits = Field(description="Credits of which is not known what was paid for them.")
    generations: int = Field(description="Generations with a delivered output whose cost is not known.")


class DriftOut(Answer):
    """What providers reported, beside what the rate card assumed of the same outputs."""

    reported: Money
    assumed: Money
    percent: float | None = Field(
        description="How much more was reported than assumed; negative: less. Null if nothing was assumed."
    )
    flagged: bool = Field(description="Whether they differ by more than 5 %: check `cost` on the rate card.")


class MarginTotals(Answer):
    """Sums over ended generations."""

    generations: int
    credits: Credits = Field(description="Credits committed, less those that operators gave back.")
    credits_by_bucket: CreditsByBucket
    revenue: Money = Field(description="The credits, each at what was paid for it.")
    revenue_by_bucket: MoneyByBucket
    cost: Money = Field(description="What providers took: `assumed` and `reported` together.")
    margin: Money = Field(description="`revenue` less `cost`.")
    assumed: Money = Field(description="The part of the cost that is by the rate card's `cost`.")
    reported: Money = Field(description="The part of the cost that providers reported.")
    losses: Money = Field(
        description="The part of the cost for which nobody pays: outputs that were refused by checks, what operators "
        "gave back, and late jobs of a provider that was left."
    )
    unknown: UnknownOut
    drift: DriftOut


class MarginRow(MarginTotals):
    """The sums of one group; dimensions that are not grouped by are omitted.

    `other` stands for models and providers that came when a day already had 2,000 rows.
    """

    day: str | None = None
    model: str | None = None
    provider: str | None = None
    bucket: Bucket | None = Field(
        default=None,
        description="Null for generations that cost no credits. Costs are divided by what each bucket paid.",
    )


class MarginOut(Answer):
    """Margin, sorted by day, model, provider and bucket."""

    data: list[MarginRow]
    totals: MarginTotals
    currency: str
    timezone: str = Field(
        description="The time zone of the days: the rate card's. A generation counts on the day it ended, by its "
        "account's clock; what is given back of it, on the day of the correction."
    )
    first_day: str
    last_day: str
