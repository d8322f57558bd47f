"""The rate card as frozen, validated types: one class per table of `pricing.toml` (docs/design.md, section 8).

Aliases have the TOML names; field names include their units: `credits` is read into `millicredits`, `grace` into
`grace_ms`. These classes validate each table on its own; `gateway.pricing.consistency` checks references between
tables, and `gateway.pricing.check` proves the prices. `gateway.pricing.load`, the entry point, does all three.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from decimal import Decimal
from functools import cached_property
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from gateway.kinds import MediaKind, kind_asked
from gateway.pricing.cost_rates import CostAddOns, Costs
from gateway.pricing.dated_prices import DatedPrices
from gateway.pricing.facades import OWNER, Aliases, FacadeTables
from gateway.pricing.fields import (
    Count,
    Credits,
    DurationMs,
    Flag,
    Id,
    LeastShare,
    Positive,
    PositiveDurationMs,
    SettingName,
    Share,
    Text,
    TimeOfDayMs,
    ValueOrValues,
    Whole,
    Zone,
    as_tuple,
)
from gateway.pricing.keeping import Archive, OutputDays
from gateway.pricing.measures import (
    COUNTED_KINDS,
    INPUT_AUDIO_SECONDS,
    INPUT_COUNTS,
    INPUT_MEGAPIXELS,
    INPUT_VIDEO_SECONDS,
    INPUTS_MAX,
    MEASURES,
    PROMPT_CHARACTERS,
    PROMPT_MAX_CHARACTERS,
    characters_written_out,
)
from gateway.pricing.providers import Offer, ProviderSettings, ProviderTable
from gateway.pricing.rates import AddOn, Rate, When, named_by, numbers_in
from gateway.pricing.sales import Bundle, Payments, PlanPrice, Refunds, Subscriptions
from gateway.pricing.setting import Setting
from gateway.pricing.table import Table

FREE_PLAN = "free"
"""The plan of an account without a subscription: `[free]`. `[plans.free]` is therefore not allowed."""

CONCURRENCY_DEFAULT = 1  # for a tool without an entry (R14)

OUTPUTS_MAX = 100

Concurrency = Mapping[str, Count]
Seats = Annotated[Whole, Field(ge=1, le=500)]
"""How many members an account may have (R25); none: as many as it likes."""
Allow = Mapping[str, Mapping[str, ValueOrValues]]
PromptUse = Literal["required", "optional", "none"]
"""Whether a model takes a prompt: an upscaler needs none."""
Discounts = Mapping[str, Share]
"""A model, a tool or `"*"` → what is paid of its prices (`gateway.pricing.discounts`)."""


class Free(Table):
    """`[free]`: what an account has without paying (R1)."""

    daily_millicredits: Credits = Field(100_000, alias="daily_credits")
    audience: Literal["everyone", "without_subscription", "verified"] = Field("everyone", alias="for")
    reset_ms: TimeOfDayMs = Field(0, alias="reset_time")
    timezone: Zone = "UTC"
    concurrency: Concurrency = Field(default_factory=dict)
    max_waiting: Annotated[Whole, Field(ge=0, le=1_000_000)] = 20
    seats: Seats | None = None
    output_days: OutputDays | None = None
    allow: Allow = Field(default_factory=dict)
    discounts: Discounts = Field(default_factory=dict)

    @property
    def for_everyone(self) -> bool:
        """Whether subscribers get the daily credits too."""
        return self.audience != "without_subscription"

    @property
    def for_verified(self) -> bool:
        """Whether only accounts with the flag `free_credits` get them: sign-ups get none until the product says so."""
        return self.audience == "verified"

    def given_to(self, *, free_credits: bool | None, subscribed: bool) -> bool:
        """Whether an account gets them. `free_credits` is its flag; None: none was set."""
        verified = not self.for_verified if free_credits is None else free_credits
        return verified and (self.for_everyone or not subscribed)


class Plan(Table):
    """`[plans.<id>]`: a subscription plan with its monthly allotment (R2) and its limits (R6, R14, R15)."""

    name: Text
    monthly_millicredits: Credits = Field(alias="monthly_credits")
    price: PlanPrice
    concurrency: Concurrency = Field(default_factory=dict)
    max_waiting: Annotated[Whole, Field(ge=0, le=1_000_000)] = 20
    seats: Seats | None = None
    output_days: OutputDays | None = None
    head_start_ms: DurationMs = Field(0, alias="head_start")
    allow: Allow = Field(default_factory=dict)
    discounts: Discounts = Field(default_factory=dict)


class Check(Table):
    """How an output is checked against the request. Omitted fields come from the tool, or have their defaults."""

    duration: LeastShare | None = None
    resolution: Literal["exact", "at_least", "aspect", "off"] | None = None


class Tool(Table):
    """`[tools.<id>]`: a studio, what it makes, its time limits, and the model used for its estimates.

    Without `output`, its id or a model's `duration` tells what it makes.
    """

    name: Text
    output: MediaKind | None = None
    baseline_model: Id
    queue_timeout_ms: PositiveDurationMs = Field(3_600_000, alias="queue_timeout")
    provider_timeout_ms: PositiveDurationMs = Field(2_700_000, alias="provider_timeout")
    waiting_timeout_ms: PositiveDurationMs = Field(86_400_000, alias="waiting_timeout")
    attempts_max: Annotated[Whole, Field(ge=1, le=100)] = 3
    check: Check = Check()
    facade: FacadeTables = Field(default_factory=dict)


class InputLimits(Table):
    """How many input images, videos and audio files a model accepts, and the maximum total size per kind.

    A measure without a maximum is unlimited, and cannot affect a price.
    """

    image: Annotated[Whole, Field(ge=0, le=INPUTS_MAX)] = 0
    video: Annotated[Whole, Field(ge=0, le=INPUTS_MAX)] = 0
    audio: Annotated[Whole, Field(ge=0, le=INPUTS_MAX)] = 0
    megapixels: Positive | None = None
    video_seconds: Positive | None = None
    audio_seconds: Positive | None = None

    def of(self, kind: str) -> int:
        """The maximum number of inputs of one kind."""
        most: int = getattr(self, kind)
        return most


class ForbiddenCombination(Table):
    """A combination of settings that the model does not support: requests for it are refused, so it needs no rate."""

    when: Annotated[When, Field(min_length=1)]
    reason: Text | None = None


class Model(Table):
    """`[models.<id>]`: what a model accepts, and all of its prices.

    It names its only provider (the `short_…` fields), or several in the order in which they are tried, with a table
    `at` for each. `offers` has them in either case.
    """

    name: Text
    tool: Id
    short_provider: Id | None = Field(None, alias="provider")
    short_provider_model: Text | None = Field(None, alias="provider_model")
    providers: Annotated[tuple[Id, ...], BeforeValidator(as_tuple)] = ()
    at: Mapping[Id, Offer] = Field(default_factory=dict)
    description: Text | None = None
    pro: Flag = False
    outputs_max: Annotated[Whole, Field(ge=1, le=OUTPUTS_MAX)] = 1
    prompt: PromptUse = "required"
    inputs: InputLimits = InputLimits()
    check: Check = Check()
    settings: Mapping[SettingName, Setting] = Field(default_factory=dict)
    forbidden: Annotated[tuple[ForbiddenCombination, ...], BeforeValidator(as_tuple)] = ()
    short_provider_settings: ProviderSettings = Field(default_factory=dict, alias="provider_settings")
    short_cost: Costs = Field((), alias="cost")
    short_cost_add_ons: CostAddOns = Field((), alias="cost_add_ons")
    aliases: Aliases = ()
    facade: FacadeTables = Field(default_factory=dict)
    rates: Annotated[tuple[Rate, ...], BeforeValidator(as_tuple), Field(min_length=1)]
    add_ons: Annotated[tuple[AddOn, ...], BeforeValidator(as_tuple)] = ()
    prices: Annotated[tuple[DatedPrices, ...], BeforeValidator(as_tuple)] = ()

    @model_validator(mode="after")
    def _has_a_provider(self) -> Self:
        if self.short_provider is None and not self.providers:
            msg = 'needs `provider`, for example provider = "sandbox", or several `providers` in order'
            raise ValueError(msg)
        return self

    def priced_by_list(self, number: int) -> Model:
        """The model by a list of its `prices`, from 0; those after it are still to come."""
        chosen = self.prices[number]
        return self.replaced(rates=chosen.rates, add_ons=chosen.add_ons, prices=self.prices[number + 1 :])

    @cached_property
    def offers(self) -> Mapping[str, Offer]:
        """What each of its providers is asked for, in the order in which they are tried."""
        if self.short_provider is None:
            return {name: self.at.get(name, Offer()) for name in self.providers}
        only = Offer(
            provider_model=self.short_provider_model,
            provider_settings=self.short_provider_settings,
            cost=self.short_cost,
            cost_add_ons=self.short_cost_add_ons,
        )
        return {self.short_provider: only}

    @cached_property
    def costed(self) -> Mapping[str, Model]:
        """For each provider with a `cost`, the model with costs in place of its prices: both are calculated alike."""
        fields = {name: getattr(self, name) for name in type(self).model_fields}
        return {
            name: Model.model_construct(**fields | {"rates": offer.cost, "add_ons": offer.cost_add_ons})
            for name, offer in self.offers.items()
            if offer.cost
        }

    @cached_property
    def cost_measures(self) -> frozenset[str]:
        """The measures that a cost depends on."""
        return frozenset(name for one in self.costed.values() for name in one.priced_by if name in MEASURES)

    @cached_property
    def provider(self) -> str:
        """The provider that is tried first."""
        return next(iter(self.offers))

    @cached_property
    def several_providers(self) -> tuple[str, ...]:
        """All of its providers, if it has more than one."""
        return tuple(self.offers) if len(self.offers) > 1 else ()

    @cached_property
    def priced_by(self) -> tuple[str, ...]:
        """The settings, counts and measures named by a rate or an add-on: nothing else affects the price.

        Settings first, in the file's order, then counts of inputs, then measures.
        """
        named: set[str] = set()
        for rate in self.rates:
            named.update(named_by(rate))
        for add_on in self.add_ons:
            named.update(add_on.when, numbers_in(add_on.credits_per or {}))
        return self._in_order(named)

    @cached_property
    def labelled_by(self) -> tuple[str, ...]:
        """Those of `priced_by` that its rates name: they are shown in a quote's first label."""
        return self._in_order({name for rate in self.rates for name in named_by(rate)})

    @cached_property
    def distinguished_by(self) -> tuple[str, ...]:
        """What distinguishes combinations: everything that affects the price or is named in a prohibition."""
        return self._in_order({*self.priced_by, *(name for rule in self.forbidden for name in rule.when)})

    @cached_property
    def graduated(self) -> bool:
        """Whether its price depends, now or later, on how many outputs of it the account has ordered this month."""
        lists = (self.rates, *(one.rates for one in self.prices))
        return any(rate.graduated for rates in lists for rate in rates)

    @cached_property
    def measured(self) -> bool:
        """Whether a measure affects its price."""
        return not set(MEASURES).isdisjoint(self.priced_by)

    def inputs_of(self, name: str) -> int:
        """The maximum of `input_images`, `input_videos` or `input_audios`."""
        return self.inputs.of(COUNTED_KINDS[name])

    def most_of(self, measure: str) -> Decimal | None:
        """The maximum of a measure; None: unlimited."""
        limits = {
            INPUT_MEGAPIXELS: self.inputs.megapixels,
            INPUT_VIDEO_SECONDS: self.inputs.video_seconds,
            INPUT_AUDIO_SECONDS: self.inputs.audio_seconds,
        }
        return limits.get(measure, Decimal(PROMPT_MAX_CHARACTERS) if measure == PROMPT_CHARACTERS else None)

    def _in_order(self, named: set[str]) -> tuple[str, ...]:
        return tuple(name for name in (*self.settings, *INPUT_COUNTS, *MEASURES) if name in named)


class Tables(Table):
    """The tables of the file."""

    free: Free = Field(default_factory=Free)
    refunds: Refunds = Field(default_factory=Refunds)
    subscriptions: Subscriptions = Field(default_factory=Subscriptions)
    payments: Payments = Field(default_factory=Payments)
    archive: Archive = Field(default_factory=Archive)
    plans: Mapping[Id, Plan] = Field(default_factory=dict)
    bundles: Mapping[Id, Bundle] = Field(default_factory=dict)
    providers: Mapping[Id, ProviderTable] = Field(default_factory=dict)
    tools: Mapping[Id, Tool]
    models: Mapping[Id, Annotated[Model, BeforeValidator(characters_written_out)]]

    def kind_of(self, model: Model) -> MediaKind | None:
        """The kind of output that a model makes; None if nothing tells."""
        tool = self.tools.get(model.tool)
        return kind_asked(model.tool, model.settings, None if tool is None else tool.output)


class RateCard(Tables):
    """A checked rate card: every table is valid, and every combination has exactly one price.

    `version` is `sha256:` and the digest of the file's bytes, as `sha256sum pricing.toml` prints it, so that anyone can
    match a receipt to a file. Changing a comment changes the version, which is harmless; a canonical form would be one
    more thing to trust. `file_time_ms` is the file's modification time, which orders rate cards.

    `since_ms` and `until_ms`: of a card made by `at`, the time for which its prices are in force; None: no such bound.
    """

    path: str
    version: str
    file_time_ms: int
    since_ms: int | None = None
    until_ms: int | None = None

    @cached_property
    def price_changes(self) -> tuple[int, ...]:
        """When prices change (ms), in order."""
        zone = self.free.timezone
        return tuple(sorted({one.begins_at(zone) for model in self.models.values() for one in model.prices}))

    def at(self, time_ms: int) -> RateCard:
        """The card with the prices of a time: those of each model's last list that has begun.

        The lists that begin later are kept. The time must not be before the card's own `since_ms`.
        """
        if not self.price_changes:
            return self
        begun = bisect_right(self.price_changes, time_ms)
        if begun not in self._dated:
            self._dated[begun] = self._with_changes(begun)
        return self._dated[begun]

    @cached_property
    def _dated(self) -> dict[int, RateCard]:
        """The cards that `at` has made, by how many changes have come."""
        return {}

    def _with_changes(self, begun: int) -> RateCard:
        since = self.price_changes[begun - 1] if begun else self.since_ms
        until = self.price_changes[begun] if begun < len(self.price_changes) else self.until_ms
        models = {model_id: self._model_at(model, since) for model_id, model in self.models.items()}
        return self.replaced(models=models, since_ms=since, until_ms=until)

    def _model_at(self, model: Model, time_ms: int | None) -> Model:
        begun = [one for one in model.prices if time_ms is not None and one.begins_at(self.free.timezone) <= time_ms]
        return model.priced_by_list(len(begun) - 1) if begun else model

    def model_named(self, name: str) -> str | None:
        """The id of the model with this name: an id, `farebox/<id>`, or an alias; None if there is none."""
        model_id = name.removeprefix(f"{OWNER}/")
        return model_id if model_id in self.models else self._ids_by_alias.get(name)

    @cached_property
    def has_discounts(self) -> bool:
        """Whether prices depend on the plan."""
        return bool(self.free.discounts) or any(plan.discounts for plan in self.plans.values())

    @cached_property
    def with_alternatives(self) -> frozenset[str]:
        """The providers of models that have several."""
        return frozenset(name for model in self.models.values() if len(model.offers) > 1 for name in model.offers)

    def is_replaceable(self, provider: str) -> bool:
        """Whether all models that a provider makes have another one."""
        made = [model for model in self.models.values() if provider in model.offers]
        return bool(made) and all(model.several_providers for model in made)

    @cached_property
    def _ids_by_alias(self) -> Mapping[str, str]:
        return {alias: model_id for model_id, model in self.models.items() for alias in model.aliases}
