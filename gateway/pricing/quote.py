"""The price of one request, as a pure function of the rate card (R7; "How a price is made", DESIGN section 8).

Numeric settings are rounded up as the rate says; unit = credits + Σ credits_per × max(0, value − over), at least the
minimum; per-output add-ons in file order on the running unit; × outputs; then the add-ons that are per request; the
total once, up to the millicredit. Conditions look at the values as they were asked for; `round_up` changes only what
is counted, so "9 s is billed as 10 s" does not need a rate for 10 s.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import ROUND_CEILING, Context, Decimal, DivisionByZero, Inexact, InvalidOperation, Overflow, localcontext
from typing import NamedTuple

from gateway.domain import PriceLine, SettingValue
from gateway.pricing.card import INPUT_IMAGES, INPUT_VIDEOS, AddOn, CreditsPer, Model, Rate, RateCard, When
from gateway.pricing.request import checked_request
from gateway.pricing.values import plain

EXACT = Context(prec=200, traps=[Inexact, InvalidOperation, Overflow, DivisionByZero])
"""Nothing is rounded unseen: an amount that needed more digits raises `Inexact`, and `check` refuses such a card."""

_PER_CREDIT_EXPONENT = -3  # a millicredit is 10^-3 credits

Facts = Mapping[str, SettingValue]
"""What a price is made from: every setting's value, and `input_images` and `input_videos`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """The price of one request, explained.

    `lines` are exact and sum to the price before its one rounding up to the millicredit. `settings` has every setting
    of the model, defaults filled in. `rate_card` is the card's version.
    """

    tool: str
    model_id: str
    model: Model
    outputs: int
    input_images: int
    input_videos: int
    settings: Mapping[str, SettingValue]
    price_millicredits: int
    lines: tuple[PriceLine, ...]
    rate_card: str


class Step(NamedTuple):
    """One line before it is written out: the rate (no add-on) or an add-on, its amount and how often it counts."""

    add_on: AddOn | None
    millicredits: Decimal
    times: int


def quote(
    card: RateCard,
    *,
    tool: str,
    model: str,
    settings: Mapping[str, object],
    outputs: int = 1,
    input_images: int = 0,
    input_videos: int = 0,
) -> Quote:
    """Price one request. UnknownModel or InvalidSettings name each field that is wrong and what it may be."""
    found, given = checked_request(
        card,
        tool=tool,
        model=model,
        settings=settings,
        outputs=outputs,
        input_images=input_images,
        input_videos=input_videos,
    )
    facts: Facts = {**given, INPUT_IMAGES: input_images, INPUT_VIDEOS: input_videos}
    rate = rate_for(found, facts)
    steps = price_steps(found, rate, facts, outputs)
    return Quote(
        tool=tool,
        model_id=model,
        model=found,
        outputs=outputs,
        input_images=input_images,
        input_videos=input_videos,
        settings=given,
        price_millicredits=total_millicredits(steps),
        lines=tuple(_lines(found, rate, facts, steps)),
        rate_card=card.version,
    )


def matches(when: When, facts: Facts) -> bool:
    """Whether every named value is one of those listed. A flag never meets a number: the card refuses such a list."""
    return all(facts[name] in values for name, values in when.items())


def rate_for(model: Model, facts: Facts) -> Rate:
    """The one rate that matches. The card's proof guarantees that there is one, and no second."""
    return next(rate for rate in model.rates if matches(rate.when, facts))


def price_steps(model: Model, rate: Rate, facts: Facts, outputs: int) -> list[Step]:
    """The rate and the add-ons that apply, in order, with exact amounts of millicredits."""
    with localcontext(EXACT):
        billed = {name: _rounded_up(facts[name], multiple) for name, multiple in rate.round_up.items()}
        counted = {**facts, **billed}
        unit = rate.millicredits + _per_units(rate.credits_per, counted)
        unit = max(unit, Decimal(rate.minimum_millicredits))
        steps = [Step(None, unit, outputs)]
        applying = [add_on for add_on in model.add_ons if matches(add_on.when, facts)]
        for add_on in applying:
            if add_on.per == "output":
                amount = _surcharge(add_on, unit, counted)
                unit += amount
                steps.append(Step(add_on, amount, outputs))
        total = unit * outputs
        for add_on in applying:
            if add_on.per == "request":
                amount = _surcharge(add_on, total, counted)
                total += amount
                steps.append(Step(add_on, amount, 1))
        return steps


def total_millicredits(steps: list[Step]) -> int:
    """The price: the exact sum, rounded up once."""
    with localcontext(EXACT):
        total = sum((step.millicredits * step.times for step in steps), Decimal(0))
        return int(total.to_integral_value(ROUND_CEILING))


def _rounded_up(value: SettingValue, multiple: Decimal) -> Decimal:
    whole, rest = divmod(Decimal(value), multiple)
    return (whole + 1 if rest > 0 else whole) * multiple


def _per_units(credits_per: CreditsPer, counted: Facts) -> Decimal:
    amount = Decimal(0)
    for name, per_unit in credits_per.items():
        amount += per_unit.millicredits * max(Decimal(0), Decimal(counted[name]) - per_unit.over)
    return amount


def _surcharge(add_on: AddOn, running: Decimal, counted: Facts) -> Decimal:
    """What an add-on adds to the amount so far; a factor below one takes away."""
    if add_on.factor is not None:
        return running * (add_on.factor - 1)
    if add_on.credits_per is not None:
        return _per_units(add_on.credits_per, counted)
    return Decimal(add_on.millicredits or 0)


def _lines(model: Model, rate: Rate, facts: Facts, steps: list[Step]) -> Iterator[PriceLine]:
    """The steps in credits. An add-on that comes to nothing, such as 0 references beyond 5, is left out."""
    with localcontext(EXACT):
        for step in steps:
            if step.add_on is not None and step.millicredits == 0:
                continue
            amount = step.millicredits.scaleb(_PER_CREDIT_EXPONENT)
            label = _rate_label(model, rate, facts) if step.add_on is None else _add_on_label(step.add_on)
            yield PriceLine(label, plain(amount), Decimal(step.times), plain(amount * step.times))


def _rate_label(model: Model, rate: Rate, facts: Facts) -> str:
    """`Kling 3.0 Pro · 1080p · 5 s`: the model, and what its rates look at."""
    parts = [model.name]
    for name in model.labelled_by:
        value = facts[name]
        if name in (INPUT_IMAGES, INPUT_VIDEOS):
            kind = name.removeprefix("input_").removesuffix("s")
            parts.append(f"{value} input {kind}{'' if value == 1 else 's'}")
            continue
        if isinstance(value, bool):
            parts.append(name.replace("_", " ") if value else f"no {name.replace('_', ' ')}")
            continue
        text = model.settings[name].show(value)
        if name in rate.round_up and (billed := _rounded_up(value, rate.round_up[name])) != value:
            text += f" billed as {model.settings[name].show(plain(billed))}"
        parts.append(text)
    return " · ".join(parts)


def _add_on_label(add_on: AddOn) -> str:
    return f"{add_on.name} × {plain(add_on.factor):f}" if add_on.factor is not None else add_on.name
