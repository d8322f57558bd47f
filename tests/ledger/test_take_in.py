"""`take_in`: how much an account may send ahead in a day, counted once for all gateways."""

from __future__ import annotations

import asyncio

import pytest

from gateway.ledger import keys
from gateway.ledger.allowances import Admitted, Limited
from tests.ledger.world import World, the

DAY_MS = 86_400_000
GIB = 1024 * 1024  # in KiB, as everything here


async def test_a_days_allowance_may_come_at_once_and_no_more(world: World) -> None:
    for remaining in (60, 20):
        taken = the(Admitted, await world.ledger.take_in(account="acme", per_day=100, size=40))
        assert remaining <= taken.remaining <= remaining + 1
    limited = the(Limited, await world.ledger.take_in(account="acme", per_day=100, size=40))
    assert DAY_MS // 5 - 60_000 < limited.retry_after_ms <= DAY_MS // 5
    the(Admitted, await world.ledger.take_in(account="acme", per_day=100, size=20))


async def test_what_is_refused_costs_nothing_and_leaves_nothing(world: World) -> None:
    await world.ledger.take_in(account="acme", per_day=100, size=100)
    async with world.unchanged():
        for _ in range(5):
            the(Limited, await world.ledger.take_in(account="acme", per_day=100, size=1))


async def test_the_allowance_comes_back_evenly_and_the_key_goes_when_all_of_it_is_there(world: World) -> None:
    """At a hundred KiB a day, one comes back every 864 seconds."""
    the(Admitted, await world.ledger.take_in(account="acme", per_day=100, size=100))
    limited = the(Limited, await world.ledger.take_in(account="acme", per_day=100, size=1))
    assert 0 < limited.retry_after_ms <= DAY_MS // 100
    whole_at = int(await world.redis.get(keys.taken_in("acme")))
    await world.redis.set(keys.taken_in("acme"), whole_at - limited.retry_after_ms)  # as if so much time had passed
    the(Admitted, await world.ledger.take_in(account="acme", per_day=100, size=1))
    half = the(Admitted, await world.ledger.take_in(account="other", per_day=100, size=50))
    assert 0 < await world.redis.pttl(keys.taken_in("other")) <= half.whole_after_ms


async def test_each_account_has_its_own(world: World) -> None:
    the(Admitted, await world.ledger.take_in(account="acme", per_day=10, size=10))
    the(Limited, await world.ledger.take_in(account="acme", per_day=10, size=10))
    the(Admitted, await world.ledger.take_in(account="other", per_day=10, size=10))


async def test_a_race_admits_exactly_as_much_as_the_limit(world: World) -> None:
    outcomes = await asyncio.gather(*(world.ledger.take_in(account="acme", per_day=1000, size=100) for _ in range(50)))
    assert sum(isinstance(outcome, Admitted) for outcome in outcomes) == 10


@pytest.mark.parametrize(("per_day", "size"), [(GIB // 10, 51_200), (10 * GIB, 51_200), (1_000_000 * GIB, 0)])
async def test_every_allowance_that_can_be_set_takes_the_largest_file_and_the_smallest(
    world: World, per_day: int, size: int
) -> None:
    taken = the(Admitted, await world.ledger.take_in(account="acme", per_day=per_day, size=size))
    # What a file costs is rounded up to a millisecond of the day.
    assert per_day - size - per_day // DAY_MS - 1 <= taken.remaining <= per_day - size


async def test_a_clock_that_was_set_back_costs_an_account_a_day_at_most(world: World) -> None:
    far_ahead = await world.now() + 30 * DAY_MS
    await world.redis.set(keys.taken_in("acme"), far_ahead, px=DAY_MS)
    limited = the(Limited, await world.ledger.take_in(account="acme", per_day=100, size=1))
    assert limited.whole_after_ms <= DAY_MS
