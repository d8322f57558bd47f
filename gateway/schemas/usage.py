"""Usage: ended generations and their cost by day, tool, model, member, key and tag."""

from __future__ import annotations

from datetime import date
from typing import Annotated

from pydantic import AfterValidator, ConfigDict, Field, GetJsonSchemaHandler, WithJsonSchema
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from gateway.schemas.base import Answer, Credits, OfAccount, Text
from gateway.schemas.tags import NAME_CHARACTER, TAG_MAX_CHARACTERS, is_tag_name

DIMENSIONS = ("day", "tool", "model", "member", "key")
"""What usage is grouped by, in the order of a row's members; `tag:<name>` comes last."""
TAG = "tag:"
YEAR_MIN = 2000
# In the order of a row's members, of which any may be missing. Other orders are accepted as well.
_LAST = f"{TAG}{NAME_CHARACTER}{{1,{TAG_MAX_CHARACTERS}}}"
_REST = f"(?:(?:,member)?(?:,key)?|,{_LAST})"
_IN_ORDER = rf"^(?:day(?:,tool)?(?:,model)?{_REST}|tool(?:,model)?{_REST}|model{_REST}|member(?:,key)?|key|{_LAST})$"


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
    tags = [name for name in named if name.startswith(TAG) and is_tag_name(name.removeprefix(TAG))]
    if not set(named) <= {*DIMENSIONS, *tags} or len(named) != len(set(named)) or len(tags) > 1:
        raise ValueError(f"must be a comma-separated list of {', '.join(DIMENSIONS)} and tag:<name>, each at most once")
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
    member: Filter | None = None
    key: Filter | None = None
    group_by: Annotated[
        Text,
        AfterValidator(_dimensions),
        WithJsonSchema({"type": "string", "pattern": _IN_ORDER}),
        Field(
            description=(
                "A comma-separated list of `day`, `tool`, `model`, `member` and `key`, in this order. In place of the "
                "last two, `tag:<name>`: a tag cannot be combined with members or keys."
            ),
            examples=["day,model"],
        ),
    ] = "day,tool,model"

    @property
    def dimensions(self) -> list[str]:
        """The dimensions to group by, in the order of a row's members."""
        named = self.group_by.split(",")
        return [name for name in DIMENSIONS if name in named] + [name for name in named if name.startswith(TAG)]

    @property
    def tag(self) -> str | None:
        """The name of the tag to group by."""
        last = self.dimensions[-1]
        return last.removeprefix(TAG) if last.startswith(TAG) else None

    @property
    def by_key(self) -> bool:
        """Whether usage is to be divided by keys or members."""
        return not {"member", "key"}.isdisjoint(self.dimensions) or (self.member, self.key) != (None, None)


class UsageTotals(Answer):
    """Sums over ended generations. `credits` are committed credits, `refunded` refunded credits."""

    generations: int
    outputs: int = Field(description="Delivered outputs.")
    credits: Credits = Field(description="Credits committed: the sum of the journal's commits.")
    failed: int = Field(description="Failed generations, not counting cancelled ones.")
    refunded: Credits = Field(description="Credits refunded: the sum of the journal's refunds.")


class UsageRow(UsageTotals):
    """The sums of one group; dimensions that are not grouped by are omitted.

    A tag's value is in a member of the name that `group_by` has, such as `tag:project`; null: no such tag. `other`
    stands for keys and values that came when a day already had 1,000 of them.
    """

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, str | None]

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Describe the member of a tag, which has a name of its own."""
        described = super().__get_pydantic_json_schema__(core, handler)
        handler.resolve_ref_schema(described)["patternProperties"] = {f"^{TAG}": {"type": ["string", "null"]}}
        return described

    day: str | None = None
    tool: str | None = None
    model: str | None = None
    member: str | None = Field(default=None, description="Null for generations of the account's own keys.")
    key: str | None = Field(default=None, description="Null for generations of before this was counted.")


class UsageOut(Answer):
    """Usage, sorted by day, tool, model, member, key and tag. Groups in which no generation ended are omitted."""

    data: list[UsageRow]
    totals: UsageTotals
    timezone: str = Field(
        description="The time zone of the days: the rate card's. A generation counts on the day it ended."
    )
    first_day: str
    last_day: str
