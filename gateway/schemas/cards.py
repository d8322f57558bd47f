"""The rate card and the plans."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from pydantic.json_schema import SkipJsonSchema
from typing_extensions import TypeAliasType

from gateway.kinds import MediaKind
from gateway.metering import Unit
from gateway.schemas.base import Answer, Counts, Credits, Factors, Setting, Time
from gateway.schemas.pauses import PauseState

Condition = TypeAliasType("Condition", dict[str, list[Setting]])
"""Values by setting: it holds when each of these settings has one of its values."""

Allow = TypeAliasType("Allow", dict[str, Condition])
"""The settings values that a tool is limited to, by tool."""


class SettingOut(Answer):
    """A setting: one of `values`, or a number from `min` to `max` in increments of `step`."""

    values: list[Setting] = Field(default=[], description="For a setting with a list of values.")
    min: Credits | None = Field(default=None, description="For a numeric setting with a range.")
    max: Credits | None = None
    step: Credits | None = None
    default: Setting
    unit: str | None


class PerUnitOut(Answer):
    """Credits per unit above `over`."""

    credits: Credits
    over: Credits


CreditsPerUnit = TypeAliasType("CreditsPerUnit", dict[str, PerUnitOut])
"""By numeric setting, or by what is counted of inputs."""


class ReportedOut(Answer):
    """Credits per unit that is reported of an output: held and charged for `at_most` units at the most."""

    unit: Unit
    credits: Credits
    at_most: Credits
    if_unreported: Credits = Field(description="How many units an output counts for if nothing is reported of it.")


class GraduationOut(Answer):
    """What an output costs instead of `credits`, beyond so many of the model in a calendar month."""

    over: int
    credits: Credits


class RateOut(Answer):
    """One price line: the price of an output when `when` matches."""

    when: Condition
    credits: Credits
    credits_per: CreditsPerUnit
    round_up: dict[str, Credits]
    round_credits_to: Credits | None = Field(description="The price of one output is rounded up to a multiple of this.")
    minimum_credits: Credits
    maximum_credits: Credits | None
    reported: list[ReportedOut] = Field(
        default=[], description="Only present if the price depends on what is reported: it adds up, to a ceiling."
    )
    graduated: list[GraduationOut] = Field(
        default=[],
        description="Only present if the price depends on how many the account has ordered this month: estimates say.",
    )


class AddOnOut(Answer):
    """A surcharge applied when `when` matches: one of `credits`, `factor` and `credits_per`."""

    name: str
    when: Condition
    credits: Credits | None
    factor: Credits | None
    credits_per: CreditsPerUnit | None
    per: Literal["output", "request"]


class DatedPricesOut(Answer):
    """The rates and add-ons of a model from a time on."""

    valid_from: Time
    rates: list[RateOut]
    add_ons: list[AddOnOut]


class InputsOut(Answer):
    """The maximum number of inputs a model accepts."""

    image: int
    video: int
    audio: int
    megapixels: Credits | None = Field(description="For all input images together; null if unlimited.")
    video_seconds: Credits | None = Field(description="For all input videos together; null if unlimited.")
    audio_seconds: Credits | None = Field(description="For all input audio together; null if unlimited.")


class ForbiddenOut(Answer):
    """A combination of settings that the model does not accept."""

    when: Condition
    reason: str | None


class ModelOut(Answer):
    """A model: its settings, inputs and prices."""

    id: str
    name: str
    tool: str
    output: MediaKind | None = Field(description="What it makes; null: an image or a video.")
    description: str | None
    pro: bool
    aliases: list[str] = Field(description="Other names of the model, for clients of other APIs.")
    outputs_max: int
    prompt: Literal["required", "optional", "none"] = Field(
        description="Whether a request needs a prompt; `none`: it must not have one."
    )
    inputs: InputsOut
    settings: dict[str, SettingOut]
    forbidden: list[ForbiddenOut]
    rates: list[RateOut]
    add_ons: list[AddOnOut]
    prices_from: list[DatedPricesOut] = Field(
        default=[], description="Only present if prices are to change: the lists that replace these, soonest first."
    )
    paused: PauseState | SkipJsonSchema[None] = Field(
        default=None, description="Only present while operators have paused the model or its tool: nothing starts."
    )


class ToolOut(Answer):
    """A tool (studio), and the model its estimates are based on."""

    id: str
    name: str
    output: MediaKind | None = Field(description="What it makes, if the rate card says so; else see its models.")
    baseline_model: str
    paused: PauseState | SkipJsonSchema[None] = Field(
        default=None, description="Only present while operators have paused the whole tool."
    )


class FreeOut(Answer):
    """The daily free credits."""

    daily_credits: Credits
    audience: Literal["everyone", "without_subscription", "verified"] = Field(
        description="Who gets them; `verified`: accounts that the operator has verified."
    )
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
    """A plan's price per interval; intervals that are not sold are omitted."""

    monthly: Credits | None = None
    quarterly: Credits | None = None
    yearly: Credits | None = None


class EstimatedGenerations(Answer):
    """How many generations of the tool's baseline model the credits cover, with one output each at default settings."""

    model: str
    generations: int


EstimatedByTool = TypeAliasType("EstimatedByTool", dict[str, EstimatedGenerations])
"""By tool."""


class FreePlanOut(Answer):
    """What an account without a subscription gets. The estimate is per day."""

    daily_credits: Credits
    concurrency: Counts = Field(description="Concurrent generations, by tool; tools not listed: 1.")
    max_waiting: int
    seats: int | None = Field(description="How many members the account may have; null: any number.")
    output_days: int = Field(description="For how many days after a generation's end its outputs are kept.")
    allow: Allow = Field(description="The settings values that a tool is limited to.")
    discounts: Factors = Field(
        default={},
        description="Only present if there are any. A model's entry comes before its tool's, and that before `*`.",
    )
    estimated_generations: EstimatedByTool


class PlanOut(Answer):
    """A plan on sale. The estimate is per month."""

    id: str
    name: str
    monthly_credits: Credits
    price: PriceOut
    concurrency: Counts = Field(description="Concurrent generations, by tool; tools not listed: 1.")
    max_waiting: int
    seats: int | None = Field(description="How many members the account may have; null: any number.")
    output_days: int = Field(description="For how many days after a generation's end its outputs are kept.")
    head_start_seconds: Credits = Field(description="How far ahead of others its generations are queued.")
    allow: Allow = Field(description="The settings values that a tool is limited to.")
    discounts: Factors = Field(
        default={},
        description="Only present if there are any. A model's entry comes before its tool's, and that before `*`.",
    )
    estimated_generations: EstimatedByTool


class DiscountOut(Answer):
    """One factor on a price, as the lines of quotes and receipts name it."""

    name: str
    factor: Credits


class ModelDiscountsOut(Answer):
    """What an account pays of a model's prices: all of its discounts, multiplied."""

    model: str
    tool: str
    factor: Credits
    discounts: list[DiscountOut]


class DiscountsOut(Answer):
    """What an account pays of the prices on the rate card. Models without a discount are left out."""

    plan: str
    data: list[ModelDiscountsOut]
    rate_card: str


class PlansOut(Answer):
    """The plans, in rate card order."""

    data: list[PlanOut]
    free: FreePlanOut
    upgrade_leftover: Literal["keep", "drop"] = Field(
        description="When a plan is changed at once: whether what is left of the old plan's credits is kept until "
        "their expiry, or dropped."
    )
    rate_card: str
