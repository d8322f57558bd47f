"""A shop whose customers pay by Stripe, in the ledger: what is told to it, and what it then has."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.ledger import outcomes
from gateway.ledger.payments import Billed, Billing
from gateway.payments.stripe_events import translate
from tests.ledger.test_subscribe import anniversary
from tests.ledger.world import World, the
from tests.payments import stripe_shapes as shapes
from tests.payments.customer import Customer
from tests.payments.shop import STANDARD, buy_plan

DAY = shapes.DAY


@dataclass
class Shop:
    """`ann` has a standard plan, begun ten days ago; its first month is paid."""

    world: World
    customer: Customer
    now: int

    async def tell(self, *events: shapes.Event) -> Billed:
        """Send events, each twice: a repeated one must change nothing."""
        for event in events:
            said = translate(event)
            assert isinstance(said, Billing)
            told = the(Billed, await self.world.ledger.bill(said))
            again = the(Billed, await self.world.ledger.bill(said))
            assert (again.account.grants, again.account.subscription) == (
                told.account.grants,
                told.account.subscription,
            )
        return again

    async def credits(self) -> int:
        return (await self.world.available())[1]

    async def plan(self) -> outcomes.Subscription:
        plan = (await self.world.look()).subscription
        assert plan is not None
        return plan

    async def spend(self, millicredits: int) -> None:
        """Use so much of the plan's credits."""
        free = (await self.world.available())[0]
        await self.world.finish(await self.world.spend(free + millicredits))

    async def reasons(self, kind: str = "change") -> list[str]:
        return [entry.reason or "" for entry in await self.world.journal("ann", kind)]


async def open_shop(world: World, begun_days: int = 10, plan: str = "standard") -> Shop:
    await world.account()
    now = await world.now() // 1000
    start = now - begun_days * DAY
    end = anniversary(start * 1000, 1) // 1000
    checkout = await buy_plan(world, plan, provider="stripe", live=True)
    return Shop(world, Customer(checkout, "sub_1", start, start, end), now)


async def paid_shop(world: World) -> Shop:
    made = await open_shop(world)
    await made.tell(*made.customer.seen(made.customer.start), *made.customer.period())
    assert await made.credits() == STANDARD
    return made


def share(customer: Customer, millicredits: int, at: int) -> int:
    """The share of an allotment for the rest of the period, rounded down."""
    return millicredits * (customer.end - at) // (customer.end - customer.start)
