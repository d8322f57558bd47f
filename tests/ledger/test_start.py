"""What a ledger checks before anybody uses it, and what happens when it does not answer (R21)."""

from __future__ import annotations

import pytest

from gateway.errors import LedgerBroken, LedgerUnavailable
from gateway.ledger import keys
from gateway.ledger.ledger import REBUILDING, SCHEMA_VERSION, Ledger
from gateway.redis_link.connections import connect_ledger
from tests.ledger.world import PARTITIONS, World, open_world
from tests.redis_servers import RedisServer


async def test_a_started_ledger_may_be_started_again(world: World) -> None:
    await world.ledger.start()
    await world.ledger.ping()


@pytest.mark.parametrize(
    ("found", "says"),
    [
        (f"{SCHEMA_VERSION + 1},{PARTITIONS}", f"schema version {SCHEMA_VERSION + 1}, this Farebox supports"),
        (f"{REBUILDING},{PARTITIONS}", "the ledger is being rebuilt"),
        (
            f"{SCHEMA_VERSION},{PARTITIONS * 2}",
            f"{PARTITIONS * 2} partitions, but this Farebox is configured for {PARTITIONS}",
        ),
    ],
)
async def test_another_schema_or_number_of_partitions_refuses_to_start(world: World, found: str, says: str) -> None:
    await world.redis.set(keys.META, found)
    with pytest.raises(LedgerBroken, match=says):
        await world.ledger.start()


async def test_a_durable_ledger_has_no_weaknesses(world: World) -> None:
    assert await world.ledger.durability() == []


async def test_r21_a_ledger_that_does_not_answer_is_unavailable_and_recovers_by_itself(own_redis: RedisServer) -> None:
    ledger = Ledger(connect_ledger(own_redis.url), partitions=PARTITIONS)
    try:
        await ledger.start()
        await ledger.publish(World(ledger).policy)
        world = World(ledger)
        await world.account()
        generation = await world.spend()
        own_redis.kill()
        for asked in (world.reserve(), ledger.ping(), ledger.totals(), ledger.find_key(key="x"), ledger.start()):
            with pytest.raises(LedgerUnavailable):
                await asked
        own_redis.start()
        assert (await world.generation(generation)).id == generation, "what was answered is on disk"
        assert await world.held() == 10_000
    finally:
        await ledger.close()


async def test_r21_scripts_that_take_credits_stop_when_memory_is_full_and_those_that_free_them_go_on(
    own_redis: RedisServer,
) -> None:
    async with open_world(own_redis.url) as world:
        await world.account()
        generation = await world.running()
        waiting = await world.spend()
        with own_redis.client() as client:
            client.config_set("maxmemory", 1)
        with pytest.raises(LedgerUnavailable):
            await world.reserve()
        await world.ledger.renew(generation=generation, attempt=1)
        await world.deliver(generation, 0)
        await world.settle(generation)
        await world.ledger.cancel(generation=waiting)
        assert await world.held() == 0
        with own_redis.client() as client:
            client.config_set("maxmemory", 0)
