"""Usage: ended generations and their cost by day, tool and model."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from itertools import permutations
from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, Field, WithJsonSchema

from gateway.schemas.base import Answer, Credits, OfAccount, Text

Dimension = Literal["day", "tool", "model"]
DIMENSIONS: tuple[Dimension, ...] = get_args(Dimension)
YEAR_MIN = 2000


def _every_order() -> Iterator[str]:
    for count in range(1, len(DIMENSIONS) + 1):
        yield from map(",".join, permutations(DIMENSIONS, count))


def _day(text: str) -> str:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise ValueError("must be a calendar date, such as 2026-11-22") from None
    if day.year < YEAR_MIN:
        raise ValueError(f"must not be before the year {YEAR_MIN}")
    return text


def _dimensions(text: str) -> str:
    named = text.split(",")
    if not set(named) <= set(DIMENSIONS) or len(named) != len(set(named)):
        raise ValueError(f"must be a comma-separated list of {', '.join(DIMENSIONS)}, each at most once")
    return text


Day = Annotated[
    str,
    Field(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"),
    AfterValidator(_day),
    WithJsonSchema(
        {"type": "string", "format": "date", "pattern": r"^[2-9]\d{3}-\d{2}-\d{2}$", "examples": ["2026-11-22"]}
    ),
]
Filter = Annotated[Text, Field(min_length=1, max_length=64)]


class UsageQuery(OfAccount):
    """The days, filters and grouping."""

    first: Annotated[
        Day | None,
        Field(alias="from", description="The first day. Default: 29 days before the last."),
    ] = None
    last: Annotated[Day | None, Field(alias="to", description="The last day, inclusive. Default: today.")] = None
    tool: Filter | None = None
    model: Filter | None = None
    group_by: Annotated[
        Text,
        AfterValidator(_dimensions),
        WithJsonSchema({"type": "string", "enum": list(_every_order())}),
        Field(description="A comma-separated list of `day`, `tool`, `model`.", examples=["day,model"]),
    ] = "day,tool,model"


class UsageTotals(Answer):
    """Sums over ended generations. `credits` are committed credits, `refunded` refunded credits."""

    generations: int
    outputs: int = Field(description="Delivered outputs.")
    credits: Credits = Field(description="Credits committed: the sum of the journal's commits.")
    failed: int = Field(description="Failed generations, not counting cancelled ones.")
    refunded: Credits = Field(description="Credits refunded: the sum of the journal's refunds.")


class UsageRow(UsageTotals):
    """The sums of one group; dimensions that are not grouped by are omitted."""

    day: str | None = None
    tool: str | None = None
    model: str | None = None


class UsageOut(Answer):
    """Usage, sorted by day, tool and model. Groups in which no generation ended are omitted."""

    data: list[UsageRow]
    totals: UsageTotals
    timezone: str = Field(
        description="The time zone of the days: the rate card's. A generation counts on the day it ended."
    )
    first_day: str
    last_day: str
