"""Non-binding estimates (R20): what a month would cost, and which plans cover it.

monthly = Σ per_day × days × unit price, each item rounded up to the millicredit; then plus the buffer, rounded up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal, localcontext

from gateway.domain import Interval, SettingValue
from gateway.pricing.card import FREE_PLAN, PlanPrice, RateCard
from gateway.pricing.gating import Gate, gating
from gateway.pricing.quote import EXACT, quote

DEFAULT_BUFFER = Decimal("0.25")
_MONTHS = {Interval.MONTHLY: 1, Interval.QUARTERLY: 3, Interval.YEARLY: 12}


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One line of an estimate: requests per day, days, and the price per request; `at_most`: it is a ceiling (R29)."""

    tool: str
    model: str
    settings: Mapping[str, SettingValue]
    outputs: int
    per_day: Decimal
    days: int
    unit_millicredits: Decimal
    millicredits: int
    at_most: bool = False


@dataclass(frozen=True, slots=True)
class PlanAdvice:
    """Whether a plan's monthly credits cover an estimate with its buffer, and whether it allows all of its items."""

    plan: str
    enough: bool
    allowed: bool

    @property
    def covers(self) -> bool:
        """Whether the plan is sufficient."""
        return self.enough and self.allowed


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a month costs, without and with the buffer, and which plans cover it."""

    items: tuple[Item, ...]
    millicredits: int
    with_buffer_millicredits: int
    plans: tuple[PlanAdvice, ...]
    cheapest_plan: str | None


def priced_item(
    card: RateCard,
    *,
    tool: str,
    model: str,
    settings: Mapping[str, object],
    outputs: int,
    per_day: Decimal,
    days: int,
) -> Item:
    """An item at the card's price; UnknownModel or InvalidSettings as for a quote."""
    priced = quote(card, tool=tool, model=model, settings=settings, outputs=outputs)
    with localcontext(EXACT):
        month = per_day * days * priced.price_millicredits
    return Item(
        tool=tool,
        model=model,
        settings=priced.settings,
        outputs=outputs,
        per_day=per_day,
        days=days,
        unit_millicredits=Decimal(priced.price_millicredits),
        millicredits=_up(month),
        at_most=priced.at_most,
    )


def estimate(card: RateCard, items: Sequence[Item], buffer: Decimal = DEFAULT_BUFFER) -> Estimate:
    """The sum of the items, plus the buffer (a fraction), and advice on each of the card's plans."""
    total = sum(item.millicredits for item in items)
    with localcontext(EXACT):
        needed = _up(total * (1 + buffer))
    advice = tuple(
        PlanAdvice(
            plan_id,
            enough=plan.monthly_millicredits >= needed,
            allowed=all(gate_of(card, plan_id, item) is None for item in items),
        )
        for plan_id, plan in card.plans.items()
    )
    would_do = [one.plan for one in advice if one.covers]
    cheapest = min(would_do, key=lambda plan_id: monthly_price(card.plans[plan_id].price), default=None)
    return Estimate(tuple(items), total, needed, advice, cheapest)


def gate_of(card: RateCard, plan: str, item: Item) -> Gate | None:
    """Why `plan` ("free" without a subscription) would not allow the item; None for a model no longer in the card."""
    model = card.models.get(item.model)
    return None if model is None else gating(card, plan=plan, model=model, settings=item.settings)


def monthly_price(price: PlanPrice) -> Decimal:
    """A plan's price per month: its monthly price, else the highest price per month of its other intervals."""
    if price.monthly is not None:
        return price.monthly
    return max(amount / months for interval, months in _MONTHS.items() if (amount := price.of(interval)) is not None)


def estimated_generations(card: RateCard, plan: str) -> dict[str, dict[str, str | int]]:
    """How many generations a plan's credits pay for: tool → `{"model", "generations"}`, with the tool's baseline model.

    One output at default settings; a month's credits, for `"free"` a day's. A tool whose baseline model is free of
    charge is left out, because the number would be infinite.
    """
    millicredits = card.free.daily_millicredits if plan == FREE_PLAN else card.plans[plan].monthly_millicredits
    estimates: dict[str, dict[str, str | int]] = {}
    for tool_id, tool in card.tools.items():
        price = quote(card, tool=tool_id, model=tool.baseline_model, settings={}).price_millicredits
        if price > 0:
            estimates[tool_id] = {"model": tool.baseline_model, "generations": millicredits // price}
    return estimates


def _up(millicredits: Decimal) -> int:
    return int(millicredits.to_integral_value(ROUND_CEILING))
