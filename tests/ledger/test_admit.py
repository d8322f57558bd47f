"""`admit`: a key's requests a minute, counted once for all gateways."""

from __future__ import annotations

import asyncio

import pytest

from gateway.ledger import keys
from gateway.ledger.allowances import Admitted, Limited
from tests.ledger.world import World, the

KEY = f"key_{'a' * 32}"
OTHER = f"key_{'b' * 32}"
MINUTE_MS = 60_000


async def test_a_minutes_requests_may_come_at_once_and_no_more(world: World) -> None:
    remaining = [the(Admitted, await world.ledger.admit(key_id=KEY, per_minute=3)).remaining for _ in range(3)]
    assert remaining == [2, 1, 0]
    limited = the(Limited, await world.ledger.admit(key_id=KEY, per_minute=3))
    assert 0 < limited.retry_after_ms <= MINUTE_MS // 3
    assert MINUTE_MS * 2 // 3 < limited.whole_after_ms <= MINUTE_MS


async def test_a_refused_request_costs_nothing_and_leaves_nothing(world: World) -> None:
    await world.ledger.admit(key_id=KEY, per_minute=1)
    async with world.unchanged():
        for _ in range(5):
            the(Limited, await world.ledger.admit(key_id=KEY, per_minute=1))


async def test_the_allowance_refills_evenly_to_the_brim_and_is_forgotten_then(world: World) -> None:
    """At 600 a minute one request comes back every 100 ms."""
    await asyncio.gather(*(world.ledger.admit(key_id=KEY, per_minute=600) for _ in range(600)))
    while isinstance(outcome := await world.ledger.admit(key_id=KEY, per_minute=600), Admitted):
        assert outcome.remaining < 600
    await asyncio.sleep(outcome.retry_after_ms / 1000)
    the(Admitted, await world.ledger.admit(key_id=KEY, per_minute=600))
    slow = the(Admitted, await world.ledger.admit(key_id=OTHER, per_minute=6))
    assert slow.remaining == 5
    assert 0 < await world.redis.pttl(keys.rate(OTHER)) <= slow.whole_after_ms


async def test_each_key_has_its_own(world: World) -> None:
    the(Admitted, await world.ledger.admit(key_id=KEY, per_minute=1))
    the(Limited, await world.ledger.admit(key_id=KEY, per_minute=1))
    the(Admitted, await world.ledger.admit(key_id=OTHER, per_minute=1))


async def test_a_race_admits_exactly_as_many_as_the_limit(world: World) -> None:
    outcomes = await asyncio.gather(*(world.ledger.admit(key_id=KEY, per_minute=10) for _ in range(50)))
    assert sum(isinstance(outcome, Admitted) for outcome in outcomes) == 10


@pytest.mark.parametrize("per_minute", [1, 7, 59, 1_000_000])
async def test_any_limit_divides_the_minute(world: World, per_minute: int) -> None:
    outcome = the(Admitted, await world.ledger.admit(key_id=KEY, per_minute=per_minute))
    assert per_minute - 2 <= outcome.remaining <= per_minute - 1
    assert 0 < outcome.whole_after_ms <= -(-MINUTE_MS // per_minute)
    await world.redis.delete(keys.rate(KEY))  # or it may go of itself while the invariants read it


async def test_a_clock_that_was_set_back_costs_a_key_a_minute_at_most(world: World) -> None:
    """After a failover to a slower clock the allowance would be whole again only when that clock has caught up."""
    far_ahead = (await world.now() + 3_600_000) * 1000
    await world.redis.set(keys.rate(KEY), far_ahead, px=MINUTE_MS)
    limited = the(Limited, await world.ledger.admit(key_id=KEY, per_minute=60))
    assert limited.whole_after_ms <= MINUTE_MS
    assert limited.retry_after_ms <= 1000


async def test_a_lower_limit_holds_from_the_next_request_on(world: World) -> None:
    for _ in range(60):
        the(Admitted, await world.ledger.admit(key_id=KEY, per_minute=60))
    assert the(Limited, await world.ledger.admit(key_id=KEY, per_minute=2)).retry_after_ms <= MINUTE_MS // 2
