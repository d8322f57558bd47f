"""What a ledger says of its servers: settings weaker than durable, memory, replicas; each with the way to mend it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from gateway.errors import LedgerFull, ReplicasMissing
from gateway.ledger.ledger import Ledger
from gateway.redis_link.connections import connect_ledger
from tests.free_ports import free_port
from tests.ledger.world import PARTITIONS, World, open_world
from tests.redis_servers import RedisCluster, RedisServer

WEAKER = {"appendonly": "no", "appendfsync": "everysec", "maxmemory-policy": "allkeys-lru"}


@pytest.mark.parametrize(("setting", "value"), WEAKER.items())
async def test_each_weaker_setting_is_named_with_its_value_and_the_way_to_mend_it(
    own_redis: RedisServer, setting: str, value: str
) -> None:
    with own_redis.client() as client:
        wanted = client.config_get(setting)[setting]
        client.config_set(setting, value)
    async with open_world(own_redis.url) as world:
        (sentence,) = await world.ledger.durability()
        assert sentence.startswith(f"{setting} is `{value}` instead of `{wanted}`: ")
        assert f"CONFIG SET {setting} {wanted}" in sentence
        with own_redis.client() as client:
            client.config_set(setting, wanted)
        assert await world.ledger.durability() == []


async def test_one_weak_master_of_a_cluster_is_enough(cluster_servers: RedisCluster, world_on_cluster: World) -> None:
    node = cluster_servers.nodes[1]
    with node.client() as client:
        client.config_set("appendfsync", "no")
        try:
            failover, sentence = await world_on_cluster.ledger.durability()
        finally:
            client.config_set("appendfsync", "always")
    assert sentence.startswith("appendfsync is `no` instead of `always`")
    assert "the ledger is a cluster: a failover loses acknowledged writes" in failover
    assert "set FAREBOX_WAIT_REPLICAS=1" in failover


async def test_a_cluster_that_stops_as_a_whole_is_hinted_at(
    cluster_servers: RedisCluster, world_on_cluster: World
) -> None:
    (hint,) = await world_on_cluster.ledger.failover_hints()
    assert hint.startswith("cluster-require-full-coverage is `yes`")
    for value in ("no", "yes"):
        for node in cluster_servers.nodes:
            with node.client() as client:
                client.config_set("cluster-require-full-coverage", value)
        assert bool(await world_on_cluster.ledger.failover_hints()) is (value == "yes")


@pytest.fixture
async def world_on_cluster(cluster_url: str) -> AsyncIterator[World]:
    """A ledger on the cluster."""
    async with open_world(cluster_url) as made:
        yield made


async def test_hidden_settings_are_reported_as_unverified(
    own_redis: RedisServer,
) -> None:
    """Rented Redis often forbids CONFIG. INFO then tells of two settings, and the third stays unknown."""
    with own_redis.client() as client:
        client.execute_command("ACL SETUSER renter on >secret ~* &* +@all -config")
        client.config_set("maxmemory-policy", "allkeys-lru")
    ledger = Ledger(connect_ledger(f"redis://renter:secret@127.0.0.1:{own_redis.port}"), partitions=PARTITIONS)
    try:
        unverified, weak = await ledger.durability()
        assert unverified.startswith("appendfsync cannot be verified: the server does not allow CONFIG GET")
        assert weak.startswith("maxmemory-policy is `allkeys-lru` instead of `noeviction`")
        with own_redis.client() as client:
            client.execute_command("ACL SETUSER renter -info")
        assert [sentence.split(":")[0] for sentence in await ledger.durability()] == [
            f"{setting} cannot be verified" for setting in sorted(WEAKER)
        ]
        assert await ledger.shortages() == []
    finally:
        await ledger.close()


async def test_a_full_memory_is_a_shortage_and_no_weakness(own_redis: RedisServer) -> None:
    async with open_world(own_redis.url) as world:
        with own_redis.client() as client:
            client.config_set("maxmemory", 1)
        (sentence,) = await world.ledger.shortages()
        assert "memory is full" in sentence
        assert await world.ledger.durability() == []
        with pytest.raises(LedgerFull):
            await world.account()
        with own_redis.client() as client:
            client.config_set("maxmemory", 0)
        assert await world.ledger.shortages() == []


async def test_a_failover_that_may_lose_what_was_acknowledged_is_said_to(own_redis: RedisServer) -> None:
    """Sentinel promotes a replica whether or not it has everything; only waiting for it makes that no loss."""
    port = free_port()
    config = own_redis.directory / "sentinel.conf"
    config.write_text(f"sentinel monitor main 127.0.0.1 {own_redis.port} 1\n")
    sentinel = RedisServer(own_redis.directory / "sentinel", port=port, sentinel_config=config)
    sentinel.start()
    url = f"redis+sentinel://127.0.0.1:{port}/main"
    alone = Ledger(connect_ledger(url), partitions=PARTITIONS)
    waiting = Ledger(connect_ledger(url), partitions=PARTITIONS, wait_replicas=1)
    try:
        (sentence,) = await alone.durability()
        assert "a failover loses acknowledged writes" in sentence
        assert await waiting.durability() == []
        with pytest.raises(ReplicasMissing):
            await waiting.start()
    finally:
        await alone.close()
        await waiting.close()
        sentinel.stop()
