"""R2, R3, R12: cycles from the anchor, no roll-over, the lapse, and what a change of plan keeps."""

from __future__ import annotations

from calendar import monthrange
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from gateway.domain import Bucket, Interval, State, operation_id
from gateway.ledger import outcomes
from tests.ledger.world import DAY, HOUR, MINUTE, POLICY, World, the, utc

ALLOTMENT = 8_000_000


def anniversary(anchor: int, months: int) -> int:
    """The same day of the month, or the month's last, so many months after the anchor (R2)."""
    start = datetime.fromtimestamp(anchor // 1000, UTC)
    year, month = divmod(start.year * 12 + start.month - 1 + months, 12)
    day = min(start.day, monthrange(year, month + 1)[1])
    return round(start.replace(year=year, month=month + 1, day=day).timestamp()) * 1000 + anchor % 1000


async def a_31st(world: World) -> int:
    """Bring ann to 31 January of the year after next, 10:15 UTC."""
    year = datetime.fromtimestamp((await world.account()).now / 1000, UTC).year + 2
    moment = utc(f"{year}-01-31 10:15")
    await world.advance_to(moment)
    return moment


async def test_r2_the_allotment_is_there_at_once(world: World) -> None:
    applied = await world.subscribe()
    assert applied.account.available_millicredits[Bucket.SUBSCRIPTION] == ALLOTMENT
    subscription = applied.account.subscription
    assert subscription is not None
    assert (subscription.plan, subscription.started_at) == ("standard", applied.account.now)
    assert subscription.refreshes_at == anniversary(applied.account.now, 1)


async def test_r2_started_on_the_31st_it_refreshes_on_shorter_months_last_day_and_on_the_31st_again(
    world: World,
) -> None:
    """The issue's point 6: 13 months by the clock are 14 allotments, each at its own time, and nothing rolls over."""
    anchor = await a_31st(world)
    started = (await world.subscribe(started_at=anchor)).account.now
    await world.advance_to(anniversary(anchor, 13))
    entries = await world.journal("ann", "refresh")
    assert [entry.at for entry in entries] == [started, *(anniversary(anchor, month) for month in range(1, 14))]
    days = [datetime.fromtimestamp(entry.at / 1000, UTC).day for entry in entries]
    february = monthrange(datetime.fromtimestamp(anchor / 1000, UTC).year, 2)[1]
    assert days[:6] == [31, february, 31, 30, 31, 30]
    assert days[12:] == [31, monthrange(datetime.fromtimestamp(entries[13].at / 1000, UTC).year, 2)[1]]
    assert [entry.credits_millicredits for entry in entries] == [ALLOTMENT, *[0] * 13], "set, not added to"
    assert (await world.available())[1] == ALLOTMENT


async def test_r2_the_clock_moved_month_by_month_gives_the_same_journal(world: World) -> None:
    anchor = await a_31st(world)
    await world.subscribe(started_at=anchor)
    for month in range(1, 14):
        await world.advance_to(anniversary(anchor, month) - MINUTE)
        spent = await world.spend(1_100_000)  # of which 100 credits are free
        await world.finish(spent)
        assert (await world.available())[1] == ALLOTMENT - 1_000_000
        account = await world.advance_to(anniversary(anchor, month))
        assert account.available_millicredits[Bucket.SUBSCRIPTION] == ALLOTMENT
    assert len(await world.journal("ann", "refresh")) == 14


async def test_r2_the_29th_of_february_is_an_anchor_too(world: World) -> None:
    year = datetime.fromtimestamp((await world.account()).now / 1000, UTC).year
    leap = next(y for y in range(year + 1, year + 10) if y % 4 == 0)
    await world.advance_to(utc(f"{leap}-02-29 23:59"))
    anchor = (await world.subscribe(started_at=utc(f"{leap}-02-29 23:59"))).account.subscription
    assert anchor is not None
    await world.advance_to(anniversary(anchor.started_at, 49))
    at = [entry.at for entry in await world.journal("ann", "refresh")]
    assert at[1:] == [anniversary(anchor.started_at, month) for month in range(1, 50)]
    days = [datetime.fromtimestamp(moment / 1000, UTC).day for moment in at[-13:]]
    assert days == [29] * 11 + [29, 29], "the last but one is the next leap day"


async def test_r2_a_start_in_the_past_gives_the_current_cycle_and_one_allotment(world: World) -> None:
    anchor = await a_31st(world)
    await world.advance_to(anniversary(anchor, 3) + DAY)
    account = (await world.subscribe(started_at=anchor)).account
    assert account.available_millicredits[Bucket.SUBSCRIPTION] == ALLOTMENT
    assert account.subscription is not None
    assert account.subscription.cycle_started_at == anniversary(anchor, 3)
    assert account.subscription.refreshes_at == anniversary(anchor, 4)


async def test_a_refused_subscription_leaves_no_trace(world: World) -> None:
    now = (await world.account()).now
    await world.advance(3 * DAY)
    async with world.unchanged():
        refused: dict[str, dict[str, Any]] = {
            "unknown_plan": {"plan": "gold"},
            "starts_in_future": {"plan": "standard", "started_at": now + 9 * DAY},
            "paid_through_past": {"plan": "standard", "paid_through": now},
        }
        for reason, arguments in refused.items():
            outcome = await world.ledger.subscribe(
                account="ann", operation=operation_id(), interval=Interval.MONTHLY, **arguments
            )
            assert the(outcomes.Refused, outcome).reason == reason


async def test_r3_past_paid_through_the_credits_are_gone_and_the_plan_is_free(world: World) -> None:
    now = (await world.account(top_up=7_000)).now
    await world.subscribe(paid_through=now + 10 * DAY)
    await world.advance(10 * DAY - HOUR)
    assert (await world.available())[1] == ALLOTMENT
    account = await world.advance(HOUR)
    assert account.subscription is None
    assert account.available_millicredits == {Bucket.FREE: 100_000, Bucket.SUBSCRIPTION: 0, Bucket.TOP_UP: 7_000}
    [entry] = await world.journal("ann", "lapse")
    assert (entry.at, entry.credits_millicredits) == (now + 10 * DAY, -ALLOTMENT)
    assert isinstance(await world.reserve(pro=True), outcomes.SubscriptionRequired)


async def test_r3_refund_grants_survive_the_lapse(world: World) -> None:
    now = (await world.account()).now
    await world.subscribe(paid_through=now + 10 * DAY)
    generation = await world.spend(300_000)
    await world.advance(10 * DAY)
    await world.fail(generation)
    assert (await world.available())[1] == 200_000
    await world.advance(25 * HOUR)
    assert (await world.available())[1] == 0


async def test_r3_without_paid_through_it_renews_itself(world: World) -> None:
    await world.account(plan="standard")
    await world.advance(400 * DAY)
    assert (await world.available())[1] == ALLOTMENT


@pytest.mark.parametrize("interval", list(Interval))
async def test_r2_every_interval_has_monthly_cycles(world: World, interval: Interval) -> None:
    start = (await world.subscribe(interval=interval)).account.now
    await world.advance_to(anniversary(start, 4))
    assert len(await world.journal("ann", "refresh")) == 5


async def test_r12_a_renewal_mints_nothing_and_keeps_the_cycle(world: World) -> None:
    now = (await world.account()).now
    await world.subscribe(paid_through=now + 10 * DAY)
    await world.spend(1_000_000)
    before = await world.available()
    renewed = await world.subscribe(paid_through=now + 40 * DAY)
    assert await world.available() == before
    assert renewed.account.subscription is not None
    assert renewed.account.subscription.paid_through == now + 40 * DAY
    [entry] = await world.journal("ann", "change")
    assert (entry.credits_millicredits, entry.held_millicredits) == (0, 0)
    await world.advance(12 * DAY)
    assert (await world.look()).subscription is not None


async def test_r14_a_better_plan_promotes_who_waited(world: World) -> None:
    generations = [await world.spend(1_000, tool=tool) for tool in ("image",) * 5 + ("video",) * 3]
    applied = await world.subscribe()
    assert {dispatch.generation for dispatch in applied.promoted} == {*generations[2:5], *generations[6:]}
    assert (await world.look()).waiting == {}
    assert (await world.generation(generations[4])).state is State.QUEUED


async def test_r14_a_lapse_never_stops_what_is_in_work(world: World) -> None:
    now = (await world.account()).now
    await world.subscribe(paid_through=now + DAY)
    generations = [await world.spend(1_000) for _ in range(8)]
    await world.advance(2 * DAY)
    late = await world.spend(1_000)
    assert (await world.generation(late)).state is State.WAITING
    for generation in generations[:6]:
        assert (await world.finish(generation)).promoted == ()
    promoted = (await world.finish(generations[6])).promoted
    assert [dispatch.generation for dispatch in promoted] == [late]


async def test_a_plan_withdrawn_from_the_card_keeps_its_terms_for_who_has_it(world: World) -> None:
    await world.account(plan="standard")
    await world.account("bob")
    await world.publish(plans={"pro": POLICY.plans["pro"]})
    await world.advance(35 * DAY)
    assert (await world.available())[1] == ALLOTMENT
    states = [(await world.generation(await world.spend(1_000))).state for _ in range(9)]
    assert states == [State.QUEUED] * 8 + [State.WAITING]
    assert isinstance(await world.subscribe(), outcomes.Applied), "who has it may renew it"
    refused = await world.ledger.subscribe(account="bob", operation="x", plan="standard", interval=Interval.MONTHLY)
    assert the(outcomes.Refused, refused).reason == "unknown_plan"


async def test_r1_free_credits_without_subscription_only_from_the_next_reset(bare: World) -> None:
    await bare.publish(free_for_everyone=False)
    now = (await bare.account()).now
    await bare.spend(30_000)
    applied = await bare.subscribe(paid_through=now + 10 * DAY)
    assert applied.account.available_millicredits[Bucket.FREE] == 70_000
    await bare.advance(DAY)
    assert (await bare.available())[0] == 0
    await bare.advance(11 * DAY)
    assert (await bare.available())[0] == 100_000


async def test_r7_a_new_card_changes_allotments_from_the_next_cycle(world: World) -> None:
    start = (await world.account(plan="standard")).now
    await world.publish(plans={"standard": replace(POLICY.plans["standard"], monthly_millicredits=5_000)})
    assert (await world.available())[1] == ALLOTMENT
    await world.advance_to(anniversary(start, 1))
    assert (await world.available())[1] == 5_000
