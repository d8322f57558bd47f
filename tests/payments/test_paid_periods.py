"""Credits follow money through time: years, late payments, new cycles, other currencies, and what an operator does."""

from __future__ import annotations

import pytest

from gateway.ledger import outcomes
from gateway.ledger.payments import Billing
from gateway.payments.stripe_events import translate
from tests.ledger.test_subscribe import anniversary
from tests.ledger.world import World
from tests.payments import stripe_shapes as shapes
from tests.payments.customer import Customer
from tests.payments.shop import PRO, STANDARD, buy_plan
from tests.payments.stripe_shop import DAY, Shop, open_shop, paid_shop, share


@pytest.fixture
async def shop(world: World) -> Shop:
    return await paid_shop(world)


async def test_a_years_allotments_come_month_by_month_while_it_is_paid(world: World) -> None:
    await world.account()
    now = await world.now() // 1000
    checkout = await buy_plan(world, "standard", provider="stripe", live=True)
    year = anniversary(now * 1000, 12) // 1000
    shop = Shop(world, Customer(checkout, "sub_1", now, now, year), now)
    await shop.tell(*shop.customer.invoiced([shapes.line(checkout, "sub_1", now, year, 25_200)], now))
    assert (await shop.plan()).interval == "yearly"
    for month in range(1, 12):
        await shop.spend(1_000_000)
        await world.advance_to(anniversary(now * 1000, month) + 1)
        assert await shop.credits() == STANDARD
    await world.advance_to(year * 1000 + 25 * 3_600_000)
    assert (await world.look()).subscription is None
    assert await shop.reasons("refresh") != []


async def test_a_year_that_is_changed_in_its_middle_takes_back_the_months_to_come(world: World) -> None:
    await world.account()
    now = await world.now() // 1000
    start = anniversary(now * 1000, -4) // 1000
    checkout = await buy_plan(world, "standard", provider="stripe", live=True)
    year = anniversary(start * 1000, 12) // 1000
    shop = Shop(world, Customer(checkout, "sub_1", start, start, year), now)
    await shop.tell(*shop.customer.invoiced([shapes.line(checkout, "sub_1", start, year, 25_200)], start))
    assert await shop.credits() == STANDARD
    back = shapes.line(checkout, "sub_1", now, year, -16_800, proration=True)
    month = anniversary(now * 1000, 1) // 1000
    whole = shapes.line(checkout, "sub_1", now, month, 3000)
    await shop.tell(*shop.customer.invoiced([back, whole], now))
    plan = await shop.plan()
    assert (plan.interval, plan.paid_through) == ("monthly", month * 1000)
    assert abs(await shop.credits() - STANDARD) < 300_000, "the old month had just begun"
    await world.advance_to(month * 1000 + 1)
    assert await shop.credits() <= STANDARD


async def test_a_year_that_another_period_took_the_place_of_gives_its_months_no_more(world: World) -> None:
    """Changed without a proration: the merchant keeps the year's money, and the month's is what counts from then on."""
    await world.account()
    now = await world.now() // 1000
    start, month = (anniversary(now * 1000, months) // 1000 for months in (-4, 1))
    checkout = await buy_plan(world, "standard", provider="stripe", live=True)
    year = anniversary(start * 1000, 12) // 1000
    shop = Shop(world, Customer(checkout, "sub_1", start, now, month), now)
    await shop.tell(*shop.customer.invoiced([shapes.line(checkout, "sub_1", start, year, 25_200)], start))
    await shop.tell(*shop.customer.period())
    await world.advance_to(month * 1000 + 1)
    await shop.tell(*shop.customer.renew(seconds=30 * DAY))
    assert await shop.credits() == STANDARD


async def test_what_is_owed_is_short_also_where_a_cycle_begins_by_itself(world: World) -> None:
    await world.account()
    now = await world.now() // 1000
    month, year = (anniversary(now * 1000, months) // 1000 for months in (1, 12))
    checkout = await buy_plan(world, "standard", provider="stripe", live=True)
    shop = Shop(world, Customer(checkout, "sub_1", now, now, year), now)
    await shop.tell(*shop.customer.invoiced([shapes.line(checkout, "sub_1", now, year, 25_200)], now))
    await shop.spend(STANDARD)
    half = shapes.line(checkout, "sub_1", (now + month) // 2, month, -1050, proration=True)
    await shop.tell(*shop.customer.invoiced([half], now))
    await world.advance_to(month * 1000 + 1)
    assert abs(await shop.credits() - STANDARD // 2) <= 1
    await world.advance_to(anniversary(now * 1000, 2) + 1)
    assert await shop.credits() == STANDARD


async def test_what_was_not_used_of_a_cycle_is_not_owed_when_its_money_goes_back_later(shop: Shop) -> None:
    """A change to the smaller plan that is invoiced with the next period: the dear plan's credits ran out unused."""
    customer = shop.customer
    await shop.tell(*customer.switch("pro", customer.start))
    lines = customer.prorations("standard", shop.now)
    late = share(customer, STANDARD, shop.now)
    customer.plan = "standard"
    await shop.tell(*customer.seen(shop.now))
    await shop.world.advance_to(customer.end * 1000 + 25 * 3_600_000)
    customer.start, customer.end = customer.end, customer.end + 30 * DAY
    whole = shapes.line(customer.checkout, "sub_1", customer.start, customer.end, 3000)
    await shop.tell(*customer.invoiced([*lines, whole], customer.start))
    assert STANDARD + late - 10_000 < await shop.credits() <= STANDARD + late


async def test_a_payment_for_a_period_that_is_over_leaves_a_line_and_no_credits(world: World) -> None:
    shop = await open_shop(world, begun_days=70)
    await shop.tell(*shop.customer.period())
    assert (await world.look()).subscription is None
    assert [reason for reason in await shop.reasons() if "30.00 paid for a time that ended" in reason]


async def test_a_proration_that_is_billed_with_the_next_invoice_gives_in_the_next_cycle(shop: Shop) -> None:
    """Stripe's default: a change is invoiced with the next period, when the time it is for is over."""
    customer, at = shop.customer, shop.now - 5 * DAY
    lines = customer.prorations("pro", at)
    customer.plan = "pro"
    await shop.tell(*customer.seen(at))
    assert await shop.credits() == STANDARD
    await shop.spend(STANDARD)
    await shop.world.advance_to(customer.end * 1000 + 1)
    old, late = share(customer, STANDARD, at), share(customer, PRO, at)
    customer.start, customer.end = customer.end, customer.end + 30 * DAY
    whole = shapes.line(customer.checkout, "sub_1", customer.start, customer.end, 9000, plan="pro")
    await shop.tell(*customer.invoiced([*lines, whole], customer.start))
    assert (await shop.plan()).plan == "pro"
    assert PRO + late - old - 10_000 < await shop.credits() <= PRO + late - old


async def test_restarted_cycles_have_their_own_allotment_and_the_old_ones_leftover(shop: Shop) -> None:
    customer = shop.customer
    rest = share(customer, STANDARD, shop.now)
    await shop.tell(*customer.restart(shop.now, 30 * DAY))
    plan = await shop.plan()
    assert (plan.started_at, plan.paid_through) == (shop.now * 1000, customer.end * 1000)
    assert STANDARD + STANDARD - rest - 10_000 < await shop.credits() <= STANDARD + STANDARD - rest


async def test_a_price_in_another_currency_counts_by_its_time(shop: Shop) -> None:
    customer, at = shop.customer, shop.now - 5 * DAY
    lines = customer.prorations("pro", at)
    for line in lines:
        line["amount"] *= 160
    customer.plan = "pro"
    await shop.tell(*customer.seen(at), *customer.invoiced(lines, at, currency="jpy"))
    due = STANDARD - share(customer, STANDARD, at) + share(customer, PRO, at)
    assert due - 2 <= await shop.credits() <= due


@pytest.mark.parametrize(("status", "waits"), [("past_due", True), ("unpaid", False), ("paused", False)])
async def test_a_plan_waits_for_a_payment_only_while_stripe_tries(shop: Shop, status: str, waits: bool) -> None:  # noqa: FBT001
    await shop.tell(*shop.customer.seen(shop.now, status=status))
    await shop.world.advance_to(shop.customer.end * 1000 + 1)
    assert ((await shop.world.look()).subscription is not None) is waits
    assert [reason for reason in await shop.reasons() if reason == f"standard: its payments are {status}"]


async def test_an_operators_change_is_not_undone_and_mints_nothing_twice(shop: Shop) -> None:
    world = shop.world
    await world.ledger.change(account="ann", operation="op", plan="pro", interval=None, when="now")
    granted = await shop.credits()
    await shop.tell(*shop.customer.seen(shop.now), *shop.customer.period())
    assert ((await shop.plan()).plan, await shop.credits()) == ("pro", granted)


async def test_more_lines_than_are_kept_are_refused_and_change_nothing(shop: Shop) -> None:
    """Every event reads all of them: 250 changes of plan are no customer's year."""
    customer, at = shop.customer, shop.now - DAY
    lines = [
        shapes.line(customer.checkout, "sub_1", at, customer.end, 1 + number % 2, plan="pro", proration=True)
        for number in range(499)
    ]
    await shop.tell(*customer.invoiced(lines, at))
    before = await shop.world.contents()
    for more in (customer.invoiced(customer.prorations("pro", at), at), customer.renew()[1:]):
        said = translate(more[0])
        assert isinstance(said, Billing)
        assert await shop.world.ledger.bill(said) == outcomes.Refused("too_many_lines")
    assert await shop.world.contents() == before


async def test_a_new_card_changes_nothing_that_was_sold(shop: Shop) -> None:
    await shop.world.publish(
        plans={
            name: type(terms)(
                monthly_millicredits=terms.monthly_millicredits // 2,
                price_cents={1: 1},
                max_waiting=terms.max_waiting,
            )
            for name, terms in shop.world.policy.plans.items()
        }
    )
    await shop.tell(*shop.customer.seen(shop.now))
    assert await shop.credits() == STANDARD
