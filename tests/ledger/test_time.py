"""`time`: the clock that decides about credits is Redis's own."""

from __future__ import annotations

from tests.ledger.world import open_world


async def test_the_ledgers_time_is_its_redis_servers(ledger_url: str) -> None:
    async with open_world(ledger_url) as world, world.unchanged():
        before = await world.redis_now()
        assert before <= await world.ledger.time() <= await world.redis_now()
