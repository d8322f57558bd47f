"""What a job costs at its provider by the rate card (R31): an assumption, until the provider reports a cost.

Amounts are integer micro-units of the card's currency. A cost is calculated as a price is (`gateway.pricing.quote`),
with money in place of credits. Nothing here is ever shown to customers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from itertools import product
from math import prod

from gateway.domain import Interval, SettingValue
from gateway.metering import MILLIONTHS, Meter, Unit
from gateway.pricing.card import Model, RateCard
from gateway.pricing.check import is_offered, values_of
from gateway.pricing.conditions import matches
from gateway.pricing.discounts import least_factor
from gateway.pricing.measures import INPUT_COUNTS, MEASURES, Measured
from gateway.pricing.quote import (
    NOTHING_MEASURED,
    Facts,
    measures_in,
    metering_of,
    price_steps,
    rate_for,
    total_millicredits,
)

MICRO = 1_000_000
"""Micro-units in one unit of the currency."""
_NANO_PER_MICRO = 1000
_MICRO_PER_THOUSANDTH = 1000
_COMPARED_MAX = 20_000  # combinations of a model: takes about two seconds
_LOSSES_NAMED_MAX = 3


@dataclass(frozen=True, slots=True)
class JobCost:
    """What a job is assumed to cost: `fixed` micro-units for all of its outputs, and an amount per reported unit."""

    outputs: int
    fixed: int
    meters: tuple[Meter, ...] = ()

    def of(self, place: int, reports: Mapping[Unit, int | None], *, bounded: bool = True) -> int:
        """The cost of the output at `place`, in micro-units; shares of what is fixed add up.

        `reports` has the units reported of it, in millionths; None: not an amount, which counts as the ceiling. Unless
        `bounded`, what is above the ceiling counts as reported.
        """
        fixed = self.fixed * (place + 1) // self.outputs - self.fixed * place // self.outputs
        nano = sum(meter.nanocredits * _counted(meter, reports, bounded=bounded) for meter in self.meters)
        return fixed + _rounded(Fraction(nano, MILLIONTHS * _NANO_PER_MICRO))


def _counted(meter: Meter, reports: Mapping[Unit, int | None], *, bounded: bool) -> int:
    if meter.unit not in reports:
        return meter.unreported
    reported = reports[meter.unit]
    if reported is None:
        return meter.at_most
    return min(reported, meter.at_most) if bounded else reported


def _rounded(amount: Fraction) -> int:
    """To the nearest whole number; a half goes up."""
    return (2 * amount.numerator + amount.denominator) // (2 * amount.denominator)


def job_cost(
    model: Model,
    provider: str,
    *,
    settings: Mapping[str, SettingValue],
    counts: Mapping[str, int],
    outputs: int,
    measured: Measured = NOTHING_MEASURED,
) -> JobCost | None:
    """What `outputs` of a request are assumed to cost at a provider; None if the card does not tell.

    The request may be older than the card: a setting that it lacks counts as its default.
    """
    costs = model.costed.get(provider)
    if costs is None:
        return None
    defaults = {name: setting.default for name, setting in model.settings.items()}
    facts: Facts = {**defaults, **settings, **counts, **measures_in(costs, measured, counts)}
    try:
        cost = next((one for one in costs.rates if matches(one.when, facts)), None)
        if cost is None:
            return None
        metering = metering_of(costs, cost, facts, outputs)
    except (ArithmeticError, KeyError, TypeError, ValueError):  # values of a setting that has changed since
        return None
    return JobCost(outputs, _rounded(Fraction(metering.fixed_nanocredits, _NANO_PER_MICRO)), metering.meters)


def cheapest_worth(card: RateCard) -> Fraction | None:
    """The worth of the cheapest credit that is sold, in micro-units per millicredit; None: none is sold."""
    worths = [Fraction(bundle.price * MICRO) / bundle.millicredits for bundle in card.bundles.values() if bundle.price]
    months = {Interval.MONTHLY: 1, Interval.QUARTERLY: 3, Interval.YEARLY: 12}
    for plan in card.plans.values():
        for interval, count in months.items():
            if (price := plan.price.of(interval)) and plan.monthly_millicredits:
                worths.append(Fraction(price * MICRO) / (plan.monthly_millicredits * count))
    return min(worths, default=None)


@dataclass(frozen=True, slots=True)
class Compared:
    """One combination: what an output costs and what it earns with the cheapest paid credits, in micro-units."""

    facts: Facts
    cost: Fraction
    revenue: Fraction

    @property
    def margin(self) -> Fraction:
        """What is left."""
        return self.revenue - self.cost


@dataclass(frozen=True, slots=True)
class CostRange:
    """What a model costs at a provider, over all combinations that its prices or costs distinguish.

    `losing` are some of those that cost more than they earn, the worst first; `losses` is how many there are.
    """

    model: str
    provider: str
    cheapest: Compared
    dearest: Compared
    least: Compared
    most: Compared
    losing: tuple[Compared, ...]
    losses: int


def cost_ranges(card: RateCard, worth: Fraction | None) -> Iterator[CostRange | tuple[str, str]]:
    """Each model at each provider that has a cost; only its ids, if it has too many combinations to compare.

    What it earns is reckoned by the largest discount of a plan, so that a loss is not missed.
    """
    for model_id, model in card.models.items():
        for provider, costs in model.costed.items():
            paid = Fraction(least_factor(card, tool=model.tool, model=model_id))
            compared = _compared(model, costs, (worth or Fraction(0)) * paid)
            if compared is None:
                yield model_id, provider
                continue
            losing = sorted((one for one in compared if one.margin < 0), key=lambda one: one.margin)
            yield CostRange(
                model_id,
                provider,
                cheapest=min(compared, key=lambda one: one.cost),
                dearest=max(compared, key=lambda one: one.cost),
                least=min(compared, key=lambda one: one.margin),
                most=max(compared, key=lambda one: one.margin),
                losing=tuple(losing[:_LOSSES_NAMED_MAX]) if worth else (),
                losses=len(losing) if worth else 0,
            )


def _compared(model: Model, costs: Model, worth: Fraction) -> list[Compared] | None:
    """Every combination that the card allows, by one output; None: there are too many."""
    distinguished = {*model.distinguished_by, *costs.distinguished_by}
    names = [name for name in (*model.settings, *INPUT_COUNTS, *MEASURES) if name in distinguished]
    columns = [values_of(model, name) for name in names]
    if prod(map(len, columns)) > _COMPARED_MAX:
        return None
    combinations = (dict(zip(names, row, strict=True)) for row in product(*columns))
    return [_comparison(model, costs, facts, worth) for facts in combinations if is_offered(model, facts)]


def _comparison(model: Model, costs: Model, facts: Facts, worth: Fraction) -> Compared:
    price = total_millicredits(price_steps(model, rate_for(model, facts), facts, 1))
    steps = price_steps(costs, rate_for(costs, facts), facts, 1)
    cost = sum((Fraction(step.millicredits) * Fraction(step.times) for step in steps), Fraction(0))
    return Compared(facts, cost * _MICRO_PER_THOUSANDTH, price * worth)


def money(micro: Fraction | int) -> str:
    """Micro-units as money: `0.040000` is 40,000."""
    whole = _rounded(Fraction(micro))
    return f"{Decimal(whole).scaleb(-6):.6f}"
