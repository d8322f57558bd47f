"""R31: a month of mixed generations comes to what an independent sum in Python says, however it is grouped."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from itertools import combinations
from random import Random
from typing import Any

import pytest

from gateway.domain import Bucket, Cost, FailureCode, Interval, operation_id
from gateway.ledger import outcomes
from gateway.ledger.operators import GivenBack
from gateway.ledger.payments import Paid
from gateway.pricing.costs import money
from gateway.schemas.margin import DIMENSIONS
from gateway.views.margin import grouped_margin, margin_row
from tests.ledger.world import DAY, World, an_output, the
from tests.lengths import LONG

GENERATIONS = 5_000 if LONG else 250
MODELS = {"flux": ("fal",), "veo": ("fal", "replicate"), "words": ("openai",)}
PLANS = {"ann": ("standard", Interval.MONTHLY), "bob": ("standard", Interval.YEARLY), "eve": ("pro", Interval.MONTHLY)}
WORTHS = {
    "ann": Fraction(30_000_000, 8_000_000), "bob": Fraction(252_000_000, 12 * 8_000_000),
    "eve": Fraction(90_000_000, 30_000_000),
}  # fmt: skip
Place = tuple[str, str, str, Bucket | None]


@dataclass
class Book:
    """The independent sums: of each day, model, provider and bucket."""

    worths: dict[tuple[str, str], Fraction] = field(default_factory=dict)
    """By account and grant: what we know that we paid."""
    credits: Counter[Place] = field(default_factory=Counter)
    revenue: defaultdict[Place, Fraction] = field(default_factory=lambda: defaultdict(Fraction))
    cost: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    losses: Counter[tuple[str, str, str]] = field(default_factory=Counter)

    def worth(self, account: str, grant: str) -> Fraction:
        if grant.startswith("m"):
            return WORTHS[account]
        return self.worths.get((account, grant), Fraction(0))

    def earn(self, day: str, g: outcomes.Generation, sign: int = 1) -> None:
        left = g.committed_millicredits
        for share in g.allocation:
            kept = min(share.millicredits, left)
            left -= kept
            place = day, g.request.model, g.request.provider, share.bucket
            self.credits[place] += sign * kept
            self.revenue[place] += sign * kept * self.worth(g.account, share.grant)

    def spend(self, day: str, model: str, costs: Sequence[Cost], *, lost: bool) -> None:
        for cost in costs:
            counts = cost.assumed if cost.reported is None else cost.reported
            self.cost[day, model, cost.provider] += counts or 0
            self.losses[day, model, cost.provider] += (counts or 0) * lost


@dataclass
class Month:
    """Three accounts, and what they do."""

    world: World
    dice: Random
    book: Book = field(default_factory=Book)
    ended: list[tuple[outcomes.Generation, list[Cost]]] = field(default_factory=list)

    async def open(self) -> None:
        for account, (plan, interval) in PLANS.items():
            await self.world.ledger.put_account(account=account)
            await self.world.subscribe(account, plan, interval=interval)
            await self.buy(account)

    async def buy(self, account: str) -> None:
        """A top-up at one of several prices, or an operator's grant that something was paid for."""
        ledger, millicredits, cents = (
            self.world.ledger,
            self.dice.choice((777_777, 1_000_000)),
            self.dice.choice((499, 500)),
        )
        worth = Fraction(cents * 10_000, millicredits)
        if self.dice.random() < 0.5:
            paid: int | None = self.dice.choice((None, cents * 10_000))
            applied = await ledger.grant(
                account=account, operation=operation_id(), bucket=Bucket.TOP_UP, millicredits=millicredits,
                expires_at=None, reason="a deal", paid_micro=paid,
            )  # fmt: skip
            grant, worth = str(the(outcomes.Applied, applied).grant), worth if paid else Fraction(0)
        else:
            checkout = f"chk_{operation_id()}"
            await ledger.check_out(
                account=account, checkout=checkout, keys_version=None, kind="bundle", what="small", interval=None,
                name="Small", millicredits=millicredits, price=Decimal(cents) / 100, currency="USD", provider="local",
                live=False,
            )  # fmt: skip
            the(Paid, await ledger.pay(account=account, checkout=checkout, ref="paid"))
            newest = max(
                (one for one in await self._grants(account) if one.startswith("t")), key=lambda one: int(one[1:])
            )
            grant = newest
        self.book.worths[account, grant] = worth

    async def _grants(self, account: str) -> dict[str, Bucket]:
        return {grant.id: grant.bucket for grant in (await self.world.look(account)).grants}

    async def make(self) -> None:
        dice, ledger = self.dice, self.world.ledger
        account, model = dice.choice(list(PLANS)), dice.choice(list(MODELS))
        provider, outputs = dice.choice(MODELS[model]), dice.choice((1, 1, 2, 4))
        price = dice.choice((0, 1_000, 24_000, 73_500, 333_333, 999_999))
        reserved = await self.world.reserve(account, price, outputs=outputs, model=model, provider=provider)
        if not isinstance(reserved, outcomes.Reserved):
            return await self.buy(account)
        name = reserved.generation.id
        await self.world.begin(name)
        costs = [self._cost(provider) for _ in range(outputs)]
        delivered = outputs if dice.random() < 0.8 else dice.randrange(outputs)
        for index in range(delivered):
            output = replace(an_output(index), cost=costs[index])
            the(outcomes.Noted, await ledger.deliver(generation=name, attempt=1, output=output))
        failure = None if delivered else FailureCode.PROVIDER_REJECTED
        settled = await ledger.settle(
            generation=name, attempt=1, operation=operation_id(), failure=failure, lost=costs[delivered:]
        )
        ended, today = the(outcomes.Ended, settled).generation, await self.today(account)
        self.book.earn(today, ended)
        self.book.spend(today, model, costs[:delivered], lost=False)
        self.book.spend(today, model, costs[delivered:], lost=True)
        self.ended.append((ended, costs[:delivered]))
        if dice.random() < 0.05:
            await self.correct()
        return None

    async def correct(self) -> None:
        """Give one back: it earns nothing, and costs what it cost."""
        ended, costs = self.ended.pop(self.dice.randrange(len(self.ended)))
        before = await self._grants(ended.account)
        if any(share.grant.startswith("o") and share.grant not in before for share in ended.allocation):
            return  # which of the new grants is for which would be the ledger's word against itself
        given = await self.world.ledger.adjust_generation(
            generation=ended.id, operation=operation_id(), reason="blurred"
        )
        if not isinstance(given, GivenBack):
            return
        today = await self.today(ended.account)
        self.book.earn(today, ended, -1)
        for cost in costs:
            self.book.losses[today, ended.request.model, cost.provider] += cost.micro
        for grant, bucket in (await self._grants(ended.account)).items():
            if grant not in before and bucket is Bucket.SUBSCRIPTION:  # in place of an allotment that is over
                self.book.worths[ended.account, grant] = WORTHS[ended.account]

    def _cost(self, provider: str) -> Cost:
        assumed = self.dice.choice((0, 1_250, 40_000, 1_333_333))
        return Cost(provider, assumed, self.dice.choice((None, None, assumed + 77)))

    async def today(self, account: str) -> str:
        return datetime.fromtimestamp((await self.world.look(account)).now // 1000, UTC).date().isoformat()


@pytest.mark.timeout(900 if LONG else 120)
async def test_a_month_of_mixed_generations_equals_an_independent_sum(bare: World) -> None:
    """By test clocks, of which each account has its own: a generation counts on its account's day."""
    month, days = Month(bare, Random(31)), set[str]()
    await month.open()
    for number in range(GENERATIONS):
        if number * 31 // GENERATIONS > (number - 1) * 31 // GENERATIONS:
            for account in PLANS:
                await bare.advance(DAY, account)
                days.add(await month.today(account))
        await month.make()
    days |= {day for day, *_ in month.book.credits}
    rows = await bare.ledger.margin(days=sorted(days))
    for count in range(1, len(DIMENSIONS) + 1):
        for dimensions in combinations(DIMENSIONS, count):
            _compare(month.book, rows, dimensions)
    earned = sum(month.book.revenue.values())
    free = sum(amount for place, amount in month.book.revenue.items() if place[3] is Bucket.FREE)
    assert (earned > 0, free) == (True, 0)


def _compare(book: Book, rows: Any, dimensions: Sequence[str]) -> None:
    """Credits and revenue by any dimensions; cost, margin and losses too, unless they are divided by buckets."""
    groups = grouped_margin(rows, dimensions)
    shown = {group: margin_row(dimensions, group, sums) for group, sums in groups.items()}
    credits, revenue = Counter[tuple[Any, ...]](), defaultdict[tuple[Any, ...], Fraction](Fraction)
    for place, amount in book.credits.items():
        credits[_chosen(place, dimensions)] += amount
        revenue[_chosen(place, dimensions)] += book.revenue[place]
    for group, row in shown.items():
        assert row.credits * 1000 == credits[group], (dimensions, group)
        assert row.revenue == money(revenue[group]), (dimensions, group)
    assert {group for group, amount in credits.items() if amount} <= shown.keys()
    if "bucket" in dimensions:
        return
    cost, losses = Counter[tuple[Any, ...]](), Counter[tuple[Any, ...]]()
    for spent, of in ((book.cost, cost), (book.losses, losses)):
        for where, amount in spent.items():
            of[_chosen((*where, None), dimensions)] += amount
    for group, row in shown.items():
        assert (row.cost, row.losses) == (money(cost[group]), money(losses[group])), (dimensions, group)
        assert row.margin == money(revenue[group] - cost[group]), (dimensions, group)


def _chosen(place: Place, dimensions: Sequence[str]) -> tuple[Any, ...]:
    return tuple(part for name, part in zip(DIMENSIONS, place, strict=True) if name in dimensions)
