"""R12: another plan or interval, now or at the end of the paid period."""

from __future__ import annotations

from typing import Any, Literal

from gateway.domain import Bucket, Interval, State, operation_id
from gateway.ledger import outcomes
from tests.ledger.test_subscribe import anniversary
from tests.ledger.world import DAY, MINUTE, POLICY, World, amounts, the

STANDARD = 8_000_000
PRO = 30_000_000


async def change(
    world: World, plan: str, when: Literal["now", "period_end"], interval: Interval | None = None, operation: str = ""
) -> outcomes.Account:
    """Change ann's plan, which must be accepted."""
    made = await world.ledger.change(
        account="ann", operation=operation or operation_id(), plan=plan, interval=interval, when=when
    )
    return the(outcomes.Applied, made).account


def plan_of(account: outcomes.Account) -> tuple[str, Interval] | None:
    """The account's plan and interval."""
    if account.subscription is None:
        return None
    return account.subscription.plan, account.subscription.interval


async def test_r12_now_starts_a_new_cycle_and_keeps_the_leftover_until_its_old_expiry(world: World) -> None:
    before = (await world.account(plan="standard")).subscription
    assert before is not None
    start = before.started_at
    await world.finish(await world.spend(1_100_000))  # the day's 100 free, then 1,000 of the plan
    await world.advance(10 * DAY)
    changed = await change(world, "pro", "now")
    assert changed.available_millicredits[Bucket.SUBSCRIPTION] == PRO + STANDARD - 1_000_000
    assert changed.subscription is not None
    assert changed.subscription.started_at == changed.now
    leftover = next(grant for grant in changed.grants if grant.available_millicredits == STANDARD - 1_000_000)
    assert leftover.expires_at == anniversary(start, 1)
    await world.advance_to(anniversary(start, 1))
    assert (await world.available())[1] == PRO, "the leftover went when it would have gone; the new cycle goes on"
    await world.advance_to(anniversary(changed.now, 1))
    assert (await world.available())[1] == PRO


async def test_r12_the_leftover_burns_before_the_new_allotment_because_it_expires_first(bare: World) -> None:
    await bare.publish(daily_millicredits=0)
    await bare.account(plan="standard")
    await bare.advance(DAY)
    account = await change(bare, "pro", "now")
    leftover = next(grant for grant in account.grants if grant.granted_millicredits == STANDARD)
    generation = await bare.generation(await bare.spend(5_000))
    assert [share.grant for share in generation.allocation] == [leftover.id]


async def test_r12_now_drops_the_leftover_if_the_card_says_so(bare: World) -> None:
    await bare.publish(keep_upgrade_leftover=False)
    await bare.account(plan="standard")
    await bare.advance(10 * DAY)
    account = await change(bare, "pro", "now")
    assert account.available_millicredits[Bucket.SUBSCRIPTION] == PRO
    expire, changed, refresh = (await bare.journal())[-3:]
    assert (expire.kind, expire.credits_millicredits, expire.reason) == ("expire", -STANDARD, "left of standard")
    assert (changed.kind, changed.credits_millicredits, changed.reason) == ("change", 0, "standard to pro monthly")
    assert (refresh.kind, refresh.credits_millicredits) == ("refresh", PRO)


async def test_r12_what_is_held_of_the_old_allotment_comes_back_to_it_after_the_change(bare: World) -> None:
    await bare.publish(daily_millicredits=0)
    start = (await bare.account(plan="standard")).now
    generation = await bare.spend(2_000_000)
    await bare.advance(DAY)
    await change(bare, "pro", "now")
    await bare.fail(generation)
    assert (await bare.available())[1] == PRO + STANDARD
    await bare.advance_to(anniversary(start, 1))
    assert (await bare.available())[1] == PRO


async def test_r12_now_without_paid_through_renews_itself_and_with_it_runs_one_interval(world: World) -> None:
    await world.account(plan="standard")
    changed = (await change(world, "pro", "now", Interval.YEARLY)).subscription
    assert changed is not None
    assert changed.paid_through is None
    now = (await world.advance(3 * DAY)).now
    await world.subscribe(plan="pro", interval=Interval.YEARLY, paid_through=now + 20 * DAY)
    for interval, months in ((Interval.QUARTERLY, 3), (Interval.YEARLY, 12), (Interval.MONTHLY, 1)):
        account = await change(world, "standard", "now", interval)
        assert account.subscription is not None
        assert account.subscription.paid_through == anniversary(account.now, months)


async def test_r12_period_end_waits_for_the_end_of_what_was_paid(world: World) -> None:
    """Quarterly: the third monthly cycle is the last one paid for."""
    start = (await world.account()).now
    anchor = (await world.subscribe(interval=Interval.QUARTERLY)).account.subscription
    assert anchor is not None
    scheduled = (await change(world, "pro", "period_end", Interval.YEARLY)).subscription
    assert scheduled is not None
    assert (scheduled.scheduled_plan, scheduled.scheduled_interval) == ("pro", Interval.YEARLY)
    assert (scheduled.plan, await world.available()) == ("standard", (100_000, STANDARD, 0))
    last = anniversary(anchor.started_at, 3)
    await world.advance_to(last - MINUTE)
    assert plan_of(await world.look()) == ("standard", Interval.QUARTERLY)
    account = await world.advance_to(last)
    assert plan_of(account) == ("pro", Interval.YEARLY)
    assert account.available_millicredits[Bucket.SUBSCRIPTION] == PRO, "the allotment is set: nothing rolls over"
    assert account.subscription is not None
    assert (account.subscription.started_at, account.subscription.scheduled_plan) == (last, None)
    assert last > start


async def test_r12_in_the_middle_of_a_period_the_end_is_that_of_the_current_one(world: World) -> None:
    anchor = (await world.subscribe(interval=Interval.QUARTERLY)).account.now
    await world.advance_to(anniversary(anchor, 4) + DAY)
    await change(world, "pro", "period_end")
    await world.advance_to(anniversary(anchor, 6) - MINUTE)
    assert plan_of(await world.look()) == ("standard", Interval.QUARTERLY)
    await world.advance_to(anniversary(anchor, 6))
    assert plan_of(await world.look()) == ("pro", Interval.QUARTERLY), "an interval that is not named stays"


async def test_r12_a_scheduled_change_is_unscheduled_by_choosing_the_present_plan(world: World) -> None:
    start = (await world.account(plan="standard")).now
    await change(world, "pro", "period_end")
    kept = (await change(world, "standard", "period_end")).subscription
    assert kept is not None
    assert kept.scheduled_plan is None
    assert [entry.reason for entry in await world.journal("ann", "change")][-1] == "stays on standard monthly"
    await world.advance_to(anniversary(start, 1))
    assert plan_of(await world.look()) == ("standard", Interval.MONTHLY)


async def test_r12_a_later_schedule_replaces_an_earlier_one(world: World) -> None:
    start = (await world.account(plan="standard")).now
    await change(world, "pro", "period_end")
    await change(world, "standard", "period_end", Interval.YEARLY)
    await world.advance_to(anniversary(start, 1))
    assert plan_of(await world.look()) == ("standard", Interval.YEARLY)


async def test_r12_with_paid_through_a_scheduled_change_applies_once_paid_past_it(world: World) -> None:
    now = (await world.account()).now
    await world.subscribe(paid_through=now + 30 * DAY)
    await change(world, "pro", "period_end")
    await world.subscribe(paid_through=now + 60 * DAY)
    await world.advance_to(now + 30 * DAY)
    account = await world.look()
    assert plan_of(account) == ("pro", Interval.MONTHLY)
    assert account.subscription is not None
    assert (account.subscription.started_at, account.subscription.paid_through) == (now + 30 * DAY, now + 60 * DAY)


async def test_r12_with_paid_through_and_no_further_payment_a_scheduled_change_lapses(world: World) -> None:
    now = (await world.account()).now
    await world.subscribe(paid_through=now + 30 * DAY)
    await change(world, "pro", "period_end")
    account = await world.advance_to(now + 30 * DAY)
    assert account.subscription is None
    assert account.available_millicredits[Bucket.SUBSCRIPTION] == 0
    assert amounts(await world.journal("ann", "lapse")) == [-STANDARD]
    assert amounts(await world.journal("ann", "refresh")) == [STANDARD], "the change scheduled never came"


async def test_r12_the_same_plan_and_interval_mint_nothing(world: World) -> None:
    await world.account(plan="standard")
    await world.finish(await world.spend(1_100_000))
    await world.advance(DAY)
    await world.look()
    before = await world.journal()
    whens: tuple[Literal["now", "period_end"], ...] = ("now", "period_end")
    for when in whens:
        account = await change(world, "standard", when, Interval.MONTHLY)
        assert account.available_millicredits[Bucket.SUBSCRIPTION] == STANDARD - 1_000_000
    assert await world.journal() == before


async def test_r12_another_interval_of_the_same_plan_is_a_change(world: World) -> None:
    await world.account(plan="standard")
    await world.advance(DAY)
    account = await change(world, "standard", "now", Interval.YEARLY)
    assert plan_of(account) == ("standard", Interval.YEARLY)
    assert account.available_millicredits[Bucket.SUBSCRIPTION] == 2 * STANDARD, "the leftover is kept to its expiry"


async def test_r12_a_change_now_takes_back_a_cancellation(world: World) -> None:
    start = (await world.account(plan="standard")).now
    await world.ledger.unsubscribe(account="ann", operation=operation_id())
    account = await change(world, "pro", "now")
    assert account.subscription is not None
    assert account.subscription.cancelled_to is None
    await world.advance_to(anniversary(start, 1) + DAY)
    assert plan_of(await world.look()) == ("pro", Interval.MONTHLY)


async def test_r14_a_change_now_promotes_who_waited(world: World) -> None:
    await world.account(plan="standard")
    generations = [await world.spend(1_000) for _ in range(10)]
    made = await world.ledger.change(account="ann", operation="one", plan="pro", interval=None, when="now")
    promoted = [dispatch.generation for dispatch in the(outcomes.Applied, made).promoted]
    assert promoted == generations[8:]
    assert (await world.generation(generations[9])).state is State.QUEUED


async def test_scheduling_the_same_change_again_writes_nothing(world: World) -> None:
    """Two requests without an idempotency key used to write the same sentence twice."""
    await world.account(plan="standard")
    await change(world, "pro", "period_end")
    before = await world.journal()
    await change(world, "pro", "period_end")
    assert await world.journal() == before


async def test_a_refused_change_leaves_no_trace(world: World) -> None:
    await world.account("bob", plan="standard")
    async with world.unchanged():
        arguments: dict[str, Any] = {"operation": "x", "interval": None, "when": "now"}
        nobody = await world.ledger.change(account="nobody", plan="pro", **arguments)
        assert isinstance(nobody, outcomes.NotFound)
        none = await world.ledger.change(account="ann", plan="pro", **arguments)
        assert the(outcomes.Refused, none).reason == "no_subscription"
        unknown = await world.ledger.change(account="bob", plan="gold", **arguments)
        assert the(outcomes.Refused, unknown).reason == "unknown_plan"


async def test_a_plan_withdrawn_from_sale_cannot_be_changed_to(world: World) -> None:
    await world.account(plan="standard")
    await world.publish(plans={"standard": POLICY.plans["standard"]})
    refused = await world.ledger.change(account="ann", operation="x", plan="pro", interval=None, when="period_end")
    assert the(outcomes.Refused, refused).reason == "unknown_plan"
