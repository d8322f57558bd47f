"""What a payment provider says of subscriptions, in the ledger (R2, R3, R12): paid, late, failed, cancelled, ended."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from math import floor
from random import Random
from typing import Any

import pytest

from gateway.domain import Bucket, Interval, operation_id
from gateway.ledger import outcomes
from gateway.ledger.operators import GivenBack
from gateway.ledger.payments import RENEWAL_GRACE_MS, Billed, Checkout, Returned
from tests.ledger.test_subscribe import anniversary
from tests.ledger.world import DAY, HOUR, World, the
from tests.payments.shop import PRO, STANDARD, billing, buy_plan, line_of, read

MONTH = 28 * DAY  # what tests pay for: shorter than any month, so that no cycle ends within it


@dataclass
class Shop:
    """`ann` has bought the standard plan; nothing is paid yet."""

    world: World
    checkout: Checkout
    start: int

    async def say(self, checkout: Checkout | None = None, subscription: str = "sub_1", **facts: Any) -> Billed:
        """The provider says something."""
        return the(Billed, await self.world.ledger.bill(billing(checkout or self.checkout, subscription, **facts)))

    async def paid(self, through: int = MONTH, **more: Any) -> Billed:
        """A period is paid, to `through` after the start."""
        return await self.say(started_at=self.start, lines=(line_of(self.start, self.start + through),), **more)

    async def plan(self) -> outcomes.Subscription | None:
        return (await self.world.look()).subscription

    async def subscription_credits(self) -> int:
        return (await self.world.available())[1]


@pytest.fixture
async def shop(world: World) -> Shop:
    await world.account()
    checkout = await buy_plan(world, provider="stripe", live=True)
    return Shop(world, checkout, await world.now() // 1000 * 1000)


async def test_nothing_is_given_before_the_first_payment(shop: Shop) -> None:
    await shop.say()
    await shop.say(started_at=shop.start, seen_at=shop.start, plan="standard", interval=Interval.MONTHLY)
    assert await shop.plan() is None


async def test_a_paid_invoice_starts_the_plan_from_when_the_provider_began_it(shop: Shop) -> None:
    billed = await shop.paid()
    plan = billed.account.subscription
    assert plan is not None
    assert (plan.plan, plan.interval, plan.started_at) == ("standard", Interval.MONTHLY, shop.start)
    assert plan.paid_through == shop.start + MONTH
    assert await shop.subscription_credits() == STANDARD
    assert (await read(shop.world, shop.checkout)).status == "paid"


async def test_the_same_invoice_again_changes_nothing(shop: Shop) -> None:
    await shop.paid()
    before = await shop.world.journal()
    await shop.paid()
    assert await shop.world.journal() == before


async def test_what_is_said_of_an_unknown_checkout_is_not_found(shop: Shop) -> None:
    unknown = replace(billing(shop.checkout, "sub_2", lines=(line_of(1, 2),)), checkout="chk_unknown")
    assert await shop.world.ledger.bill(unknown) == outcomes.NotFound()


async def test_a_renewal_is_waited_for_and_its_credits_come_with_the_payment(shop: Shop) -> None:
    """Stripe charges about an hour after a period has begun: the plan goes on, the new credits wait for the money."""
    month = await paid_month(shop)
    await shop.world.spend(STANDARD // 2 + 100_000)
    await shop.world.advance_to(month + HOUR)
    assert await shop.plan() is not None
    assert await shop.subscription_credits() < STANDARD
    await shop.say(lines=(line_of(month, month + MONTH),))
    assert await shop.subscription_credits() == STANDARD
    assert [entry.kind for entry in await shop.world.journal("ann", "refresh", "lapse")] == ["refresh", "refresh"]


async def test_r3_without_a_payment_the_plan_lapses_when_it_has_waited(shop: Shop) -> None:
    month = await paid_month(shop)
    await shop.world.advance_to(month + RENEWAL_GRACE_MS)
    assert await shop.plan() is None
    assert await shop.subscription_credits() == 0


async def test_a_payment_after_the_lapse_starts_the_plan_again(shop: Shop) -> None:
    month = await paid_month(shop)
    await shop.world.advance_to(month + 3 * DAY)
    assert await shop.plan() is None
    await shop.say(lines=(line_of(month, month + MONTH),))
    plan = await shop.plan()
    assert plan is not None
    assert plan.paid_through == month + MONTH
    assert await shop.subscription_credits() == STANDARD


async def test_a_failed_payment_is_noted_once_and_takes_nothing(shop: Shop) -> None:
    month = await paid_month(shop)
    for _ in range(2):
        await shop.say(unpaid_invoice="in_failed", unpaid_through=month + MONTH)
    noted = [entry for entry in await shop.world.journal("ann", "change") if "failed" in (entry.reason or "")]
    assert len(noted) == 1
    assert noted[0].credits_millicredits == 0
    assert await shop.subscription_credits() == STANDARD


async def test_a_failure_that_comes_after_its_payment_is_not_noted(shop: Shop) -> None:
    await shop.paid()
    before = await shop.world.journal()
    invoice = line_of(shop.start, shop.start + MONTH).invoice
    await shop.say(unpaid_invoice=invoice, unpaid_through=shop.start + MONTH)
    assert await shop.world.journal() == before


async def test_b1_a_dearer_plan_that_is_not_paid_for_gives_neither_credits_nor_its_rights(shop: Shop) -> None:
    """Critical: `subscription.updated` gave the new plan's allotment, also while it was past due."""
    await shop.paid()
    for status in ("past_due", "active", "unpaid", "incomplete"):
        await shop.say(seen_at=shop.start + 60_000, plan="pro", interval=Interval.MONTHLY, status=status)
        await shop.say(unpaid_invoice="in_failed", unpaid_through=shop.start + MONTH)
        plan = await shop.plan()
        assert plan is not None
        assert (plan.plan, await shop.subscription_credits()) == ("standard", STANDARD)
    noted = [entry.reason for entry in await shop.world.journal("ann", "change")]
    assert noted.count("standard: pro waits for its payment") == 1


async def test_a_dearer_plan_heard_of_before_the_first_payment_is_not_what_was_paid(shop: Shop) -> None:
    await shop.say(started_at=shop.start, seen_at=shop.start + 1000, plan="pro", interval=Interval.MONTHLY)
    await shop.paid()
    plan = await shop.plan()
    assert plan is not None
    assert (plan.plan, await shop.subscription_credits()) == ("standard", STANDARD)


async def test_leftovers_are_dropped_also_late_when_the_card_says_so(shop: Shop) -> None:
    await shop.world.publish(keep_upgrade_leftover=False)
    better = await buy_plan(shop.world, "pro", provider="stripe", live=True)
    await shop.say(better, "sub_2", lines=(line_of(shop.start + 1000, shop.start + MONTH, 9000),))
    await shop.paid()
    assert await shop.subscription_credits() == PRO


async def test_an_older_word_does_not_undo_a_newer_one(shop: Shop) -> None:
    await shop.paid()
    at = shop.start
    seen: dict[str, Any] = {"started_at": at, "plan": "standard", "interval": Interval.MONTHLY}
    await shop.say(**seen, seen_at=at + 2000, cancelled_to=at + MONTH)
    await shop.say(**seen, seen_at=at + 1000, cancelled_to=None)
    plan = await shop.plan()
    assert plan is not None
    assert plan.cancelled_to == at + MONTH
    await shop.say(**seen, seen_at=at + 3000, cancelled_to=None)
    plan = await shop.plan()
    assert plan is not None
    assert plan.cancelled_to is None


async def test_a_cancelled_plan_ends_at_the_paid_end_without_waiting(shop: Shop) -> None:
    month = await paid_month(shop)
    await shop.say(
        started_at=shop.start, seen_at=shop.start, plan="standard", interval=Interval.MONTHLY, cancelled_to=month
    )
    await shop.world.advance_to(month)
    assert await shop.plan() is None


async def test_an_end_at_once_ends_at_once_and_for_good(shop: Shop) -> None:
    await shop.paid()
    await shop.say(started_at=shop.start, ended_at=await shop.world.now())
    assert await shop.plan() is None
    assert await shop.subscription_credits() == 0
    await shop.paid(2 * MONTH)
    assert await shop.plan() is None


async def test_an_end_that_comes_before_the_payment_starts_nothing(shop: Shop) -> None:
    await shop.say(started_at=shop.start, ended_at=shop.start)
    await shop.paid()
    assert await shop.plan() is None


async def test_an_old_event_does_not_undo_what_an_operator_did_since(shop: Shop) -> None:
    await shop.paid()
    seen: dict[str, Any] = {
        "started_at": shop.start,
        "seen_at": shop.start,
        "plan": "standard",
        "interval": Interval.MONTHLY,
    }
    await shop.say(**seen)
    await shop.world.ledger.unsubscribe(account="ann", operation=operation_id(), when="now")
    await shop.say(**seen)
    await shop.paid()
    assert await shop.plan() is None


async def test_a_new_purchase_takes_the_place_of_the_old_subscription(shop: Shop) -> None:
    await shop.paid()
    better = await buy_plan(shop.world, "pro", provider="stripe", live=True)
    await shop.world.advance(2000)
    later: dict[str, Any] = {"lines": (line_of(shop.start + 1000, shop.start + MONTH, 9000),)}
    billed = await shop.say(better, "sub_2", **later)
    assert billed.superseded == ("sub_1",)
    plan = await shop.plan()
    assert plan is not None
    assert plan.plan == "pro"
    await shop.say(started_at=shop.start, ended_at=shop.start + 2000)
    assert (await shop.say(better, "sub_2", **later)).superseded == ()
    assert await shop.plan() == plan
    assert await shop.subscription_credits() == STANDARD + PRO


async def test_the_end_of_the_old_that_comes_before_the_new_costs_no_credits(shop: Shop) -> None:
    """The old subscription was ended because of the new one; heard of first, it looked like a lapse."""
    await shop.paid()
    spent = await shop.world.spend(100_000 + 1_000_000)
    await shop.world.finish(spent)
    await shop.say(started_at=shop.start, ended_at=shop.start + 2)
    assert await shop.subscription_credits() == 0
    better = await buy_plan(shop.world, "pro", provider="stripe", live=True)
    await shop.say(better, "sub_2", lines=(line_of(shop.start + 1, shop.start + MONTH, 9000),))
    assert await shop.subscription_credits() == STANDARD - 1_000_000 + PRO


async def paid_month(shop: Shop) -> int:
    """The first monthly cycle is paid; when it ends."""
    plan = (await shop.paid()).account.subscription
    assert plan is not None
    await shop.paid(through=plan.refreshes_at - shop.start)
    return plan.refreshes_at


async def test_what_operators_add_while_a_plan_waits_for_its_payment_lasts_as_long_as_it_waits(shop: Shop) -> None:
    """The cycle that should have begun has not, and the last one's end is over: nothing may expire by that."""
    first = await paid_month(shop)
    generation = await shop.world.spend(100_000 + 40_000)
    await shop.world.finish(generation)
    second = anniversary(shop.start, 2)
    await shop.say(lines=(line_of(first, second),))
    await shop.world.advance_to(second + HOUR)
    ledger, why = shop.world.ledger, "a gift"
    for added in (
        await ledger.adjust(
            account="ann", operation=operation_id(), bucket=Bucket.SUBSCRIPTION, millicredits=5_000, reason=why
        ),
        await ledger.adjust_generation(generation=generation, operation=operation_id(), reason=why),
    ):
        assert isinstance(added, outcomes.Applied | GivenBack)
    given = STANDARD + 5_000 + 40_000
    await shop.world.advance_to(second + RENEWAL_GRACE_MS - 1)
    assert await shop.subscription_credits() == given
    await shop.world.advance(1)
    assert (await shop.plan(), await shop.subscription_credits()) == (None, 0)


async def test_what_is_left_of_a_month_that_is_over_does_not_come_along_to_another_plan(shop: Shop) -> None:
    """The plan waited for its payment; the change showed credits that the next call found expired."""
    await shop.world.advance_to(await paid_month(shop) + HOUR)
    changed = await shop.world.ledger.change(account="ann", operation="op", plan="pro", interval=None, when="now")
    assert the(outcomes.Applied, changed).account.available_millicredits[Bucket.SUBSCRIPTION] == PRO
    assert await shop.subscription_credits() == PRO


async def test_an_operator_who_renews_a_plan_that_waits_is_shown_the_cycle_that_begins_with_it(shop: Shop) -> None:
    """It began with the next call: the answer still had what was left of the last one."""
    end = await paid_month(shop)
    await shop.world.advance_to(end + HOUR)
    renewed = await shop.world.subscribe("ann", "standard", paid_through=end + 60 * DAY)
    assert renewed.account.available_millicredits[Bucket.SUBSCRIPTION] == 0, "no invoice covers this one"
    assert renewed.account == await shop.world.look()


async def test_refunds_and_a_dispute_of_one_payment_take_whole_millicredits(shop: Shop) -> None:
    """The product of their denominators is beyond what a script can count with: it took parts of a millicredit."""
    cents, dice = 99_999, Random(1)
    await shop.say(started_at=shop.start, lines=(line_of(shop.start, shop.start + MONTH, cents, invoice="in_1"),))
    for report in range(1, 60):
        refunded = Fraction(dice.randrange(1, cents), cents)
        disputed = Fraction(dice.randrange(1, cents - int(refunded * cents) + 1), cents)
        backs = {"refund": refunded, "dispute:dp_1": disputed}
        facts = (
            Returned(invoice="in_1", source=source, amount=back.numerator, of=back.denominator, at=report)
            for source, back in backs.items()
        )
        await shop.say(returned=tuple(facts))
        assert await shop.subscription_credits() == floor(STANDARD * (1 - refunded - disputed)), backs


async def test_a_renewal_heard_of_first_counts_cycles_from_the_real_start(shop: Shop) -> None:
    start = shop.start - 40 * DAY
    await shop.say(lines=(line_of(start + 31 * DAY, shop.start + 20 * DAY),))
    await shop.say(lines=(line_of(start, start + 31 * DAY),))
    plan = await shop.plan()
    assert plan is not None
    assert plan.started_at == start
    assert plan.cycle_started_at <= await shop.world.now() < plan.refreshes_at
    assert await shop.subscription_credits() == STANDARD
