"""`time`: the clock that decides about credits is Redis's own."""

from __future__ import annotations

from tests.ledger.world import World


async def test_the_ledgers_time_is_its_redis_servers(world: World) -> None:
    before = await world.now()
    contents = await world.contents()
    assert before <= await world.ledger.time() <= await world.now()
    assert await world.contents() == contents
