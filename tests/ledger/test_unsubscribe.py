"""R3: cancelling takes effect at the end of the paid period; then the plan's credits are gone."""

from __future__ import annotations

from gateway.domain import Bucket, Interval, operation_id
from gateway.ledger import outcomes
from tests.ledger.test_subscribe import anniversary
from tests.ledger.world import DAY, HOUR, MINUTE, World, amounts, the

ALLOTMENT = 8_000_000


async def cancel(world: World, operation: str = "") -> outcomes.Account:
    """Cancel ann's subscription, which must be accepted."""
    made = await world.ledger.unsubscribe(account="ann", operation=operation or operation_id())
    return the(outcomes.Applied, made).account


async def test_r3_cancelled_it_lasts_to_the_end_of_the_paid_period_and_refreshes_until_then(world: World) -> None:
    start = (await world.subscribe(interval=Interval.QUARTERLY)).account.now
    await world.advance_to(anniversary(start, 1) + DAY)
    subscription = (await cancel(world)).subscription
    assert subscription is not None
    assert subscription.cancelled_to == anniversary(start, 3)
    await world.finish(await world.spend(1_100_000))
    await world.advance_to(anniversary(start, 2))
    assert (await world.available())[1] == ALLOTMENT, "a cycle that was paid for refreshes all the same"
    await world.advance_to(anniversary(start, 3) - MINUTE)
    assert (await world.look()).subscription is not None
    account = await world.advance_to(anniversary(start, 3))
    assert account.subscription is None
    assert account.available_millicredits[Bucket.SUBSCRIPTION] == 0
    assert amounts(await world.journal("ann", "lapse")) == [-ALLOTMENT]


async def test_r3_with_paid_through_a_cancellation_ends_there(world: World) -> None:
    now = (await world.account()).now
    await world.subscribe(paid_through=now + 10 * DAY)
    account = await cancel(world)
    assert account.subscription is not None
    assert account.subscription.cancelled_to == now + 10 * DAY
    assert (await world.advance_to(now + 10 * DAY)).subscription is None


async def test_r3_after_the_lapse_top_ups_stay_and_the_plans_credits_are_gone(world: World) -> None:
    start = (await world.account(plan="standard", top_up=500_000)).now
    await cancel(world)
    await world.advance_to(anniversary(start, 1))
    assert await world.available() == (100_000, 0, 500_000)
    await world.finish(await world.spend(600_000))
    assert await world.available() == (0, 0, 0)


async def test_r3_a_refund_after_the_lapse_is_a_refund_grant_that_survives_it(bare: World) -> None:
    """R10: a job that began while it was paid for and fails afterwards costs nothing."""
    await bare.publish(daily_millicredits=0)
    start = (await bare.account(plan="standard")).now
    generation = await bare.spend(1_000_000)
    await cancel(bare)
    await bare.advance_to(anniversary(start, 1) + MINUTE)
    await bare.fail(generation)
    account = await bare.look()
    [grant] = account.grants[1:] if account.grants[0].kind == "daily" else account.grants
    assert (grant.kind, grant.bucket, grant.available_millicredits) == ("refund", Bucket.SUBSCRIPTION, 1_000_000)
    await bare.advance(26 * HOUR)
    assert (await bare.available())[1] == 0


async def test_r3_cancelling_twice_is_cancelling_once(world: World) -> None:
    await world.account(plan="standard")
    first = await cancel(world)
    before = await world.journal()
    again = await cancel(world)
    assert again.subscription == first.subscription
    assert await world.journal() == before


async def test_r3_cancelling_unschedules_a_change(world: World) -> None:
    start = (await world.account(plan="standard")).now
    await world.ledger.change(account="ann", operation="x", plan="pro", interval=None, when="period_end")
    account = await cancel(world)
    assert account.subscription is not None
    assert account.subscription.scheduled_plan is None
    assert (await world.advance_to(anniversary(start, 1))).subscription is None


async def test_r3_at_once_ends_it_now(world: World) -> None:
    """What a refunded or disputed subscription payment leads to."""
    await world.account(plan="standard")
    made = await world.ledger.unsubscribe(account="ann", operation="x", when="now")
    account = the(outcomes.Applied, made).account
    assert account.subscription is None
    assert account.available_millicredits[Bucket.SUBSCRIPTION] == 0
    assert [entry.kind for entry in await world.journal()][-2:] == ["change", "lapse"]


async def test_a_refused_cancellation_leaves_no_trace(world: World) -> None:
    async with world.unchanged():
        refused = await world.ledger.unsubscribe(account="ann", operation="x")
        assert the(outcomes.Refused, refused).reason == "no_subscription"
        assert isinstance(await world.ledger.unsubscribe(account="nobody", operation="x"), outcomes.NotFound)
