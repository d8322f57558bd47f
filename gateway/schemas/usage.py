"""Usage: what was made and what it cost, by day, tool and model."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from itertools import permutations
from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, Field, WithJsonSchema

from gateway.schemas.base import Answer, Credits, OfAccount

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
        raise ValueError("must be a day of the calendar, such as 2026-11-22") from None
    if day.year < YEAR_MIN:
        raise ValueError(f"must not be before the year {YEAR_MIN}")
    return text


def _dimensions(text: str) -> str:
    named = text.split(",")
    if not set(named) <= set(DIMENSIONS) or len(named) != len(set(named)):
        raise ValueError(f"must name some of {', '.join(DIMENSIONS)}, each once, with commas between")
    return text


Day = Annotated[
    str,
    Field(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"),
    AfterValidator(_day),
    WithJsonSchema(
        {"type": "string", "format": "date", "pattern": r"^[2-9]\d{3}-\d{2}-\d{2}$", "examples": ["2026-11-22"]}
    ),
]
Filter = Annotated[str, Field(min_length=1, max_length=64)]


class UsageQuery(OfAccount):
    """Which days, of what, and by what the numbers are grouped."""

    first: Annotated[
        Day | None,
        Field(alias="from", description="The first day; 29 days before the last, if left out."),
    ] = None
    last: Annotated[Day | None, Field(alias="to", description="The last day, included; today, if left out.")] = None
    tool: Filter | None = None
    model: Filter | None = None
    group_by: Annotated[
        str,
        AfterValidator(_dimensions),
        WithJsonSchema({"type": "string", "enum": list(_every_order())}),
        Field(description="Some of `day`, `tool`, `model`, with commas between.", examples=["day,model"]),
    ] = "day,tool,model"


class UsageTotals(Answer):
    """Sums over generations that ended. Credits are those committed; `refunded` is credits too."""

    generations: int
    outputs: int = Field(description="Outputs that were delivered.")
    credits: Credits = Field(description="What was committed: the sum of the journal's commits.")
    failed: int = Field(description="How many of the generations failed; the cancelled ones are not among them.")
    refunded: Credits = Field(description="Credits that were given back: the sum of the journal's refunds.")


class UsageRow(UsageTotals):
    """The sums of one group; a dimension that it is not grouped by is left out."""

    day: str | None = None
    tool: str | None = None
    model: str | None = None


class UsageOut(Answer):
    """Usage, by day, tool and model in their order. A group in which nothing ended is left out."""

    data: list[UsageRow]
    totals: UsageTotals
    timezone: str = Field(description="Whose days these are: the rate card's. A generation counts where it ended.")
    first_day: str
    last_day: str
