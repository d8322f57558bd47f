"""FAREBOX_WAIT_REPLICAS behind Sentinel: a failover loses nothing that was acknowledged."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway.domain import generation_id, partition_of_account
from gateway.errors import LedgerUnavailable
from gateway.ledger import outcomes
from gateway.ledger.ledger import Ledger
from gateway.redis_link.connections import connect_ledger
from tests.free_ports import free_port
from tests.invariants.checks import check_invariants
from tests.ledger.test_replicas import ROOMY, is_master, made, patient, until_confirmed
from tests.ledger.world import PARTITIONS, POLICY, World, the
from tests.redis_servers import RedisServer
from tests.until import until


@pytest.fixture
def sentinels(own_redis: RedisServer, replica: RedisServer, tmp_path: Path) -> Iterator[list[RedisServer]]:
    """Two Sentinels, which both have to agree."""
    assert replica.answers()
    made = []
    try:
        for number in range(2):
            port, config = free_port(), tmp_path / f"sentinel-{number}.conf"
            config.write_text(
                f"sentinel monitor main 127.0.0.1 {own_redis.port} 2\n"
                "sentinel down-after-milliseconds main 1000\nsentinel failover-timeout main 5000\n"
            )
            made.append(RedisServer(tmp_path / f"sentinel-{number}", port=port, sentinel_config=config))
            made[-1].start()
        yield made
    finally:
        for sentinel in made:
            sentinel.stop()


async def until_known(sentinels: list[RedisServer]) -> None:
    """Return when they know each other, and the replica."""
    asking: Any
    with contextlib.closing(sentinels[0].client()) as asking:
        await until(lambda: asking.sentinel_master("main")["num-other-sentinels"] == 1)
        await until(lambda: len(asking.sentinel_slaves("main")) == 1)


def ledger_behind(sentinels: list[RedisServer]) -> Ledger:
    names = ",".join(f"127.0.0.1:{sentinel.port}" for sentinel in sentinels)
    return Ledger(connect_ledger(f"redis+sentinel://{names}/main"), partitions=PARTITIONS, wait_replicas=1)


async def test_a_sentinel_that_is_not_named_is_a_weakness(sentinels: list[RedisServer]) -> None:
    await until_known(sentinels)
    ledger = ledger_behind(sentinels[:1])
    try:
        (sentence,) = await ledger.durability()
        assert sentence.startswith("the ledger's URL names 1 of 2 Sentinels")
    finally:
        await ledger.close()


async def test_what_was_acknowledged_is_there_after_sentinel_has_failed_over(
    sentinels: list[RedisServer], own_redis: RedisServer, replica: RedisServer
) -> None:
    await until_known(sentinels)
    ledger = ledger_behind(sentinels)
    world = World(ledger, replace(POLICY, daily_millicredits=0, free=ROOMY))
    acknowledged: set[str] = set()
    stop = asyncio.Event()

    async def client() -> None:
        while not stop.is_set():
            generation = generation_id(partition_of_account("ann", PARTITIONS))
            while generation not in acknowledged:  # a client repeats its request until it is answered
                with contextlib.suppress(LedgerUnavailable):
                    made(await world.reserve(price=1, generation=generation))
                    acknowledged.add(generation)
                    await asyncio.sleep(0.02)  # the account has room for 2,000

    try:
        assert await ledger.durability() == []
        await until_confirmed(ledger)
        with patient():
            await ledger.publish(world.policy)
            await world.account(top_up=1_000_000)
        clients = [asyncio.create_task(client()) for _ in range(4)]
        await until(lambda: len(acknowledged) >= 40)
        own_redis.kill()
        await until(lambda: is_master(replica))
        own_redis.options = ("--replicaof", "127.0.0.1", str(replica.port))
        own_redis.start()
        until_then = len(acknowledged)
        await until(lambda: len(acknowledged) >= until_then + 40)
        stop.set()
        await asyncio.gather(*clients)
        for generation in acknowledged:
            the(outcomes.Generation, await ledger.generation(generation=generation))
        assert await world.held() == len(acknowledged)
        await check_invariants(world.redis, PARTITIONS)
    finally:
        await ledger.close()
