"""Non-binding estimates (R20): what a month would cost, and which plans cover it.

monthly = Σ per_day × days × unit price, each item rounded up to the millicredit; then plus the buffer, rounded up.
Graduated prices are walked through request by request, as if all were ordered now, one after the other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal, localcontext
from functools import partial
from math import prod
from typing import Any, NamedTuple

from gateway.domain import Interval, SettingValue
from gateway.pricing.card import FREE_PLAN, RateCard
from gateway.pricing.discounts import NO_PLAN, Discount, PricedFor, discounts_of
from gateway.pricing.gating import Gate, gating
from gateway.pricing.quote import EXACT, Quote, quote
from gateway.pricing.sales import PlanPrice

DEFAULT_BUFFER = Decimal("0.25")
_MONTHS = {Interval.MONTHLY: 1, Interval.QUARTERLY: 3, Interval.YEARLY: 12}


class Run(NamedTuple):
    """Successive requests of one price; `list_millicredits` is what each costs without discounts."""

    requests: Decimal
    millicredits: Decimal
    list_millicredits: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One line of an estimate: requests per day, days, and the price of the next one; `at_most`: a ceiling (R29).

    `discounts` are in the price; `list_millicredits` is what the next request costs without them. `ordered`: how many
    outputs of the model this price takes as ordered this month; None if the price does not depend on it.
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
    runs: tuple[Run, ...]
    discounts: tuple[Discount, ...] = ()
    at_most: bool = False
    ordered: int | None = None

    def with_discounts(self, discounts: tuple[Discount, ...]) -> int:
        """What it comes to with other discounts, in millicredits."""
        if discounts == self.discounts:
            return self.millicredits
        with localcontext(EXACT):
            factor = prod((one.factor for one in discounts), start=Decimal(1))
            return _up(sum((run.requests * _up(factor * run.list_millicredits) for run in self.runs), Decimal(0)))


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
    ordered: int = 0,
    ordered_above: int = 0,
) -> Item:
    """An item at the price for an account; UnknownModel or InvalidSettings as for a quote.

    `ordered`: how many outputs of the model the account has ordered this month; `ordered_above`: how many the items
    before this one add to it.
    """
    discounts = discounts_of(card, account, tool=tool, model=model)
    priced_after = partial(
        _priced_after, card, tool=tool, model=model, settings=settings, outputs=outputs, discounts=discounts
    )
    now = priced_after(ordered)
    with localcontext(EXACT):
        runs = tuple(_runs(priced_after, per_day * days, ordered + ordered_above))
        month = sum((run.requests * run.millicredits for run in runs), Decimal(0))
    return Item(
        tool=tool,
        model=model,
        settings=now.settings,
        outputs=outputs,
        per_day=per_day,
        days=days,
        unit_millicredits=Decimal(now.price_millicredits),
        millicredits=_up(month),
        list_millicredits=now.list_millicredits,
        runs=runs,
        discounts=discounts,
        at_most=now.at_most,
        ordered=None if now.volume is None else ordered,
    )


def _priced_after(card: RateCard, before: int, **asked: Any) -> Quote:
    return quote(card, before=before, **asked)


def _runs(priced_after: Callable[[int], Quote], requests: Decimal, before: int) -> Iterator[Run]:
    """The requests, each priced after those before it, in runs of one price."""
    while requests > 0:
        priced = priced_after(before)
        run = _alike(priced, before, requests)
        yield Run(run, Decimal(priced.price_millicredits), priced.list_millicredits)
        requests -= run
        before += int(run) * priced.outputs


def _alike(priced: Quote, before: int, most: Decimal) -> Decimal:
    """How many requests in succession have this price, the first after `before` outputs; at most `most` of them."""
    if priced.volume is None or priced.volume.most is None:
        return most
    return min(most, Decimal((priced.volume.most - before) // priced.outputs + 1))


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

    One output at default settings; a month's credits, for `"free"` a day's; graduated prices from the first output on.
    A tool whose baseline model is free of charge is left out, because the number would be infinite.
    """
    millicredits = card.free.daily_millicredits if plan == FREE_PLAN else card.plans[plan].monthly_millicredits
    estimates: dict[str, dict[str, str | int]] = {}
    for tool_id, tool in card.tools.items():
        discounts = discounts_of(card, PricedFor(plan), tool=tool_id, model=tool.baseline_model)
        priced_after = partial(
            _priced_after, card, tool=tool_id, model=tool.baseline_model, settings={}, discounts=discounts
        )
        generations = _paid_by(millicredits, priced_after)
        if generations is not None:
            estimates[tool_id] = {"model": tool.baseline_model, "generations": generations}
    return estimates


def _paid_by(millicredits: int, priced_after: Callable[[int], Quote]) -> int | None:
    """How many requests of one output so many millicredits pay for; None if there is no end to them."""
    made = 0
    while price := (priced := priced_after(made)).price_millicredits:
        run = int(_alike(priced, made, Decimal(millicredits // price)))
        if not run:
            return made
        made += run
        millicredits -= run * price
    return None


def _up(millicredits: Decimal) -> int:
    return int(millicredits.to_integral_value(ROUND_CEILING))
