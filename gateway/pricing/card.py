"""The rate card as frozen, validated types: one class per table of `pricing.toml` (DESIGN section 8).

TOML names stand in the aliases; the fields say their units: `credits` is read into `millicredits`, `grace` into
`grace_ms`. These classes check what a table can know of itself; `gateway.pricing.consistency` checks what one table
says of another, and `gateway.pricing.check` proves the prices. `gateway.pricing.load` does all three: the way in.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from functools import cached_property
from typing import Annotated, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from gateway.domain import Interval, SettingValue
from gateway.pricing.fields import (
    Count,
    Credits,
    DurationMs,
    Exact,
    Factor,
    Flag,
    Id,
    Money,
    Positive,
    PositiveDurationMs,
    SettingName,
    SignedCredits,
    Text,
    TimeOfDayMs,
    Value,
    ValueOrValues,
    Values,
    Whole,
    Zone,
    as_tuple,
)
from gateway.pricing.providers import ProviderSettings, ProviderTable
from gateway.pricing.values import Kind, canonical, kind_of, one_of, show

FREE_PLAN = "free"
"""The plan of an account without a subscription: `[free]`, so no `[plans.free]` may be written."""

CONCURRENCY_DEFAULT = 1  # of a tool without an entry (R14)

INPUT_IMAGES = "input_images"
INPUT_VIDEOS = "input_videos"
INPUTS_MAX = 16  # of one request, both kinds together (DESIGN section 6)
OUTPUTS_MAX = 100

When = Mapping[str, ValueOrValues]
"""A condition: setting (or `input_images`, `input_videos`) → the values it matches. Empty matches everything."""

Concurrency = Mapping[str, Count]
Allow = Mapping[str, Mapping[str, ValueOrValues]]


class _Table(BaseModel):
    """A table of the file: fields that are not known are refused, and nothing changes after reading."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Free(_Table):
    """`[free]`: what an account has without paying (R1)."""

    daily_millicredits: Credits = Field(100_000, alias="daily_credits")
    audience: Literal["everyone", "without_subscription"] = Field("everyone", alias="for")
    reset_ms: TimeOfDayMs = Field(0, alias="reset_time")
    timezone: Zone = "UTC"
    concurrency: Concurrency = Field(default_factory=dict)
    max_waiting: Annotated[Whole, Field(ge=0, le=1_000_000)] = 20
    allow: Allow = Field(default_factory=dict)

    @property
    def for_everyone(self) -> bool:
        """Whether subscribers have the daily credits too."""
        return self.audience == "everyone"


class Refunds(_Table):
    """`[refunds]`: how long a refund lives whose grant is gone (R10)."""

    grace_ms: PositiveDurationMs = Field(86_400_000, alias="grace")


class Subscriptions(_Table):
    """`[subscriptions]`: what becomes of the old plan's credits when a change takes effect at once (R12)."""

    upgrade_leftover: Literal["keep", "drop"] = "keep"


class PlanPrice(_Table):
    """What a plan costs for a whole interval. None: it is not sold at that interval."""

    monthly: Money | None = None
    quarterly: Money | None = None
    yearly: Money | None = None

    @model_validator(mode="after")
    def _sold_at_some_interval(self) -> Self:
        if self.monthly is None and self.quarterly is None and self.yearly is None:
            msg = "needs a price for at least one of monthly, quarterly and yearly"
            raise ValueError(msg)
        return self

    def of(self, interval: Interval) -> Decimal | None:
        """The price of one interval."""
        return {
            Interval.MONTHLY: self.monthly,
            Interval.QUARTERLY: self.quarterly,
            Interval.YEARLY: self.yearly,
        }[interval]


class Plan(_Table):
    """`[plans.<id>]`: a subscription that is sold, with its monthly allotment (R2) and its limits (R6, R14, R15)."""

    name: Text
    monthly_millicredits: Credits = Field(alias="monthly_credits")
    price: PlanPrice
    concurrency: Concurrency = Field(default_factory=dict)
    max_waiting: Annotated[Whole, Field(ge=0, le=1_000_000)] = 20
    head_start_ms: DurationMs = Field(0, alias="head_start")
    allow: Allow = Field(default_factory=dict)


class Bundle(_Table):
    """`[bundles.<id>]`: a top-up that is sold (R4)."""

    name: Text
    millicredits: Credits = Field(alias="credits")
    price: Money


class Tool(_Table):
    """`[tools.<id>]`: a studio, its time limits, and the model that its estimates are made with."""

    name: Text
    baseline_model: Id
    queue_timeout_ms: PositiveDurationMs = Field(3_600_000, alias="queue_timeout")
    provider_timeout_ms: PositiveDurationMs = Field(2_700_000, alias="provider_timeout")
    waiting_timeout_ms: PositiveDurationMs = Field(86_400_000, alias="waiting_timeout")
    attempts_max: Annotated[Whole, Field(ge=1, le=100)] = 3


class Setting(_Table):
    """A setting of a model: a list of `values` of one kind, or a number from `min` to `max` by `step`."""

    values: Values | None = None
    minimum: Exact | None = Field(None, alias="min")
    maximum: Exact | None = Field(None, alias="max")
    step: Positive = Decimal(1)
    given_default: Value | None = Field(None, alias="default")
    unit: Annotated[str, Field(strict=True, max_length=20)] = ""

    @model_validator(mode="after")
    def _one_way_of_saying_it(self) -> Self:
        range_fields = self.model_fields_set & {"minimum", "maximum", "step"}
        if self.values is not None and range_fields:
            msg = "has both `values` and a range: keep either `values` or `min`, `max` and `step`"
            raise ValueError(msg)
        if self.values is None:
            self._check_range()
        elif len(kinds := {kind_of(value) for value in self.values}) > 1:
            msg = f"mixes {' and '.join(sorted(kinds))} in `values`: all must be of one kind"
            raise ValueError(msg)
        if self.given_default is not None and not self.takes(self.given_default):
            msg = f"`default` is {show(self.given_default)}, which it does not take: it takes {self.describe()}"
            raise ValueError(msg)
        return self

    def _check_range(self) -> None:
        if self.minimum is None or self.maximum is None:
            msg = "needs `values = […]`, or `min` and `max`"
            raise ValueError(msg)
        if self.minimum > self.maximum:
            msg = f"has a `min` of {self.minimum:f} above its `max` of {self.maximum:f}"
            raise ValueError(msg)
        if (self.maximum - self.minimum) % self.step:
            msg = f"cannot reach its `max` of {self.maximum:f} from {self.minimum:f} in steps of {self.step:f}"
            raise ValueError(msg)

    @property
    def kind(self) -> Kind:
        """What its values are."""
        return Kind.NUMBER if self.values is None else kind_of(self.values[0])

    @property
    def default(self) -> SettingValue:
        """The value of a request that leaves the setting out: as written, else the first value or the minimum."""
        if self.given_default is not None:
            return self.given_default
        return self.values[0] if self.values is not None else canonical(self.minimum)

    @cached_property
    def count(self) -> int:
        """How many values it takes."""
        if self.values is not None:
            return len(self.values)
        low, high = self._bounds
        return int((high - low) // self.step) + 1

    @property
    def _bounds(self) -> tuple[Decimal, Decimal]:
        return self.minimum or Decimal(0), self.maximum or Decimal(0)

    def each(self) -> Iterator[SettingValue]:
        """Every value it takes, in order."""
        if self.values is not None:
            yield from self.values
            return
        low, _ = self._bounds
        for index in range(self.count):
            yield canonical(low + self.step * index)

    def takes(self, value: SettingValue) -> bool:
        """Whether a canonical value is one it takes. A flag is not a number, and text is neither."""
        if kind_of(value) is not self.kind:
            return False
        if self.values is not None:
            return value in self.values
        low, high = self._bounds
        number = Decimal(value)
        return low <= number <= high and (number - low) % self.step == 0

    def describe(self) -> str:
        """What it takes, in words that complete "must be …"."""
        if self.values is not None:
            return one_of(show(value) for value in self.values)
        low, high = self._bounds
        whole = self.step == 1 and low == low.to_integral_value()
        steps = "" if whole else f" in steps of {self.step:f}"
        return f"a {'whole ' if whole else ''}number from {low:f} to {high:f}{steps}"

    def show(self, value: SettingValue) -> str:
        """A value as it stands in a label: `2K`, `5 s`."""
        text = value if isinstance(value, str) else show(value)
        return f"{text} {self.unit}" if self.unit and self.kind is Kind.NUMBER else text


class PerUnit(_Table):
    """An amount for each unit of a number beyond `over`."""

    millicredits: SignedCredits = Field(alias="credits")
    over: Exact = Decimal(0)


CreditsPer = Mapping[str, PerUnit]


class Rate(_Table):
    """One price: what an output costs where `when` matches."""

    when: When = Field(default_factory=dict)
    millicredits: Credits = Field(0, alias="credits")
    credits_per: CreditsPer = Field(default_factory=dict)
    round_up: Mapping[str, Positive] = Field(default_factory=dict)
    minimum_millicredits: Credits = Field(0, alias="minimum_credits")

    @model_validator(mode="after")
    def _has_a_price(self) -> Self:
        if "millicredits" not in self.model_fields_set and not self.credits_per:
            msg = "needs `credits` or `credits_per` (write `credits = 0` for what is free)"
            raise ValueError(msg)
        return self


class AddOn(_Table):
    """A surcharge where `when` matches: an amount, a factor, or an amount per unit; per output or per request."""

    name: Text
    when: When = Field(default_factory=dict)
    millicredits: SignedCredits | None = Field(None, alias="credits")
    factor: Factor | None = None
    credits_per: CreditsPer | None = None
    per: Literal["output", "request"] = "output"

    @model_validator(mode="after")
    def _one_kind_of_surcharge(self) -> Self:
        given = [part for part in (self.millicredits, self.factor, self.credits_per) if part is not None]
        if len(given) != 1 or self.credits_per == {}:
            msg = "needs exactly one of `credits`, `factor` and `credits_per`"
            raise ValueError(msg)
        return self


class Inputs(_Table):
    """How many input images and videos a model takes at most."""

    image: Annotated[Whole, Field(ge=0, le=INPUTS_MAX)] = 0
    video: Annotated[Whole, Field(ge=0, le=INPUTS_MAX)] = 0


class Model(_Table):
    """`[models.<id>]`: what can be asked of a model, and every price of it."""

    name: Text
    tool: Id
    provider: Id
    provider_model: Text | None = None
    description: Text | None = None
    pro: Flag = False
    outputs_max: Annotated[Whole, Field(ge=1, le=OUTPUTS_MAX)] = 1
    inputs: Inputs = Inputs()
    settings: Mapping[SettingName, Setting] = Field(default_factory=dict)
    provider_settings: ProviderSettings = Field(default_factory=dict)
    rates: Annotated[tuple[Rate, ...], BeforeValidator(as_tuple), Field(min_length=1)]
    add_ons: Annotated[tuple[AddOn, ...], BeforeValidator(as_tuple)] = ()

    @cached_property
    def priced_by(self) -> tuple[str, ...]:
        """The settings and input counts that some rate or add-on names: nothing else moves the price.

        Settings first, in the file's order, then `input_images` and `input_videos`.
        """
        named: set[str] = set()
        for rate in self.rates:
            named.update(rate.when, rate.credits_per, rate.round_up)
        for add_on in self.add_ons:
            named.update(add_on.when, add_on.credits_per or ())
        return tuple(name for name in (*self.settings, INPUT_IMAGES, INPUT_VIDEOS) if name in named)

    @cached_property
    def labelled_by(self) -> tuple[str, ...]:
        """Of those, the ones that its rates name: they stand in a quote's first label."""
        named = {name for rate in self.rates for name in (*rate.when, *rate.credits_per, *rate.round_up)}
        return tuple(name for name in self.priced_by if name in named)

    def inputs_of(self, name: str) -> int:
        """The most `input_images` or `input_videos` it takes."""
        return self.inputs.image if name == INPUT_IMAGES else self.inputs.video


class Tables(_Table):
    """The file as it is written."""

    free: Free = Field(default_factory=Free)
    refunds: Refunds = Field(default_factory=Refunds)
    subscriptions: Subscriptions = Field(default_factory=Subscriptions)
    plans: Mapping[Id, Plan] = Field(default_factory=dict)
    bundles: Mapping[Id, Bundle] = Field(default_factory=dict)
    providers: Mapping[Id, ProviderTable] = Field(default_factory=dict)
    tools: Mapping[Id, Tool]
    models: Mapping[Id, Model]


class RateCard(Tables):
    """A rate card that holds: every table is valid, and every combination has exactly one price.

    `version` is `sha256:` and the digest of the file's bytes: what `sha256sum pricing.toml` prints, so that anyone can
    match a receipt to a file. A changed comment makes a new version of the same prices, which harms nobody; a canonical
    form would be one more thing to trust. `file_time_ms` is the file's modification time, by which cards are ordered.
    """

    path: str
    version: str
    file_time_ms: int
