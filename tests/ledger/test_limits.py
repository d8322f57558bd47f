"""R26: what a key may spend in a day, a week, a month or ever; checked and counted in `reserve`'s own script."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import pytest

from gateway.domain import FailureCode, LimitPeriod, Scope, State
from gateway.ledger import keys, outcomes
from gateway.ledger.accounts import key_id_of
from gateway.ledger.key_records import AccountKey, BoundsChange, KeyRecord
from gateway.ledger.limits import Limit, LimitReached, period_start, resets_at, today
from gateway.ledger.policy_of_card import zone_changes
from tests.ledger.world import DAY, FREE, HOUR, TERMS, World, the, utc

SECRET = "fbx_a-made-up-key"
KEY = key_id_of(SECRET)
WEDNESDAY = utc("2031-10-15 09:00")


async def limited(world: World, millicredits: int = 30_000, period: LimitPeriod = LimitPeriod.DAILY) -> str:
    """An account with a key that may spend so much, on a Wednesday."""
    await world.account(top_up=1_000_000)
    await world.advance_to(WEDNESDAY)
    limit = Limit(millicredits, period)
    the(
        AccountKey,
        await world.ledger.add_key(key=SECRET, scope=Scope.ACCOUNT, account="ann", label=None, limit=limit),
    )
    return KEY


async def used(world: World, period: LimitPeriod = LimitPeriod.DAILY) -> int:
    account = await world.look()
    (key,) = account.keys
    return key.counter.used_millicredits(period, today(account.now, "UTC", account.day)) if key.counter else 0


@pytest.mark.cluster
@pytest.mark.parametrize(
    ("period", "begins_anew"),
    [
        (LimitPeriod.DAILY, utc("2031-10-16 00:00")),
        (LimitPeriod.WEEKLY, utc("2031-10-20 00:00")),
        (LimitPeriod.MONTHLY, utc("2031-11-01 00:00")),
        (LimitPeriod.NEVER, None),
    ],
)
async def test_a_reached_limit_refuses_until_its_period_is_over(
    world: World, period: LimitPeriod, begins_anew: int | None
) -> None:
    key = await limited(world, 30_000, period)
    for _ in range(2):
        await world.spend(14_000, key=key)
    before = await world.contents()
    refused = the(LimitReached, await world.reserve(price=3_000, key=key))
    assert refused == LimitReached("key", Limit(30_000, period), 28_000, begins_anew)
    assert await world.contents() == before, "a refusal leaves no trace"
    await world.spend(2_000, key=key)
    if begins_anew is None:
        await world.advance(400 * DAY)
        assert the(LimitReached, await world.reserve(price=1, key=key)).used_millicredits == 30_000
    else:
        await world.advance_to(begins_anew - HOUR)
        the(LimitReached, await world.reserve(price=1, key=key))
        await world.advance_to(begins_anew)
        await world.spend(30_000, key=key)


async def test_what_counts_is_held_and_committed(world: World) -> None:
    key = await limited(world, 60_000)
    await world.publish(free=replace(FREE, concurrency={"image": 5}))
    whole = await world.spend(10_000, key=key)
    part = await world.spend(9_000, key=key, outputs=3)
    assert await used(world) == 19_000
    await world.finish(whole)
    assert await used(world) == 19_000
    await world.finish(part, delivered=1)
    assert await used(world) == 13_000
    others = [await world.spend(10_000, key=key) for _ in range(4)]
    assert await used(world) == 53_000
    await world.ledger.cancel(generation=others.pop())
    await world.fail(others.pop(0))
    assert await used(world) == 33_000
    lapsed = await world.running(10_000, key=key, terms=replace(TERMS, attempts_max=1))
    await world.pass_time(lapsed, HOUR)
    assert the(outcomes.Ended, await world.rescue(lapsed)).generation.state is State.FAILED
    assert await used(world) == 33_000
    assert (await world.generation(lapsed)).key == key


async def test_a_refund_after_midnight_makes_room_in_yesterday_and_not_today(world: World) -> None:
    key = await limited(world, 30_000)
    late = await world.spend(30_000, key=key)
    await world.advance_to(utc("2031-10-16 00:00"))
    assert await used(world) == 0
    today_ = await world.spend(20_000, key=key)
    await world.fail(late)
    assert await used(world) == 20_000
    assert await used(world, LimitPeriod.WEEKLY) == 20_000, "both days are in one week"
    the(LimitReached, await world.reserve(price=10_001, key=key))
    await world.fail(today_)
    assert await used(world) == 0


@pytest.mark.cluster
async def test_a_refund_after_the_limit_was_changed_still_makes_room(world: World) -> None:
    key = await limited(world, 30_000)
    made = await world.spend(30_000, key=key)
    changed = await world.ledger.change_key(account="ann", key_id=key, limit=Limit(40_000, LimitPeriod.MONTHLY))
    assert the(outcomes.Account, changed).keys[0].limit == Limit(40_000, LimitPeriod.MONTHLY)
    the(LimitReached, await world.reserve(price=10_001, key=key))
    await world.fail(made)
    await world.spend(40_000, key=key)
    unlimited = await world.ledger.change_key(account="ann", key_id=key, limit="none")
    assert the(outcomes.Account, unlimited).keys[0].limit is None
    await world.spend(40_000, key=key)
    lowered = await world.ledger.change_key(account="ann", key_id=key, limit=Limit(1, LimitPeriod.DAILY))
    assert the(outcomes.Account, lowered).keys[0].limit == Limit(1, LimitPeriod.DAILY)
    assert the(LimitReached, await world.reserve(price=1, key=key)).used_millicredits == 80_000
    await world.spend(0, key=key)


async def test_an_empty_pool_outranks_a_reached_limit_which_outranks_a_full_waiting_room(world: World) -> None:
    key = await limited(world, 5_000)
    await world.publish(free=replace(FREE, concurrency={"image": 1}, max_waiting=1))
    for _ in range(2):
        await world.spend(2_000, key=key)
    the(outcomes.WaitingRoomFull, await world.reserve(price=1_000, key=key))
    the(LimitReached, await world.reserve(price=1_001, key=key))
    the(outcomes.InsufficientCredits, await world.reserve(price=10_000_000, key=key))
    the(outcomes.SubscriptionRequired, await world.reserve(price=10_000_000, key=key, pro=True))


async def test_one_key_knows_nothing_of_another_and_without_a_key_nothing_is_counted(world: World) -> None:
    key = await limited(world, 10_000)
    other = the(AccountKey, await world.ledger.add_key(key="fbx_other", scope=Scope.ACCOUNT, account="ann", label=None))
    await world.spend(50_000, key=other.id)
    await world.spend(50_000)
    await world.spend(10_000, key=key)
    the(LimitReached, await world.reserve(price=1, key=key))
    counters = {one.id: one.counter for one in (await world.look()).keys}
    assert counters[other.id] is not None, "a key without a limit is counted, too: it may have one tomorrow"


async def test_a_retry_of_a_reserved_generation_is_no_second_one(world: World) -> None:
    key = await limited(world, 10_000)
    made = await world.spend(10_000, key=key, idempotency=("k", "b"))
    again = await world.reserve(price=10_000, key=key, idempotency=("k", "b"))
    assert the(outcomes.Replayed, again).generation.id == made
    assert await used(world) == 10_000


async def test_a_revoked_key_leaves_nothing_and_its_generations_end(world: World) -> None:
    key = await limited(world, 10_000)
    made = await world.running(10_000, key=key)
    assert await world.ledger.revoke_key(key_id=key, account="ann")
    fields = await world.redis.hkeys(keys.account(int(made[4:6], 16), "ann"))
    assert not [name for name in fields if key.encode() in name]
    ended = await world.settle(made, FailureCode.PROVIDER_REJECTED)
    assert the(outcomes.Ended, ended).generation.refunded_millicredits == 10_000
    assert isinstance(await world.ledger.change_key(account="ann", key_id=key, label="x"), outcomes.NotFound)


@pytest.mark.cluster
async def test_a_rotation_made_twice_makes_one_successor_and_refunds_make_room_for_both(world: World) -> None:
    key = await limited(world, 10_000)
    made = await world.running(6_000, key=key)
    asked: dict[str, Any] = {"account": "ann", "key_id": key, "overlap_ms": HOUR}
    first = the(outcomes.Account, await world.ledger.rotate_key(successor="fbx_next", **asked))
    assert the(outcomes.Account, await world.ledger.rotate_key(successor="fbx_next", **asked)).keys == first.keys
    refused = the(outcomes.Refused, await world.ledger.rotate_key(successor="fbx_third", **asked))
    assert (refused.reason, refused.detail) == ("already_rotated", key_id_of("fbx_next"))
    assert [one.limit for one in first.keys] == [Limit(10_000, LimitPeriod.DAILY)] * 2
    the(KeyRecord, await world.ledger.find_key(key="fbx_next"))
    the(LimitReached, await world.reserve(price=5_000, key=key_id_of("fbx_next")))
    await world.settle(made, FailureCode.PROVIDER_REJECTED)
    await world.spend(9_000, key=key_id_of("fbx_next"))
    assert await world.ledger.revoke_key(key_id=key, account="ann")
    the(LimitReached, await world.reserve(price=2_000, key=key_id_of("fbx_next")))


async def test_a_key_is_rotated_again_if_its_successor_was_revoked_and_whatever_bound_is_null(world: World) -> None:
    """A successor whose secret was lost is revoked; its key's line, and what was counted, goes on."""
    await world.account(top_up=100_000)
    bounds: BoundsChange = {"tools": None, "expires_at": None}
    limit = Limit(10_000, LimitPeriod.NEVER)
    await world.ledger.add_key(key=SECRET, scope=Scope.ACCOUNT, account="ann", label=None, limit=limit, bounds=bounds)
    await world.spend(6_000, key=KEY)
    asked: dict[str, Any] = {"account": "ann", "key_id": KEY, "overlap_ms": HOUR}
    the(outcomes.Account, await world.ledger.rotate_key(successor="fbx_lost", **asked))
    assert await world.ledger.revoke_key(key_id=key_id_of("fbx_lost"), account="ann")
    the(outcomes.Refused, await world.ledger.rotate_key(successor="fbx_lost", **asked))
    rotated = the(outcomes.Account, await world.ledger.rotate_key(successor="fbx_next", **asked))
    assert {one.id for one in rotated.keys} == {KEY, key_id_of("fbx_next")}
    the(LimitReached, await world.reserve(price=5_000, key=key_id_of("fbx_next")))


async def test_a_card_with_another_time_zone_takes_effect_when_the_day_has_ended(world: World) -> None:
    """A day never begins again: it is over in Auckland while 23 hours of it are to come in Honolulu, and is one day."""
    key = await limited(world, 10_000)
    for zone, ends in (("Pacific/Auckland", "2031-10-16 00:00"), ("Pacific/Honolulu", "2031-10-17 10:00")):
        await world.spend(10_000, key=key)
        await world.publish(timezone=zone, zone_changes=tuple(zone_changes(zone, WEDNESDAY)))
        await world.advance_to(utc(ends) - HOUR)
        the(LimitReached, await world.reserve(price=1, key=key))
        await world.advance_to(utc(ends))


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "America/Havana", "Pacific/Apia"])
def test_what_is_shown_of_a_period_is_what_the_calendar_says(zone: str) -> None:
    wednesday = date(2031, 10, 15)
    starts = [period_start(period, wednesday).isoformat() for period in LimitPeriod]
    assert starts == ["2031-10-15", "2031-10-13", "2031-10-01", "1970-01-01"]
    for period in LimitPeriod:
        at = resets_at(period, wednesday, zone)
        if at is not None:
            assert today(at, zone, None) > today(at - 1, zone, None), zone
            assert period_start(period, today(at, zone, None)) == today(at, zone, None)
    assert resets_at(LimitPeriod.NEVER, wednesday, zone) is None
    assert today(0, zone, (22_000, 1)) == today(0, zone, (22_000, 0)) == datetime(2030, 3, 27, tzinfo=UTC).date()


@pytest.mark.parametrize("outcome", ["reserved", "refused"])
async def test_counting_costs_no_command(world: World, outcome: str) -> None:
    """The counter is a field of the account, which `reserve` reads and writes anyway."""

    async def commands(key: str | None) -> int:
        before = (await world.redis.info("commandstats")).items()
        await world.reserve(price=1_000 if outcome == "reserved" else 10_000_000, key=key)
        after = (await world.redis.info("commandstats")).items()
        calls = [sum(stats["calls"] for name, stats in found if name != "cmdstat_info") for found in (before, after)]
        return int(calls[1] - calls[0])

    key = await limited(world)
    await world.publish(free=replace(FREE, concurrency={"image": 5}))
    await world.spend(1_000, key=key)  # the day has been looked up
    assert await commands(key) == await commands(None)
