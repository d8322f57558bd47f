"""Estimates: what a month would cost, and which plan would do (R20)."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field, WithJsonSchema

from gateway.schemas.base import WHOLE, Answer, Body, Credits, Setting, given_number
from gateway.schemas.generations import OUTPUTS_MAX

ITEMS_MAX = 100
DAYS_MAX = 31
PER_DAY_MAX = 1_000_000
BUFFER_MAX = 10
_DECIMALS_MAX = 3


def _decimal(number: Any) -> Decimal:
    decimal = given_number(number, "a number")
    # What is larger is refused by its own limit, and to round it might take more digits than a decimal has.
    if abs(decimal) <= PER_DAY_MAX and decimal != round(decimal, _DECIMALS_MAX):
        raise ValueError(f"must have at most {_DECIMALS_MAX} decimals")
    return decimal


PerDay = Annotated[
    Decimal,
    BeforeValidator(_decimal),
    Field(gt=0, le=PER_DAY_MAX, description="Requests a day; 0.5 is one every other day."),
    WithJsonSchema({"type": "number", "exclusiveMinimum": 0, "maximum": PER_DAY_MAX, "multipleOf": 0.001}),
]
Buffer = Annotated[
    Decimal,
    BeforeValidator(_decimal),
    Field(ge=0, le=BUFFER_MAX, description="What to add for second tries, as a fraction. Left out, 0.25: 25 %."),
    WithJsonSchema({"type": "number", "minimum": 0, "maximum": BUFFER_MAX, "multipleOf": 0.001}),
]


class EstimateItemIn(Body):
    """What is made every day."""

    tool: Annotated[str, Field(min_length=1, max_length=64, examples=["image"])]
    model: Annotated[str, Field(min_length=1, max_length=128, examples=["nano-banana"])]
    settings: Annotated[dict[str, Setting], Field(max_length=64)] = Field(default_factory=dict)
    outputs: Annotated[
        int, Field(ge=1, le=OUTPUTS_MAX, description="Outputs of each request; 1, if left out."), WHOLE
    ] = 1
    per_day: PerDay
    days: Annotated[int, Field(ge=1, le=DAYS_MAX, description="Days of the month on which it is made."), WHOLE]


class EstimateIn(Body):
    """The items to estimate, or `from` what the account made in its last 30 days."""

    # One of the two, and null is none. In words that makers of clients leave aside: of a `oneOf` they make two classes.
    model_config = ConfigDict(
        json_schema_extra={
            "if": {"required": ["items"], "properties": {"items": {"type": "array"}}},
            "then": {"properties": {"from": {"type": "null"}}},
            "else": {"required": ["from"], "properties": {"from": {"type": "string"}}},
        }
    )

    items: Annotated[list[EstimateItemIn], Field(min_length=1, max_length=ITEMS_MAX)] | None = None
    source: Annotated[
        Literal["last_30_days"] | None,
        Field(alias="from", description="Instead of `items`: the account's own usage. Takes an account's key."),
    ] = None
    buffer: Buffer | None = None


class EstimateItemOut(Answer):
    """One item. From usage, `unit_credits` is what an output really cost on average, rounded to three decimals."""

    tool: str
    model: str
    settings: dict[str, Setting]
    outputs: int
    per_day: Credits
    days: int
    unit_credits: Credits
    credits: Credits
    allowed: bool = Field(description="Whether the caller's plan allows it; without a key, whether the free plan does.")
    reason: Literal["subscription_required", "plan_limit"] | None


class PlanAdviceOut(Answer):
    """What a plan would do about the estimate."""

    plan: str
    credits: Credits = Field(description="What the plan gives a month. Daily free credits come on top of it.")
    allowed: bool = Field(description="Whether it allows every item.")
    covers: bool = Field(description="Whether it allows every item and its credits are enough with the buffer.")


class EstimateOut(Answer):
    """What a month would cost. It binds nobody: a quote does."""

    items: list[EstimateItemOut]
    credits: Credits
    buffer: Credits
    with_buffer: Credits
    plans: list[PlanAdviceOut]
    cheapest_plan: str | None = Field(description="The cheapest plan that covers it; null: none does.")
    rate_card: str
