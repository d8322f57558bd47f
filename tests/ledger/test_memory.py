"""What a ledger says of servers that could keep generations smaller, and that ours keep them so."""

from __future__ import annotations

from tests.ledger.world import World, open_world
from tests.redis_servers import RedisCluster, RedisServer


async def test_a_finished_generation_is_one_compact_piece(world: World) -> None:
    generation = await world.running()
    await world.deliver(generation, 0)
    await world.settle(generation)
    assert await world.redis.object("encoding", world.ledger.generation_key(generation)) == b"listpack"


async def test_a_server_that_is_set_up_as_advised_gets_no_hint(world: World) -> None:
    assert await world.ledger.memory_warnings() == []


async def test_a_smaller_limit_is_a_hint_with_the_command_and_no_weakness(own_redis: RedisServer) -> None:
    with own_redis.client() as client:
        client.config_set("hash-max-listpack-value", 64)
    async with open_world(own_redis.url) as world:
        (sentence,) = await world.ledger.memory_warnings()
        assert sentence.startswith("hash-max-listpack-value is 64: ")
        assert "CONFIG SET hash-max-listpack-value 1024" in sentence
        assert await world.ledger.durability() == []


async def test_a_server_that_hides_the_setting_gets_no_hint(own_redis: RedisServer) -> None:
    with own_redis.client() as client:
        client.config_set("hash-max-listpack-value", 64)
        client.execute_command("ACL SETUSER default -config")
    async with open_world(own_redis.url) as world:
        assert await world.ledger.memory_warnings() == []


async def test_one_master_of_a_cluster_is_enough_for_a_hint(cluster_servers: RedisCluster, cluster_url: str) -> None:
    async with open_world(cluster_url) as world:
        with cluster_servers.nodes[1].client() as client:
            client.config_set("hash-max-listpack-value", 64)
            try:
                assert len(await world.ledger.memory_warnings()) == 1
            finally:
                client.config_set("hash-max-listpack-value", 1024)
