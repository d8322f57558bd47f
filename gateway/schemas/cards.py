"""The rate card and the plans."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from gateway.schemas.base import Answer, Credits, Setting

Condition = dict[str, list[Setting]]


class SettingOut(Answer):
    """A setting: one of `values`, or a number from `min` to `max` by `step`."""

    values: list[Setting] = Field(default=[], description="Present for a list.")
    min: Credits | None = Field(default=None, description="Present for a range.")
    max: Credits | None = None
    step: Credits | None = None
    default: Setting
    unit: str | None


class PerUnitOut(Answer):
    """Credits for each unit beyond `over`."""

    credits: Credits
    over: Credits


class RateOut(Answer):
    """One price line: what an output costs where `when` matches."""

    when: Condition
    credits: Credits
    credits_per: dict[str, PerUnitOut]
    round_up: dict[str, Credits]
    round_credits_to: Credits | None = Field(description="An output's price is rounded up to a multiple of this.")
    minimum_credits: Credits
    maximum_credits: Credits | None


class AddOnOut(Answer):
    """A surcharge where `when` matches: one of `credits`, `factor` and `credits_per`."""

    name: str
    when: Condition
    credits: Credits | None
    factor: Credits | None
    credits_per: dict[str, PerUnitOut] | None
    per: Literal["output", "request"]


class InputsOut(Answer):
    """How many inputs a model takes at most."""

    image: int
    video: int
    megapixels: Credits | None = Field(description="Of all images together; null: not limited.")
    video_seconds: Credits | None = Field(description="Of all videos together; null: not limited.")


class ForbiddenOut(Answer):
    """A combination that the model does not take."""

    when: Condition
    reason: str | None


class ModelOut(Answer):
    """What can be asked of a model, and every price of it."""

    id: str
    name: str
    tool: str
    description: str | None
    pro: bool
    outputs_max: int
    inputs: InputsOut
    settings: dict[str, SettingOut]
    forbidden: list[ForbiddenOut]
    rates: list[RateOut]
    add_ons: list[AddOnOut]


class ToolOut(Answer):
    """A studio, and the model that its estimates are made with."""

    id: str
    name: str
    baseline_model: str


class FreeOut(Answer):
    """The daily credits (R1)."""

    daily_credits: Credits
    audience: Literal["everyone", "without_subscription"]
    reset_time: str
    timezone: str


class RateCardOut(Answer):
    """The rate card in force; `version` is the SHA-256 of its file."""

    version: str
    free: FreeOut
    refund_grace_seconds: int
    tools: list[ToolOut]
    models: list[ModelOut]


class PriceOut(Answer):
    """What a plan costs for a whole interval; one that it is not sold at is left out."""

    monthly: Credits | None = None
    quarterly: Credits | None = None
    yearly: Credits | None = None


class EstimatedGenerations(Answer):
    """How many of the tool's baseline model the credits pay for, one output each at its default settings."""

    model: str
    generations: int


class FreePlanOut(Answer):
    """What an account has without a subscription. Its estimate is for a day."""

    daily_credits: Credits
    concurrency: dict[str, int] = Field(description="In work at once, by tool; a tool without an entry: 1.")
    max_waiting: int
    allow: dict[str, Condition] = Field(description="Settings that a tool is limited to.")
    estimated_generations: dict[str, EstimatedGenerations]


class PlanOut(Answer):
    """A plan that is sold. Its estimate is for a month."""

    id: str
    name: str
    monthly_credits: Credits
    price: PriceOut
    concurrency: dict[str, int] = Field(description="In work at once, by tool; a tool without an entry: 1.")
    max_waiting: int
    head_start_seconds: Credits = Field(description="How far ahead its generations start in the queue (R15).")
    allow: dict[str, Condition] = Field(description="Settings that a tool is limited to.")
    estimated_generations: dict[str, EstimatedGenerations]


class PlansOut(Answer):
    """The plans, in the rate card's order."""

    data: list[PlanOut]
    free: FreePlanOut
    rate_card: str
