"""Non-binding estimates (R20): what a month would cost, and which plans cover it.

monthly = Σ per_day × days × unit price, each item rounded up to the millicredit; then plus the buffer, rounded up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal, localcontext
from math import prod

from gateway.domain import Interval, SettingValue
from gateway.pricing.card import FREE_PLAN, RateCard
from gateway.pricing.discounts import NO_PLAN, Discount, PricedFor, discounts_of
from gateway.pricing.gating import Gate, gating
from gateway.pricing.quote import EXACT, quote
from gateway.pricing.sales import PlanPrice

DEFAULT_BUFFER = Decimal("0.25")
_MONTHS = {Interval.MONTHLY: 1, Interval.QUARTERLY: 3, Interval.YEARLY: 12}


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One line of an estimate: requests per day, days, and the price per request; `at_most`: it is a ceiling (R29).

    `discounts` are in the price; `list_millicredits` is what one request costs without them.
    """

    tool: str
    model: str
    settings: Mapping[str, SettingValue]
    outputs: int
    per_day: Decimal
    days: int
    unit_millicredits: Decimal
    millicredits: int
    list_millicredits: Decimal
    discounts: tuple[Discount, ...] = ()
    at_most: bool = False

    def with_discounts(self, discounts: tuple[Discount, ...]) -> int:
        """What it comes to with other discounts, in millicredits."""
        if discounts == self.discounts:
            return self.millicredits
        with localcontext(EXACT):
            unit = _up(prod((one.factor for one in discounts), start=self.list_millicredits))
            return _up(self.per_day * self.days * unit)


@dataclass(frozen=True, slots=True)
class PlanAdvice:
    """Whether a plan's monthly credits cover an estimate with its buffer, and whether it allows all of its items.

    `with_buffer_millicredits`: what the estimate comes to by the plan's discounts.
    """

    plan: str
    with_buffer_millicredits: int
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
    account: PricedFor = NO_PLAN,
) -> Item:
    """An item at the price for an account; UnknownModel or InvalidSettings as for a quote."""
    discounts = discounts_of(card, account, tool=tool, model=model)
    priced = quote(card, tool=tool, model=model, settings=settings, outputs=outputs, discounts=discounts)
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
        list_millicredits=priced.list_millicredits,
        discounts=discounts,
        at_most=priced.at_most,
    )


def estimate(
    card: RateCard, items: Sequence[Item], buffer: Decimal = DEFAULT_BUFFER, account: PricedFor = NO_PLAN
) -> Estimate:
    """The sum of the items, plus the buffer (a fraction), and advice on each of the card's plans."""
    total = sum(item.millicredits for item in items)
    advice = tuple(_advice(card, account._replace(plan=plan_id), items, buffer) for plan_id in card.plans)
    would_do = [one.plan for one in advice if one.covers]
    cheapest = min(would_do, key=lambda plan_id: monthly_price(card.plans[plan_id].price), default=None)
    return Estimate(tuple(items), total, _buffered(total, buffer), advice, cheapest)


def _advice(card: RateCard, account: PricedFor, items: Sequence[Item], buffer: Decimal) -> PlanAdvice:
    """Advice on the account's plan, at the prices that it would have with it."""
    total = sum(item.with_discounts(discounts_of(card, account, tool=item.tool, model=item.model)) for item in items)
    needed = _buffered(total, buffer)
    return PlanAdvice(
        account.plan,
        needed,
        enough=card.plans[account.plan].monthly_millicredits >= needed,
        allowed=all(gate_of(card, account.plan, item) is None for item in items),
    )


def _buffered(millicredits: int, buffer: Decimal) -> int:
    with localcontext(EXACT):
        return _up(millicredits * (1 + buffer))


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
        discounts = discounts_of(card, PricedFor(plan), tool=tool_id, model=tool.baseline_model)
        price = quote(
            card, tool=tool_id, model=tool.baseline_model, settings={}, discounts=discounts
        ).price_millicredits
        if price > 0:
            estimates[tool_id] = {"model": tool.baseline_model, "generations": millicredits // price}
    return estimates


def _up(millicredits: Decimal) -> int:
    return int(millicredits.to_integral_value(ROUND_CEILING))
