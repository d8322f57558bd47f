"""The price of one request, as a pure function of the rate card (R7; "How a price is made", docs/design.md, section 8).

First, numbers are rounded up as the rate says. unit = credits + Σ credits_per × max(0, number − over), rounded up to
the rate's step, at least its minimum and at most its maximum, + Σ reported at its ceiling; then per-output add-ons in
file order on the running unit; × outputs; then per-request add-ons; × the discounts of the account's plan and of the
account; finally the total is rounded up once, to the millicredit. Conditions use the values as requested; `round_up`
changes only what is counted, so "9 s is billed as 10 s" needs no rate for 10 s.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, Context, Decimal, DivisionByZero, Inexact, InvalidOperation, Overflow, localcontext
from math import prod
from types import MappingProxyType
from typing import NamedTuple

from gateway.domain import PriceLine, SettingValue, Volume
from gateway.metering import MILLIONTHS, NANOCREDITS_PER_MILLICREDIT, Meter, Metering, Unit
from gateway.pricing.card import Model, RateCard
from gateway.pricing.conditions import matches
from gateway.pricing.discounts import Discount
from gateway.pricing.graduation import tiers, volume_of
from gateway.pricing.measures import (
    INPUT_AUDIOS,
    INPUT_COUNTS,
    INPUT_IMAGES,
    INPUT_VIDEOS,
    MEASURED_COUNTS,
    MEASURES,
    Measured,
    counted,
    describe,
    factors,
)
from gateway.pricing.rates import AddOn, CreditsPer, Rate, RateShape, Reported
from gateway.pricing.request import checked_request
from gateway.pricing.values import plain

EXACT = Context(prec=200, traps=[Inexact, InvalidOperation, Overflow, DivisionByZero])
"""Nothing is rounded silently: an amount that needs more digits raises `Inexact`, and `check` rejects such a card."""

_PER_CREDIT_EXPONENT = -3  # a millicredit is 10^-3 credits

# In the labels of lines, which are kept with each generation: `billed_as` reads them.
_NEXT_PART = " · "
_BILLED_AS = " billed as "

UNIT_NAMES = {
    Unit.SECONDS: "s",
    Unit.MEGAPIXELS: "megapixels",
    Unit.CHARACTERS: "characters",
    Unit.TOKENS: "tokens",
    Unit.INPUT_TOKENS: "input tokens",
    Unit.OUTPUT_TOKENS: "output tokens",
    Unit.GPU_SECONDS: "GPU seconds",
    Unit.PROVIDER_CREDITS: "provider credits",
}

Facts = Mapping[str, SettingValue]
"""What a price is calculated from: all settings, the counts of inputs, and the measures it depends on."""

NOTHING_MEASURED: Measured = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """The price of one request, explained.

    `lines` are exact and sum to the price before it is rounded up to the millicredit; `list_millicredits` is that sum
    without the discounts. `settings` has every setting of
    the model, defaults filled in; `measures` every measure that its price depends on, unknown ones at their maximum.
    `rate_card` is the card's version. With `metering`, the price is a ceiling.
    """

    tool: str
    model_id: str
    model: Model
    outputs: int
    input_images: int
    input_videos: int
    input_audios: int
    settings: Mapping[str, SettingValue]
    measures: Measured
    price_millicredits: int
    list_millicredits: Decimal
    lines: tuple[PriceLine, ...]
    rate_card: str
    metering: Metering | None = None
    volume: Volume | None = None

    @property
    def at_most(self) -> bool:
        """Whether the price is a ceiling: what is charged depends on what is reported (R29)."""
        return self.metering is not None

    def price_with(self, discounts: Iterable[Discount]) -> int:
        """The price with other discounts."""
        with localcontext(EXACT):
            return _up(prod((one.factor for one in discounts), start=self.list_millicredits))


class PriceStep(NamedTuple):
    """A price line before formatting: its amount and its count. `of` a `Reported`: a unit that the rate charges for.

    `over`: the price is for what is ordered beyond so many outputs of a month.
    """

    of: Rate | Reported | AddOn | Discount
    millicredits: Decimal
    times: Decimal
    over: int = 0


def quote(
    card: RateCard,
    *,
    tool: str,
    model: str,
    settings: Mapping[str, object],
    outputs: int = 1,
    input_images: int = 0,
    input_videos: int = 0,
    input_audios: int = 0,
    measured: Measured = NOTHING_MEASURED,
    discounts: tuple[Discount, ...] = (),
    before: int = 0,
) -> Quote:
    """Price one request. UnknownModel or InvalidSettings names each wrong field and its accepted values.

    A measure that the price depends on and `measured` lacks is priced at the model's maximum. `discounts`: those of the
    account and its plan (`discounts_of`); without them it is the price on the card. `before`: how many outputs of the
    model the account has ordered this month.
    """
    counts = {INPUT_IMAGES: input_images, INPUT_VIDEOS: input_videos, INPUT_AUDIOS: input_audios}
    found, given = checked_request(
        card, tool=tool, model=model, settings=settings, outputs=outputs, counts=counts, measured=measured
    )
    measures = measures_in(found, measured, counts)
    facts: Facts = {**given, **counts, **measures}
    rate = rate_for(found, facts)
    steps = price_steps(found, rate, facts, outputs, discounts, before=before)
    lines = list(_lines(found, rate, facts, steps, measured))
    metering = None
    if rate.reported:
        metering = metering_of(found, rate, facts, outputs, discounts=discounts, first_line=_first_metered(lines))
    return Quote(
        tool=tool,
        model_id=model,
        model=found,
        outputs=outputs,
        input_images=input_images,
        input_videos=input_videos,
        input_audios=input_audios,
        settings=given,
        measures=measures,
        price_millicredits=total_millicredits(steps),
        list_millicredits=exact_total([step for step in steps if not isinstance(step.of, Discount)]),
        lines=tuple(line for _, line in lines),
        rate_card=card.version,
        metering=metering,
        volume=volume_of(rate, outputs, before) if found.graduated else None,
    )


def rate_for(model: Model, facts: Facts) -> Rate:
    """The rate that matches. The check of the card guarantees that there is exactly one."""
    return next(rate for rate in model.rates if matches(rate.when, facts))


def price_steps(
    model: Model, rate: Rate, facts: Facts, outputs: int, discounts: Iterable[Discount] = (), *, before: int = 0
) -> list[PriceStep]:
    """The rate, the add-ons that apply and the discounts, in order, with exact amounts of millicredits."""
    with localcontext(EXACT):
        counted, applying = _counted(rate, facts), _applying(model, facts)
        steps: list[PriceStep] = []
        total = Decimal(0)
        for over, tier, number in tiers(rate, outputs, before):
            unit = unit_amount(tier, counted)
            steps.append(PriceStep(rate, unit, Decimal(number), over))
            for reported in rate.reported:
                unit += reported.millicredits * reported.at_most
                steps.append(PriceStep(reported, reported.millicredits, reported.at_most * number))
            for add_on in applying:
                if add_on.per == "output":
                    amount = _surcharge(add_on, unit, counted)
                    unit += amount
                    steps.append(PriceStep(add_on, amount, Decimal(number)))
            total += unit * number
        for add_on in applying:
            if add_on.per == "request":
                amount = _surcharge(add_on, total, counted)
                total += amount
                steps.append(PriceStep(add_on, amount, Decimal(1)))
        for discount in discounts:
            amount = total * (discount.factor - 1)
            total += amount
            steps.append(PriceStep(discount, amount, Decimal(1)))
        return steps


def unit_amount(rate: RateShape, counted: Facts) -> Decimal:
    """What one output comes to by these numbers, exactly, before add-ons and without what is reported of it."""
    unit = rate.millicredits + _per_units(rate.credits_per, counted)
    if rate.round_credits_to_millicredits is not None:
        unit = rounded_up(unit, rate.round_credits_to_millicredits)
    unit = max(unit, rate.minimum_millicredits)
    return unit if rate.maximum_millicredits is None else min(unit, rate.maximum_millicredits)


def _counted(rate: RateShape, facts: Facts) -> Facts:
    """The facts, with the numbers that the rate rounds up."""
    return {**facts, **{name: rounded_up(facts[name], multiple) for name, multiple in rate.round_up.items()}}


def total_millicredits(steps: list[PriceStep]) -> int:
    """The price: the exact sum, rounded up once."""
    return _up(exact_total(steps))


def metering_of(
    model: Model,
    rate: Rate,
    facts: Facts,
    outputs: int,
    *,
    discounts: Sequence[Discount] = (),
    first_line: int = 0,
) -> Metering:
    """How a price with reported units is charged (R29).

    The factors of add-ons and discounts multiply what is charged per unit, too; everything else is charged for each
    output, whatever is reported. Both are rounded up to the nanocredit: only after factors can an amount be finer.
    """
    without = rate.model_copy(update={"reported": ()})
    with localcontext(EXACT):
        factors_ = (*(one.factor for one in _applying(model, facts)), *(one.factor for one in discounts))
        factor = prod((one for one in factors_ if one is not None), start=Decimal(1))
        meters = tuple(
            Meter(
                one.unit,
                _nanocredits(one.millicredits * factor),
                int(one.at_most * MILLIONTHS),
                int(one.unreported * MILLIONTHS),
            )
            for one in rate.reported
        )
        fixed = exact_total(price_steps(model, without, facts, outputs, discounts))
        return Metering(_nanocredits(fixed), meters, first_line)


def _nanocredits(millicredits: Decimal) -> int:
    return _up(millicredits * NANOCREDITS_PER_MILLICREDIT)


def _up(amount: Decimal) -> int:
    return int(amount.to_integral_value(ROUND_CEILING))


def exact_total(steps: list[PriceStep]) -> Decimal:
    """The sum in millicredits, before it is rounded."""
    with localcontext(EXACT):
        return sum((step.millicredits * step.times for step in steps), Decimal(0))


def _applying(model: Model, facts: Facts) -> list[AddOn]:
    return [add_on for add_on in model.add_ons if matches(add_on.when, facts)]


def measures_in(model: Model, measured: Measured, counts: Mapping[str, int]) -> dict[str, Decimal]:
    """Every measure that the price depends on: as measured, else the maximum; zero without inputs of its kind."""
    measures: dict[str, Decimal] = {}
    for name in MEASURES:
        if name not in model.priced_by:
            continue
        most = model.most_of(name) or Decimal(0)
        nothing = name in MEASURED_COUNTS and counts[MEASURED_COUNTS[name]] == 0
        measures[name] = Decimal(0) if nothing else measured.get(name, most)
    return measures


def billed_as(lines: Sequence[PriceLine], value: int | Decimal) -> str:
    """The number that a setting was billed as, by the lines of its price: whatever the rate card says by now."""
    number = f"{plain(Decimal(value)):f}"
    for part in lines[0].label.split(_NEXT_PART) if lines else ():
        requested, _, billed = part.partition(_BILLED_AS)
        if billed and re.fullmatch(
            rf"{re.escape(number)}( \S+)?", requested
        ):  # with its unit; a measure has more words
            return billed.partition(" ")[0]
    return number


def rounded_up(value: SettingValue, multiple: Decimal) -> Decimal:
    """Round a number up to a multiple."""
    whole, rest = divmod(Decimal(value), multiple)
    return (whole + 1 if rest > 0 else whole) * multiple


def _per_units(credits_per: CreditsPer, counted: Facts) -> Decimal:
    amount = Decimal(0)
    for name, per_unit in credits_per.items():
        number = prod((Decimal(counted[factor]) for factor in factors(name)), start=Decimal(1))
        amount += per_unit.millicredits * max(Decimal(0), number - per_unit.over)
    return amount


def _surcharge(add_on: AddOn, running: Decimal, counted: Facts) -> Decimal:
    """What an add-on adds to the amount so far; negative for a factor below one."""
    if add_on.factor is not None:
        return running * (add_on.factor - 1)
    if add_on.credits_per is not None:
        return _per_units(add_on.credits_per, counted)
    return add_on.millicredits or Decimal(0)


def _lines(
    model: Model, rate: Rate, facts: Facts, steps: list[PriceStep], measured: Measured
) -> Iterator[tuple[PriceStep, PriceLine]]:
    """The steps in credits. An add-on that amounts to nothing, such as 0 references beyond 5, is left out.

    So is a rate that only charges for what is reported: its label begins that of its first unit.
    """
    begins = ""
    with localcontext(EXACT):
        for step in steps:
            if isinstance(step.of, Rate):
                label = _rate_label(model, rate, facts, measured)
                label += f"{_NEXT_PART}over {step.over:,} this month" if step.over else ""
                if rate.reported and step.millicredits == 0:
                    begins = label + _NEXT_PART
                    continue
            elif isinstance(step.of, Reported):
                label, begins = begins + _reported_label(step.of), ""
            elif step.millicredits == 0:
                continue
            else:
                label = _label_of(step.of)
            amount = step.millicredits.scaleb(_PER_CREDIT_EXPONENT)
            yield step, PriceLine(label, plain(amount), plain(step.times), plain(amount * step.times))


def _first_metered(lines: list[tuple[PriceStep, PriceLine]]) -> int:
    """The place of the first line for a reported unit; the others follow, each on a line of its own."""
    return next(place for place, (step, _) in enumerate(lines) if isinstance(step.of, Reported))


def _reported_label(reported: Reported) -> str:
    return f"up to {plain(reported.at_most):f} {UNIT_NAMES[reported.unit]}"


def _rate_label(model: Model, rate: Rate, facts: Facts, measured: Measured) -> str:
    """`Kling 3.0 Pro · 1080p · 5 s`: the model, and what its rates depend on."""
    parts = [model.name]
    for name in model.labelled_by:
        value = facts[name]
        if name in MEASURES:
            parts.append(_measure_label(name, Decimal(value), rate, known=name in measured or not value))
            continue
        if name in INPUT_COUNTS:
            parts.append(counted(name, value))
            continue
        if isinstance(value, bool):
            parts.append(name.replace("_", " ") if value else f"no {name.replace('_', ' ')}")
            continue
        text = model.settings[name].show(value)
        if name in rate.round_up and (billed := rounded_up(value, rate.round_up[name])) != value:
            text += f"{_BILLED_AS}{model.settings[name].show(plain(billed))}"
        parts.append(text)
    return _NEXT_PART.join(parts)


def _measure_label(name: str, value: Decimal, rate: Rate, *, known: bool) -> str:
    """`12.5 s of input video billed as 13`; an unmeasured one is billed as `up to` the maximum."""
    text = ("" if known else "up to ") + describe(name, f"{plain(value):f}")
    if name in rate.round_up and (billed := rounded_up(value, rate.round_up[name])) != value:
        text += f"{_BILLED_AS}{plain(billed):f}"
    return text


def _label_of(step: AddOn | Discount) -> str:
    """`Audio × 1.5`, or `Creator: × 0.8` for a discount."""
    if step.factor is None:
        return step.name
    return f"{step.name}{':' if isinstance(step, Discount) else ''} × {plain(step.factor):f}"
