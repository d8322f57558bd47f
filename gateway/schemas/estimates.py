"""Estimates: what a month would cost, and which plans cover it (R20)."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field, WithJsonSchema
from pydantic.json_schema import SkipJsonSchema

from gateway.schemas.base import WHOLE, Answer, Body, Credits, SettingsIn, SettingsOut, Text, given_number
from gateway.schemas.generations import OUTPUTS_MAX
from gateway.schemas.prices import AtMost, PlanRefusal

ITEMS_MAX = 100
DAYS_MAX = 31
PER_DAY_MAX = 1_000_000
BUFFER_MAX = 10
_DECIMALS_MAX = 3


def _decimal(number: Any) -> Decimal:
    decimal = given_number(number, "a number")
    # A larger one is rejected by its own limit; rounding it might need more digits than a decimal has.
    if abs(decimal) <= PER_DAY_MAX and decimal != round(decimal, _DECIMALS_MAX):
        raise ValueError(f"must have at most {_DECIMALS_MAX} decimals")
    return decimal


PerDay = Annotated[
    Decimal,
    BeforeValidator(_decimal),
    Field(gt=0, le=PER_DAY_MAX, description="Requests per day; 0.5 means one every other day."),
    WithJsonSchema({"type": "number", "exclusiveMinimum": 0, "maximum": PER_DAY_MAX, "multipleOf": 0.001}),
]
Buffer = Annotated[
    Decimal,
    BeforeValidator(_decimal),
    Field(ge=0, le=BUFFER_MAX, description="Extra share for retries, as a fraction. Default: 0.25 (25 %)."),
    WithJsonSchema({"type": "number", "minimum": 0, "maximum": BUFFER_MAX, "multipleOf": 0.001}),
]


class EstimateItemIn(Body):
    """A kind of request, and how often it is made."""

    tool: Annotated[Text, Field(min_length=1, max_length=64, examples=["image"])]
    model: Annotated[Text, Field(min_length=1, max_length=128, examples=["nano-banana"])]
    settings: SettingsIn = Field(default_factory=dict)
    outputs: Annotated[int, Field(ge=1, le=OUTPUTS_MAX, description="Outputs per request. Default: 1."), WHOLE] = 1
    per_day: PerDay
    days: Annotated[int, Field(ge=1, le=DAYS_MAX, description="Days per month with such requests."), WHOLE]


class EstimateIn(Body):
    """The items to estimate, or `from` to use the account's last 30 days."""

    # Exactly one of the two, not null. With keywords that client generators ignore: a `oneOf` would become two classes.
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
        Field(alias="from", description="Use the account's own usage instead of `items`. Requires an account's key."),
    ] = None
    buffer: Buffer | None = None


class EstimateItemOut(Answer):
    """One item. When estimated from usage, `unit_credits` is the average actual price per output, to three decimals."""

    tool: str
    model: str
    settings: SettingsOut
    outputs: int
    per_day: Credits
    days: int
    unit_credits: Credits = Field(description="What the next request would cost the account now.")
    list_unit_credits: Credits | SkipJsonSchema[None] = Field(
        default=None,
        description=(
            "Only present if the plan or the account has a discount: `unit_credits` without it. When estimated from "
            "usage: as if it had been in force all the time."
        ),
    )
    ordered_this_month: int | SkipJsonSchema[None] = Field(
        default=None,
        description=(
            "Only present if the model has graduated prices: how many outputs of it the account has ordered this "
            "month (without a key, 0). `credits` goes on from there, after the items above, from one price to the next."
        ),
    )
    credits: Credits
    at_most: AtMost = False
    allowed: bool = Field(description="Whether the caller's plan allows it; without a key, whether the free plan does.")
    reason: PlanRefusal | None


class PlanAdviceOut(Answer):
    """How a plan would cover the estimate."""

    plan: str
    credits: Credits = Field(description="The plan's monthly credits, without the daily free credits.")
    with_buffer: Credits = Field(description="What the estimate comes to with the plan's discounts, and the buffer.")
    allowed: bool = Field(description="Whether the plan allows every item.")
    covers: bool = Field(
        description="Whether the plan allows every item and its credits cover the estimate including the buffer."
    )


class EstimateOut(Answer):
    """The estimated cost of a month. It is not binding; a quote is."""

    items: list[EstimateItemOut]
    credits: Credits
    at_most: AtMost = False
    buffer: Credits
    with_buffer: Credits
    plans: list[PlanAdviceOut]
    cheapest_plan: str | None = Field(description="The cheapest plan that covers it; null if none does.")
    rate_card: str
