"""The price lines of a model: its rates, add-ons, and the conditions under which they apply.

Each class is one table of `pricing.toml`. `gateway.pricing.card` has the others, `gateway.pricing.quote` the
calculation.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from gateway.metering import Unit
from gateway.pricing.fields import (
    Exact,
    ExactCredits,
    Factor,
    Positive,
    PositiveCredits,
    SignedCredits,
    Text,
    UnitCount,
    ValueOrValues,
    Whole,
    as_list,
)
from gateway.pricing.measures import factors
from gateway.pricing.table import Table

When = Mapping[str, ValueOrValues]
"""A condition: setting (or `input_images`, `input_videos`) → the values it matches. Empty matches everything."""


def toml_name(table: type[Table], field: str) -> str:
    """What a field is called in the file."""
    return table.model_fields[field].alias or field


class PerUnit(Table):
    """An amount per unit above `over`."""

    millicredits: SignedCredits = Field(alias="credits")
    over: Exact = Decimal(0)

    @model_validator(mode="before")
    @classmethod
    def _is_a_table(cls, given: object) -> object:
        if isinstance(given, int | Decimal) and not isinstance(given, bool):
            msg = f"must be a table: write {{ {toml_name(cls, 'millicredits')} = {given} }}"
            raise ValueError(msg)  # noqa: TRY004 - pydantic reports a ValueError and passes a TypeError through
        return given


CreditsPer = Mapping[str, PerUnit]
"""A setting, count or measure, or a product of these such as `"duration * frame_rate"` → the amount per unit."""


class Reported(Table):
    """An amount per unit that the provider reports of an output, up to a ceiling, which is what is held (R29)."""

    unit: Unit
    millicredits: ExactCredits = Field(alias="credits")
    at_most: UnitCount
    if_unreported: UnitCount | None = None

    @model_validator(mode="after")
    def _within_the_ceiling(self) -> Self:
        if not self.at_most:
            msg = "`at_most` must be greater than 0"
            raise ValueError(msg)
        if self.unreported > self.at_most:
            msg = f"`if_unreported` is {self.unreported:f}, above its `at_most` of {self.at_most:f}: lower it"
            raise ValueError(msg)
        return self

    @property
    def unreported(self) -> Decimal:
        """How many units an output counts for if nothing is reported of it."""
        return self.at_most if self.if_unreported is None else self.if_unreported


class RateShape(Table):
    """What one output comes to: an amount, amounts per unit, and what is reported of it (`quote.unit_amount`)."""

    millicredits: ExactCredits = Field(Decimal(0), alias="credits")
    credits_per: CreditsPer = Field(default_factory=dict)
    round_up: Mapping[str, Positive] = Field(default_factory=dict)
    round_credits_to_millicredits: PositiveCredits | None = Field(None, alias="round_credits_to")
    minimum_millicredits: ExactCredits = Field(Decimal(0), alias="minimum_credits")
    maximum_millicredits: ExactCredits | None = Field(None, alias="maximum_credits")
    reported: Annotated[tuple[Reported, ...], BeforeValidator(as_list)] = ()

    @model_validator(mode="after")
    def _has_a_price(self) -> Self:
        if "millicredits" not in self.model_fields_set and not self.credits_per and not self.reported:
            fixed, per_unit = (toml_name(type(self), field) for field in ("millicredits", "credits_per"))
            msg = f"needs `{fixed}`, `{per_unit}` or `reported` (write `{fixed} = 0` if it is free)"
            raise ValueError(msg)
        if self.maximum_millicredits is not None and self.maximum_millicredits < self.minimum_millicredits:
            most, least = (toml_name(type(self), f"{end}_millicredits") for end in ("maximum", "minimum"))
            msg = f"has a `{most}` below its `{least}`"
            raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _reported_adds_up(self) -> Self:
        units = [one.unit for one in self.reported]
        if twice := next((unit for unit in units if units.count(unit) > 1), None):
            msg = f'`reported` has the unit "{twice}" twice: write it once'
            raise ValueError(msg)
        bounds = {"round_credits_to_millicredits", "minimum_millicredits", "maximum_millicredits"}
        if self.reported and (given := sorted(bounds & self.model_fields_set)):
            alias, fixed = toml_name(type(self), given[0]), toml_name(type(self), "millicredits")
            msg = f"has `{alias}` beside `reported`: charge a least amount by `{fixed}`, and the most by `at_most`"
            raise ValueError(msg)
        return self


class Graduation(Table):
    """What an output costs instead of the rate's `credits`, beyond so many of the model in a calendar month."""

    over: Annotated[Whole, Field(ge=1, le=1_000_000_000)]
    millicredits: ExactCredits = Field(alias="credits")


class Rate(RateShape):
    """One price: what an output costs if `when` matches."""

    when: When = Field(default_factory=dict)
    graduated: Annotated[tuple[Graduation, ...], BeforeValidator(as_list)] = ()

    @model_validator(mode="after")
    def _graduated_rises(self) -> Self:
        overs = [one.over for one in self.graduated]
        if overs != sorted({*overs}):
            msg = "`graduated` must be in order of its `over`, each written once"
            raise ValueError(msg)
        if overs and "millicredits" not in self.model_fields_set:
            msg = "needs `credits` beside `graduated`: what the first ones of a month cost"
            raise ValueError(msg)
        if overs and self.reported:
            msg = "has `graduated` beside `reported`: what is held must not depend on both"
            raise ValueError(msg)
        return self


class AddOn(Table):
    """A surcharge if `when` matches: an amount, a factor, or an amount per unit; per output or per request."""

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
            fixed, per_unit = (toml_name(type(self), field) for field in ("millicredits", "credits_per"))
            msg = f"needs exactly one of `{fixed}`, `factor` and `{per_unit}`"
            raise ValueError(msg)
        return self


def named_by(rate: Rate) -> set[str]:
    """The settings, counts and measures that a rate names."""
    return {*rate.when, *numbers_in(rate.credits_per), *rate.round_up}


def numbers_in(credits_per: CreditsPer) -> set[str]:
    """The numbers that amounts per unit are multiplied by."""
    return {factor for name in credits_per for factor in factors(name)}
