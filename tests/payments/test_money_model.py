"""The ledger and a model that knows only what was paid: nothing can be used that money does not cover, at any event.

Histories are thrown by dice: renewals, upgrades, downgrades, failed payments, net lines, changes that are billed
late. In time they are compared with the model to the millicredit's rounding, with credits used in between; shuffled
and doubled, each must end as it does in order.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from random import Random

import pytest

from gateway.domain import Bucket
from gateway.ledger.payments import Billing
from gateway.payments.stripe_events import translate
from tests.invariants.model.money import Money, Paid, Terms, covered
from tests.ledger.test_subscribe import anniversary
from tests.ledger.world import World
from tests.lengths import LONG
from tests.payments import stripe_shapes as shapes
from tests.payments.customer import Customer
from tests.payments.shop import PRICES, PRO, STANDARD, buy_plan

TERMS = {"standard": Terms(STANDARD, int(PRICES["standard"] * 100)), "pro": Terms(PRO, int(PRICES["pro"] * 100))}
HISTORIES = 12 if LONG else 4
ROUNDING = 2  # millicredits a line: each is rounded in the house's favour


@dataclass
class History:
    """A customer's story, thrown by dice, a month at a time; and what of it was paid."""

    customer: Customer
    dice: Random
    now: int
    month: int = 0
    late: list[shapes.Event] = field(default_factory=list)
    """Lines that wait for the next invoice, as Stripe has it by default."""

    def events(self) -> Iterator[tuple[int, shapes.Event]]:
        """Each with when it happens."""
        customer = self.customer
        for event in (*customer.seen(customer.start), *customer.period()):
            yield customer.start, event
        while True:
            at = customer.start
            for _ in range(self.dice.randrange(4)):
                at += self.dice.randrange(1, 6) * shapes.DAY + self.dice.randrange(3600)
                if at < min(self.now, customer.end - shapes.DAY):
                    yield from ((at, event) for event in self._change(at))
            if customer.end >= self.now:
                return
            yield from ((customer.start, event) for event in self._renewal())

    def _change(self, at: int) -> list[shapes.Event]:
        customer = self.customer
        other = "pro" if customer.plan == "standard" else "standard"
        match self.dice.randrange(5):
            case 0:
                return customer.switch(other, at, paid=False)
            case 1:
                self.late += customer.prorations(other, at)
                customer.plan = other
                return customer.seen(at)
            case 2:
                return customer.seen(at, status="past_due")
            case _:
                return customer.switch(other, at)

    def _renewal(self) -> list[shapes.Event]:
        customer = self.customer
        self.month += 1
        seconds = anniversary(customer.begun * 1000, self.month + 1) // 1000 - customer.end
        seen, invoice = customer.renew(seconds=seconds)
        if self.late:
            lines = [*self.late, *invoice["data"]["object"]["lines"]["data"]]
            self.late = []
            (invoice,) = customer.invoiced(lines, customer.start)
        return [seen, invoice]


def paid_by(event: shapes.Event, begun: int) -> list[Paid]:
    """The lines of a paid invoice, as the model knows them."""
    if event["type"] != "invoice.paid":
        return []
    about, lines = event["data"]["object"], []
    for line in about["lines"]["data"]:
        price = line["pricing"]["price_details"]["price"]
        terms = TERMS["standard" if price == "price_1" else price.removeprefix("price_")]
        whole = not line["parent"]["subscription_item_details"]["proration"]
        start, end = line["period"]["start"], line["period"]["end"]
        number = cycle_of(begun, start)
        first, last = (anniversary(begun * 1000, number + more) // 1000 for more in (0, 1))
        late = line["amount"] > 0 and about["created"] >= end
        counts = cycle_of(begun, about["created"]) if late else number
        lines.append(Paid(line["id"], counts, terms, line["amount"], whole, Fraction(end - start, last - first)))
    return lines


def cycle_of(begun: int, at: int) -> int:
    """Which monthly cycle a moment is in."""
    return next(number for number in range(100) if anniversary(begun * 1000, number + 1) > at * 1000)


async def open_history(world: World, dice: Random, days: int, account: str = "ann", now: int | None = None) -> History:
    await world.account(account)
    now = await world.now() // 1000 if now is None else now
    begun = now - days * shapes.DAY
    checkout = await buy_plan(world, "standard", account=account, provider="stripe", live=True)
    end = anniversary(begun * 1000, 1) // 1000
    return History(Customer(checkout, f"sub_{account}", begun, begun, end), dice, now)


async def tell(world: World, event: shapes.Event) -> None:
    said = translate(event)
    assert isinstance(said, Billing)
    await world.ledger.bill(said)


@pytest.mark.parametrize("number", range(HISTORIES))
async def test_in_time_what_can_be_used_is_what_the_model_says(world: World, number: int) -> None:
    await play_in_time(world, number)


async def play_in_time(world: World, number: int) -> None:
    """The clock follows the story; between its events credits are used, often all of them before a downgrade."""
    dice = Random(number)
    history = await open_history(world, dice, 0)
    history.now += 100 * shapes.DAY
    begun, money, lines = history.customer.begun, Money(), 0
    for at, event in history.events():
        await world.advance_to(max(await world.now(), at * 1000 + 1))
        paid = paid_by(event, begun)
        if any(line.whole for line in paid):
            # Before the new period's payment nothing of it is there, and its cycle begins with it.
            for line in paid:
                if line.cycle != cycle_of(begun, at):
                    money.pay(line)
            money.turn(cycle_of(begun, at))
        for _ in range(dice.randint(1, 2)):
            await tell(world, event)
        for line in paid:
            money.pay(line)
        lines += len(paid)
        available = (await world.available())[1]
        assert -ROUNDING * lines <= available - money.available() <= ROUNDING * lines, f"at event {event['type']}"
        await use(world, money, dice)


async def use(world: World, money: Money, dice: Random) -> None:
    """All of the plan's credits, a part of them, or none."""
    free, available, _ = await world.available()
    amount = dice.choice([0, available // 3, available])
    if amount:
        await world.finish(await world.spend(free + amount))
        money.use(amount)


@pytest.mark.parametrize("number", range(HISTORIES))
async def test_shuffled_and_doubled_nothing_is_covered_twice_and_all_ends_alike(world: World, number: int) -> None:
    await play_shuffled(world, number)


async def play_shuffled(world: World, number: int) -> None:
    """One story in order, and twice in any order with events that come again."""
    ends: list[tuple[int, int, object]] = []
    for telling in range(3):
        dice, account = Random(f"{number}"), f"ann{telling}"
        days, now = Random(number).randrange(3, 90), ends[0][0] if ends else None
        history = await open_history(world, dice, days, account, now)
        begun = history.customer.begun
        told = [event for _, event in history.events()]
        if telling:
            order = Random(f"{number}/{telling}")
            told = [event for event in told for _ in range(order.randint(1, 3))]
            order.shuffle(told)
        heard: dict[str, Paid] = {}
        for event in told:
            await tell(world, event)
            heard |= {line.id: line for line in paid_by(event, begun)}
            numbers = {line.cycle for line in heard.values()}
            most = sum(covered(heard.values(), cycle) for cycle in numbers) + ROUNDING * len(heard)
            assert (await world.available(account))[1] <= most + takes_back(heard), "more than money covers"
        seen = await world.look(account)
        plan = seen.subscription
        available = seen.available_millicredits[Bucket.SUBSCRIPTION]
        current = covered(heard.values(), cycle_of(begun, history.now))
        assert abs(available - current) <= ROUNDING * len(heard)
        ends.append((history.now, available, plan and (plan.plan, plan.paid_through)))
    assert len({end[1:] for end in ends}) == 1, ends


def takes_back(heard: dict[str, Paid]) -> Fraction:
    """Heard of first, what goes back is for a period whose payment is not known yet: at most that much is missing."""
    return -sum((line.covers() for line in heard.values() if line.cents < 0), Fraction(0))
