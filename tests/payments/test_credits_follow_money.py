"""Credits follow money: what a subscription's cycles were given is what its paid invoices cover, after each event.

B1, B2, A1, A2 and F are events that were fed to the version before: it gave 100,000 credits for an upgrade that was
never paid, 33,000 for 13 USD by switching to and fro, and a whole allotment for a trial's invoice of 0.00.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from gateway.ledger import outcomes as o
from gateway.ledger.payments import Billed, Billing, Returned
from gateway.payments.stripe_events import translate
from tests.invariants.checks import check_invariants
from tests.ledger.test_subscribe import anniversary
from tests.ledger.world import PARTITIONS, World, the
from tests.payments import stripe_shapes as shapes
from tests.payments.customer import Customer
from tests.payments.shop import PRO, STANDARD, buy_plan

DAY = shapes.DAY
FREE = 100_000


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

    async def plan(self) -> o.Subscription:
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


@pytest.fixture
async def shop(world: World) -> Shop:
    return await paid_shop(world)


def share(customer: Customer, millicredits: int, at: int) -> int:
    """The share of an allotment for the rest of the period, rounded down."""
    return millicredits * (customer.end - at) // (customer.end - customer.start)


# --- A and B: no money, no credits ---


@pytest.mark.parametrize("status", ["active", "past_due", "unpaid", "incomplete", "incomplete_expired", "paused"])
async def test_b1_an_update_to_a_dearer_plan_gives_nothing_whatever_its_status(shop: Shop, status: str) -> None:
    shop.customer.plan = "pro"
    await shop.tell(*shop.customer.seen(shop.now - DAY, status=status))
    assert (await shop.credits(), (await shop.plan()).plan) == (STANDARD, "standard")
    assert (await shop.reasons()).count("standard: pro waits for its payment") == 1


async def test_b2_an_upgrade_whose_payment_fails_gives_nothing_and_is_noted(shop: Shop) -> None:
    await shop.tell(*shop.customer.switch("pro", shop.now - DAY, paid=False))
    assert (await shop.credits(), (await shop.plan()).plan) == (STANDARD, "standard")


@pytest.mark.parametrize("kind", ["invoice.voided", "invoice.marked_uncollectible"])
async def test_a_renewal_that_is_given_up_is_noted_once_and_gives_nothing(shop: Shop, kind: str) -> None:
    (_, invoice) = shop.customer.renew(paid=False)
    await shop.tell(invoice | {"type": kind})
    assert await shop.credits() == STANDARD
    assert len([reason for reason in await shop.reasons() if "an invoice was" in reason]) == 1


async def test_a_twenty_switches_without_a_payment_give_nothing(shop: Shop) -> None:
    for number in range(20):
        shop.customer.plan = ("pro", "standard")[number % 2]
        await shop.tell(*shop.customer.seen(shop.now - DAY + 100 * number))
    assert (await shop.credits(), (await shop.plan()).plan) == (STANDARD, "standard")
    assert await shop.reasons("refresh") == ["standard, set to 8000"]


async def test_a_twenty_paid_switches_leave_what_the_last_plan_is_worth(shop: Shop) -> None:
    """Each is paid for, and each takes back: to and fro at one moment is worth what it was."""
    customer, at = shop.customer, shop.now - DAY
    for number in range(20):
        await shop.tell(*customer.switch(("pro", "standard")[number % 2], at + number))
    assert STANDARD - 20 * 1000 < await shop.credits() <= STANDARD, "but for what rounding to the cent may take"
    assert (await shop.plan()).plan == "standard"
    await shop.tell(*customer.switch("pro", at + 20))
    used = STANDARD - share(customer, STANDARD, at)
    assert used + share(customer, PRO, at) - 50_000 < await shop.credits() <= used + share(customer, PRO, at) + 1000


async def test_f_a_trial_starts_the_plan_and_gives_no_credits_before_the_payment(world: World) -> None:
    shop = await open_shop(world, begun_days=3, plan="pro")
    customer = shop.customer
    month, customer.end = customer.end - customer.start, customer.start + 14 * DAY
    trial = shapes.line(customer.checkout, "sub_1", customer.start, customer.end, 0)
    await shop.tell(*customer.seen(customer.start, status="trialing"), *customer.invoiced([trial], customer.start))
    assert (await shop.credits(), (await shop.plan()).plan) == (0, "pro")
    assert [reason for reason in await shop.reasons() if "nothing to pay until" in reason]
    await world.advance_to(customer.end * 1000 + 1)
    assert await shop.credits() == 0
    await shop.tell(*customer.renew(seconds=month))
    assert await shop.credits() == PRO
    assert (await shop.plan()).paid_through == customer.end * 1000


async def test_a_discount_of_100_percent_gives_the_plan_and_no_credits_and_a_lesser_one_all(world: World) -> None:
    """Somebody else's 100 % code credited anything."""
    shop = await open_shop(world)
    free = shapes.line(shop.customer.checkout, "sub_1", shop.customer.start, shop.customer.end, 3000, discount=3000)
    await shop.tell(*shop.customer.invoiced([free], shop.customer.start))
    assert (await shop.credits(), (await shop.plan()).plan) == (0, "standard")
    await shop.world.advance_to(shop.customer.end * 1000 + 1)
    customer = shop.customer
    customer.start, customer.end = customer.end, customer.end + 30 * DAY
    cheaper = shapes.line(customer.checkout, "sub_1", customer.start, customer.end, 3000, discount=2999)
    await shop.tell(*customer.invoiced([cheaper], customer.start))
    assert await shop.credits() == STANDARD


# --- what is paid gives its share, what goes back takes it ---


async def test_a_paid_upgrade_gives_its_share_and_the_plan(shop: Shop) -> None:
    at = shop.now - 5 * DAY
    await shop.tell(*shop.customer.switch("pro", at))
    assert (await shop.plan()).plan == "pro"
    due = STANDARD - share(shop.customer, STANDARD, at) + share(shop.customer, PRO, at)
    assert due - 5000 < await shop.credits() <= due, "cents are rounded, and credits never up"
    assert (await shop.plan()).started_at == shop.customer.begun * 1000
    await shop.world.advance_to(shop.customer.end * 1000 + 1)
    await shop.tell(*shop.customer.renew())
    assert await shop.credits() == PRO


async def test_b2_one_net_line_is_worth_its_money_towards_the_plan_that_was_seen(shop: Shop) -> None:
    """13.00 towards a plan of 250.00 is 5.2 % of it, whatever the line's metadata say."""
    customer, at = shop.customer, shop.now - 5 * DAY
    customer.plan = "pro"
    net = shapes.line(customer.checkout, "sub_1", at, customer.end, 900, proration=True)
    del net["pricing"]
    await shop.tell(*customer.seen(at), *customer.invoiced([net], at))
    assert STANDARD + PRO // 10 - 50_000 < await shop.credits() <= STANDARD + PRO // 10
    assert (await shop.plan()).plan == "pro"


async def test_money_beyond_the_cards_price_buys_no_more_than_the_time(shop: Shop) -> None:
    customer, at = shop.customer, shop.now - 5 * DAY
    back, rest = customer.prorations("pro", at)
    rest["amount"] *= 3
    customer.plan = "pro"
    await shop.tell(*customer.seen(at), *customer.invoiced([back, rest], at))
    assert await shop.credits() <= STANDARD - share(customer, STANDARD, at) + share(customer, PRO, at)


async def test_what_was_sold_for_less_goes_back_by_its_time(shop: Shop) -> None:
    """Stripe gives back half of a month that was sold for half: that is the rest of the month, not half of it."""
    customer, at = shop.customer, shop.now - 5 * DAY
    back, rest = customer.prorations("pro", at)
    back["amount"] //= 2
    customer.plan = "pro"
    await shop.tell(*customer.seen(at), *customer.invoiced([back, rest], at))
    assert await shop.credits() <= STANDARD - share(customer, STANDARD, at) + share(customer, PRO, at)


async def test_lines_that_name_no_price_are_for_the_plan_before_the_change_and_the_one_after_it(shop: Shop) -> None:
    customer, at = shop.customer, shop.now - 5 * DAY
    lines = customer.prorations("pro", at)
    for line in lines:
        del line["pricing"]
    customer.plan = "pro"
    await shop.tell(*customer.seen(at), *customer.invoiced(lines, at))
    due = STANDARD - share(customer, STANDARD, at) + share(customer, PRO, at)
    assert due - 5000 < await shop.credits() <= due


async def test_a_period_that_could_be_for_two_plans_is_worth_its_money(world: World) -> None:
    """A dearer plan was seen, unpaid; the period's price is an old one that neither has on the card."""
    shop = await open_shop(world)
    customer = shop.customer
    customer.plan = "pro"
    period = shapes.line(customer.checkout, "sub_1", customer.start, customer.end, 2700)
    del period["pricing"]
    await shop.tell(*customer.seen(customer.start, status="past_due"), *customer.invoiced([period], customer.start))
    assert await shop.credits() == PRO * 2700 // 9000


async def test_a_period_that_is_paid_for_twice_gives_once(shop: Shop) -> None:
    await shop.tell(*shop.customer.period(), *shop.customer.period())
    assert await shop.credits() == STANDARD


async def test_a_downgrade_takes_back_what_stripe_credits_back(shop: Shop) -> None:
    customer = shop.customer
    await shop.tell(*customer.switch("pro", customer.start + DAY))
    before = await shop.credits()
    at = shop.now - DAY
    await shop.tell(*customer.switch("standard", at))
    wanted = before - share(customer, PRO, at) + share(customer, STANDARD, at)
    assert wanted - 10_000 < await shop.credits() <= wanted
    assert (await shop.plan()).plan == "standard"


async def test_a_smaller_plan_is_in_force_at_once_and_its_credits_go_when_the_money_goes(shop: Shop) -> None:
    customer = shop.customer
    await shop.tell(*customer.switch("pro", customer.start + DAY))
    before = await shop.credits()
    lines = customer.prorations("standard", shop.now - DAY)
    customer.plan = "standard"
    await shop.tell(*customer.seen(shop.now - DAY))
    assert ((await shop.plan()).plan, await shop.credits()) == ("standard", before)
    await shop.tell(*customer.invoiced(lines, shop.now))
    assert await shop.credits() < before // 2


async def test_what_was_spent_before_a_downgrade_is_set_off_against_the_next_cycles(shop: Shop) -> None:
    """Else who spends first and switches afterwards has the dear plan's credits for the cheap one's money."""
    customer, world = shop.customer, shop.world
    await shop.tell(*customer.switch("pro", customer.start))
    assert await shop.credits() == PRO
    await shop.spend(20_000_000)
    await shop.tell(*customer.switch("standard", customer.start + 1))
    assert await shop.credits() == 0
    owed = 20_000_000 - STANDARD  # but for a few credits of that second
    for left in (max(0, owed - STANDARD), 0):
        await world.advance_to(customer.end * 1000 + 1)
        await shop.tell(*customer.renew(seconds=anniversary(customer.end * 1000, 1) // 1000 - customer.end))
        expected = max(0, STANDARD - owed)
        assert abs(await shop.credits() - expected) < 50_000
        owed = left
    await world.advance_to(customer.end * 1000 + 1)
    await shop.tell(*customer.renew())
    assert await shop.credits() == STANDARD


async def test_what_was_spent_is_set_off_against_the_next_subscription_too(shop: Shop) -> None:
    """Cancelled with a credit, and bought again with that credit: 13 USD would have given as much as one likes."""
    customer = shop.customer
    await shop.spend(STANDARD)
    back = shapes.line(customer.checkout, "sub_1", customer.start, customer.end, -3000, proration=True)
    await shop.tell(*customer.invoiced([back], shop.now - DAY), *customer.end_at(shop.now - DAY))
    assert await shop.credits() == 0
    checkout = await buy_plan(shop.world, "pro", provider="stripe", live=True)
    start = shop.now - DAY + 60
    again = Customer(checkout, "sub_2", start, start, start + 30 * DAY)
    await shop.tell(*again.period(starting_balance=-3000))
    assert await shop.credits() == PRO - STANDARD


async def test_what_a_refund_took_is_no_debt(shop: Shop) -> None:
    """A merchant's refund takes what is left; what was spent stays spent, as with bundles."""
    (period,) = shop.customer.period()
    invoice = translate(period)
    assert isinstance(invoice, Billing)
    other = Customer(await buy_plan(shop.world, "pro", provider="stripe", live=True), "sub_2", shop.now, shop.now,
                     shop.now + 30 * DAY)  # fmt: skip
    await shop.tell(*(event := other.period()))
    named = event[0]["data"]["object"]["id"]
    assert await shop.credits() == STANDARD + PRO
    await shop.spend(STANDARD + PRO // 2)
    for amount, of, left in ((2250, 9000, PRO // 4), (9000, 9000, 0), (0, 9000, PRO // 2)):
        at = shop.now * 1000 + (amount or of + 1)
        back = Returned(invoice=named, source="dispute", amount=amount, of=of, at=at)
        said = Billing(account="ann", checkout=other.checkout.id, subscription="sub_2", returned=(back,))
        for _ in range(2):
            await shop.world.ledger.bill(said)
            assert await shop.credits() == left
    assert "owed" not in await account_fields(shop.world)


async def test_credits_that_no_line_paid_for_are_found(shop: Shop) -> None:
    """What proves the ledger after each of these tests: it must be able to fail."""
    (name,) = [name for name in await shop.world.contents() if ":billing:" in name]
    (cycle,) = [field for field in await shop.world.redis.hkeys(name) if b"|cycle|" in field]
    kept = await shop.world.redis.hget(name, cycle)
    await shop.world.redis.hset(name, cycle, kept.replace(b"8000000", b"8000001"))
    with pytest.raises(AssertionError, match="8000001 was given, and 8000000 was paid for"):
        await check_invariants(shop.world.redis, PARTITIONS)
    await shop.world.redis.hset(name, cycle, kept)


async def test_r33_what_a_refund_took_of_spent_credits_is_owed_where_the_card_says_so(shop: Shop) -> None:
    customer, world = shop.customer, shop.world
    await world.publish(spent_is_owed=True)
    (invoice,) = customer.renew(seconds=anniversary(customer.end * 1000, 1) // 1000 - customer.end)[1:]
    await world.advance_to(customer.start * 1000 + 1)
    await shop.tell(invoice)
    await shop.spend(STANDARD)
    back = Returned(invoice=invoice["data"]["object"]["id"], source="refund", amount=1000, of=3000, at=shop.now * 1000)
    await world.ledger.bill(
        Billing(account="ann", checkout=customer.checkout.id, subscription="sub_1", returned=(back,))
    )
    await world.advance_to(customer.end * 1000 + 1)
    await shop.tell(*customer.renew())
    assert await shop.credits() == STANDARD - (STANDARD // 3 + 1)


async def account_fields(world: World) -> dict[str, Any]:
    (fields,) = [stored.value for name, stored in (await world.contents()).items() if name.endswith(":account:ann")]
    return dict(fields)


# --- longer periods, late ones, new cycles ---


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


async def test_cycles_that_begin_anew_have_their_own_allotment_and_what_is_left_of_the_old_one(shop: Shop) -> None:
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
        assert await shop.world.ledger.bill(said) == o.Refused("too_many_lines")
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
