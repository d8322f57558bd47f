"""Alerts: one entry each time that the credits fall to a part of the monthly allotment."""

from __future__ import annotations

from fractions import Fraction

import pytest

from gateway.domain import operation_id
from gateway.ledger import outcomes
from tests.ledger.test_subscribe import anniversary
from tests.ledger.world import DAY, World, the
from tests.payments.shop import buy, pay

ALLOTMENT = 8_000_000


@pytest.fixture
async def world(bare: World) -> World:
    """Ann has the plan standard, 8,000 credits and nothing free."""
    await bare.publish(daily_millicredits=0)
    await bare.account(plan="standard")
    return bare


async def started_at(world: World) -> int:
    """When ann's subscription started."""
    subscription = (await world.look()).subscription
    assert subscription is not None
    return subscription.started_at


async def reasons(world: World) -> list[str | None]:
    """What the alerts of ann's journal say."""
    return [entry.reason for entry in await world.journal("ann", "alert")]


async def set_alerts(world: World, *thousandths: int, operation: str = "") -> outcomes.Account:
    """New thresholds."""
    made = await world.ledger.set_alerts(account="ann", operation=operation or operation_id(), thousandths=thousandths)
    return the(outcomes.Applied, made).account


async def test_an_alert_is_written_when_a_fifth_is_left_and_when_nothing_is(world: World) -> None:
    await world.spend(6_399_999)
    assert await reasons(world) == []
    await world.spend(1)
    assert await reasons(world) == ["20 % of 8000 reached, 1600 left"]
    await world.spend(1_599_999)
    assert len(await reasons(world)) == 1, "once, until it rises again"
    await world.spend(1)
    assert await reasons(world) == ["20 % of 8000 reached, 1600 left", "0 % of 8000 reached, 0 left"]


async def test_an_alert_moves_no_credits_and_comes_after_what_caused_it(world: World) -> None:
    await world.spend(7_000_000)
    reserve, alert = (await world.journal())[-2:]
    assert (reserve.kind, alert.kind) == ("reserve", "alert")
    assert (alert.credits_millicredits, alert.held_millicredits, alert.generation) == (0, 0, None)
    assert alert.available_after_millicredits == reserve.available_after_millicredits == 1_000_000


async def test_two_thresholds_crossed_at_once_are_two_entries(world: World) -> None:
    await world.spend(ALLOTMENT)
    assert await reasons(world) == ["20 % of 8000 reached, 0 left", "0 % of 8000 reached, 0 left"]


async def test_a_threshold_that_was_left_again_can_be_reached_again(world: World) -> None:
    generation = await world.spend(7_000_000)
    await world.fail(generation)
    assert len(await reasons(world)) == 1, "rising says nothing"
    await world.spend(7_500_000)
    assert len(await reasons(world)) == 2


async def test_a_new_cycle_arms_the_thresholds_again(world: World) -> None:
    start = await started_at(world)
    await world.finish(await world.spend(7_000_000))
    await world.advance_to(anniversary(start, 1))
    await world.finish(await world.spend(7_000_000))
    assert await reasons(world) == ["20 % of 8000 reached, 1000 left"] * 2


async def test_a_daily_reset_at_nothing_left_arms_the_last_threshold_only(bare: World) -> None:
    await bare.account(plan="standard")
    await bare.finish(await bare.spend(100_000 + ALLOTMENT))
    await bare.advance(DAY)
    await bare.finish(await bare.spend(100_000))
    assert [str(reason).split()[0] for reason in await reasons(bare)] == ["20", "0", "0"]


async def test_all_that_is_available_counts_also_top_ups(world: World) -> None:
    await world.grant(amount=5_000_000)
    await world.spend(ALLOTMENT)
    assert await reasons(world) == []
    await world.spend(3_400_000)
    assert await reasons(world) == ["20 % of 8000 reached, 1600 left"]


async def test_an_unseen_expiry_is_found_by_the_next_read(world: World) -> None:
    start = await started_at(world)
    await world.grant(amount=2_000_000, expires_at=start + 3 * DAY)
    await world.spend(ALLOTMENT)
    assert await reasons(world) == []
    await world.advance(5 * DAY)
    assert [entry.kind for entry in await world.journal()][-3:] == ["expire", "alert", "alert"]


async def test_a_returned_purchase_can_cross_too(world: World) -> None:
    checkout = await buy(world, millicredits=ALLOTMENT)
    await pay(world, checkout)
    await world.spend(ALLOTMENT)
    await world.ledger.take_back(account="ann", checkout=checkout.id, part=Fraction(1))
    assert [entry.kind for entry in await world.journal()][-3:] == ["revoke", "alert", "alert"]


async def test_without_a_subscription_there_are_no_alerts(bare: World) -> None:
    await bare.account(top_up=50_000)
    await bare.spend(150_000)
    assert await reasons(bare) == []


async def test_a_lapse_ends_the_alerts_and_a_new_subscription_starts_them_afresh(world: World) -> None:
    start = await started_at(world)
    await world.finish(await world.spend(ALLOTMENT))
    await world.ledger.unsubscribe(account="ann", operation="x")
    account = await world.advance_to(anniversary(start, 1))
    assert account.alerted_thousandths == ()
    await world.subscribe()
    await world.spend(ALLOTMENT)
    assert len(await reasons(world)) == 4


@pytest.mark.cluster
async def test_an_account_has_thresholds_of_its_own_or_none(world: World) -> None:
    assert (await world.look()).alerts_thousandths == (200, 0)
    assert (await set_alerts(world, 5, 500)).alerts_thousandths == (500, 5)
    await world.spend(4_000_000)
    await world.spend(3_960_000)
    assert await reasons(world) == ["50 % of 8000 reached, 4000 left", "0.5 % of 8000 reached, 40 left"]
    assert (await set_alerts(world)).alerts_thousandths == ()
    await world.spend(40_000)
    assert len(await reasons(world)) == 2


async def test_a_threshold_set_above_what_is_left_was_not_crossed(world: World) -> None:
    await world.spend(3_000_000)
    account = await set_alerts(world, 900, 500)
    assert account.alerted_thousandths == (900,)
    assert await reasons(world) == []
    await world.spend(1_000_000)
    assert await reasons(world) == ["50 % of 8000 reached, 4000 left"]


async def test_exact_also_at_the_largest_allotment(bare: World) -> None:
    """A third of a thousandth of an allotment is a fraction of a millicredit: it is rounded down, never up."""
    largest = 9_000_000_000_000 - 1
    await bare.publish(daily_millicredits=0)
    plans = {"standard": bare.policy.plans["standard"]}
    await bare.publish(
        plans={name: type(terms)(monthly_millicredits=largest, max_waiting=9) for name, terms in plans.items()}
    )
    await bare.account(plan="standard")
    await set_alerts(bare, 999)
    at = largest * 999 // 1000
    await bare.spend(largest - at - 1)
    assert await reasons(bare) == []
    await bare.spend(1)
    assert len(await reasons(bare)) == 1


async def test_r11_thresholds_sent_twice_are_set_once(world: World) -> None:
    await set_alerts(world, 500, operation="one")
    await set_alerts(world, operation="two")
    assert (await set_alerts(world, 500, operation="one")).alerts_thousandths == ()


async def test_an_unknown_account_has_no_thresholds(world: World) -> None:
    made = await world.ledger.set_alerts(account="nobody", operation="x", thousandths=(200,))
    assert isinstance(made, outcomes.NotFound)
