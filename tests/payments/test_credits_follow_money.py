"""Credits follow money: what a subscription's cycles were given is what its paid invoices cover, after each event.

B1, B2, A1, A2 and F are events that were fed to the version before: it gave 100,000 credits for an upgrade that was
never paid, 33,000 for 13 USD by switching to and fro, and a whole allotment for a trial's invoice of 0.00.
"""

from __future__ import annotations

from typing import Any

import pytest

from gateway.ledger.payments import Billing, Returned
from gateway.payments.stripe_events import translate
from tests.invariants.checks import check_invariants
from tests.ledger.test_subscribe import anniversary
from tests.ledger.world import PARTITIONS, World
from tests.payments import stripe_shapes as shapes
from tests.payments.customer import Customer
from tests.payments.shop import PRO, STANDARD, buy_plan
from tests.payments.stripe_shop import DAY, Shop, open_shop, paid_shop, share


@pytest.fixture
async def shop(world: World) -> Shop:
    return await paid_shop(world)


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
    assert len([reason for reason in await shop.reasons() if "a payment failed" in reason]) == 1


async def test_a1_a_price_that_is_given_another_plans_name_afterwards_gives_nothing(shop: Shop) -> None:
    """What was paid as a standard month became a whole month of the dearer plan."""
    (event,) = shop.customer.seen(shop.now - DAY)
    event["data"]["object"]["items"]["data"][0]["price"]["metadata"] = {"farebox_plan": "pro"}
    await shop.tell(event)
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
