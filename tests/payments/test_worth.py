"""R31: credits of a plan that invoices pay for are worth what was paid for their cycle, after discounts."""

from __future__ import annotations

from fractions import Fraction

from gateway.domain import Interval
from gateway.ledger import outcomes
from gateway.ledger.margin_records import revenue_of
from tests.ledger.world import DAY, World
from tests.payments.shop import STANDARD, billing, buy_plan, line_of

FREE = 100_000


async def earned(world: World, millicredits: int) -> Fraction:
    """What a generation earns that uses the day's free credits, and so many of the plan's."""
    return revenue_of((await finished(world, FREE + millicredits)).generation)


async def finished(world: World, price: int) -> outcomes.Ended:
    return await world.finish(await world.spend(price))


async def test_a_months_credits_are_worth_what_its_invoice_paid_after_a_coupon(world: World) -> None:
    await world.account()
    checkout, start = await buy_plan(world), await world.now()
    paid = line_of(start, start + 30 * DAY, 2_400, gross=3_000)
    await world.ledger.bill(billing(checkout, "sub_1", started_at=start, lines=(paid,)))
    assert await earned(world, 1_000_000) == Fraction(24_000_000, STANDARD) * 1_000_000


async def test_a_years_credits_are_worth_a_twelfth_of_it_in_the_months_to_come(world: World) -> None:
    await world.account()
    checkout, start = await buy_plan(world, interval=Interval.YEARLY), await world.now()
    paid = line_of(start, start + 365 * DAY, 25_200)
    await world.ledger.bill(billing(checkout, "sub_1", started_at=start, lines=(paid,)))
    await world.advance(70 * DAY)
    assert await earned(world, STANDARD // 2) == 252_000_000 // 12 // 2


async def test_what_was_paid_in_another_currency_is_unknown(world: World) -> None:
    await world.account()
    checkout, start = await buy_plan(world), await world.now()
    paid = line_of(start, start + 30 * DAY, 2_800, foreign=True)
    await world.ledger.bill(billing(checkout, "sub_1", started_at=start, lines=(paid,)))
    ended = await finished(world, FREE + 1_000)
    assert [share.worth for share in ended.generation.allocation] == ["0", "?"]
    assert revenue_of(ended.generation) == 0
