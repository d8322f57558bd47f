"""FAREBOX_WAIT_REPLICAS on a cluster: each node's own replica confirms, and failovers and moved slots lose nothing."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest
from redis.crc import key_slot

from gateway.domain import generation_id, partition_of_account
from gateway.errors import LedgerUnavailable, ReplicasMissing
from gateway.ledger import keys, outcomes
from gateway.ledger.ledger import Ledger
from gateway.redis_link.connections import connect_ledger
from tests.files_in_memory import in_memory
from tests.invariants.checks import check_invariants
from tests.invariants.contents import read_contents
from tests.ledger.test_replicas import ROOMY, is_master, made, patient, until_confirmed
from tests.ledger.world import PARTITIONS, POLICY, World, the
from tests.redis_servers import RedisCluster, RedisServer
from tests.until import until

TIMEOUT_MS = 1500
_BETWEEN_SECONDS = 0.02


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisCluster]:
    """Three masters with a replica each, for all tests here: the last of them has one fail over."""
    with in_memory(tmp_path_factory.mktemp("cluster")) as folder:
        made = RedisCluster.make(folder, replicas=1, timeout_ms=TIMEOUT_MS)
        try:
            yield made
        finally:
            made.stop()


@pytest.fixture
async def world(servers: RedisCluster) -> AsyncIterator[World]:
    """An empty ledger that waits for a replica, with an account on each node."""
    for node in servers.nodes[:3]:
        node.flush()
    ledger = Ledger(connect_ledger(servers.url), partitions=PARTITIONS, wait_replicas=1)
    world = World(ledger, replace(POLICY, daily_millicredits=0, free=ROOMY))
    try:
        await until_confirmed(ledger)
        with patient():
            await ledger.publish(world.policy)
            for node in servers.nodes[:3]:
                await world.account(account_on(servers, node), top_up=1_000_000)
        yield world
    finally:
        await ledger.close()


def slot_of(account: str) -> int:
    return int(key_slot(keys.tag(partition_of_account(account, PARTITIONS)).encode()))


def account_on(servers: RedisCluster, node: RedisServer) -> str:
    """An account whose keys this node has."""
    return next(f"on-{number}" for number in count() if servers.owner(slot_of(f"on-{number}")) is node)


def confirmations(node: RedisServer) -> int:
    """How often a node was written to before its replica was asked."""
    with node.client() as client:
        return int(client.info("commandstats").get("cmdstat_set", {"calls": 0})["calls"])


async def accepted(world: World, account: str) -> None:
    """Reserve as a client does, which repeats its request: a busy machine's replica may be late."""
    generation = generation_id(partition_of_account(account, PARTITIONS))
    while True:
        with suppress(ReplicasMissing):
            made(await world.reserve(account, 1, generation=generation))
            return


async def test_each_node_is_confirmed_by_its_own_replica_once_for_a_batch(servers: RedisCluster, world: World) -> None:
    first, second, _ = servers.nodes[:3]
    here, there = account_on(servers, first), account_on(servers, second)
    await asyncio.gather(accepted(world, here), accepted(world, there))
    before = [confirmations(node) for node in servers.nodes[:3]]
    await asyncio.gather(*(world.reserve(account, 1) for account in (here, there) for _ in range(20)))
    assert [confirmations(node) for node in servers.nodes[:3]] == [before[0] + 1, before[1] + 1, before[2]]

    os.kill(servers.replica_of(first).pid, signal.SIGSTOP)
    with pytest.raises(ReplicasMissing, match="0 of 1 replicas"):
        await world.reserve(here, 1)
    await accepted(world, there)
    os.kill(servers.replica_of(first).pid, signal.SIGCONT)
    await accepted(world, here)


async def test_while_a_slot_is_moved_a_script_runs_whole_or_not_at_all(servers: RedisCluster, world: World) -> None:
    """A slot's keys move one by one. A script that began was stopped at the first key that had gone: half done."""
    source, target = servers.nodes[:2]
    account = account_on(servers, source)
    running = await world.running(account=account)
    for step, _ in enumerate(servers.move_slot(slot_of(account), source, target)):
        if step > 2:  # each refusal takes a second, and every further step is like the one before
            continue
        before = await read_contents(world.redis)
        with pytest.raises(LedgerUnavailable, match="TRYAGAIN"):
            await world.settle(running)
        assert _ledgers(await read_contents(world.redis)) == _ledgers(before)
    the(outcomes.Ended, await world.settle(running))
    the(outcomes.Reserved, await world.reserve(account))
    await check_invariants(world.redis, PARTITIONS)
    for _ in servers.move_slot(slot_of(account), target, source):
        pass  # `account_on` knows who had a slot at first


def _ledgers(contents: object) -> object:
    assert isinstance(contents, dict)
    return {name: value for name, value in contents.items() if "confirmed" not in name}


async def test_what_was_acknowledged_is_there_after_a_node_has_failed_over(servers: RedisCluster, world: World) -> None:
    """`WAITAOF` was refused on a cluster: a failover lost what had not reached the replica.

    The lost node comes back, because its successor has no replica of its own until then, and confirms nothing.
    """
    lost = servers.nodes[0]
    account, acknowledged, unknown = account_on(servers, lost), set[str](), list[LedgerUnavailable]()
    stop = asyncio.Event()

    async def client() -> None:
        while not stop.is_set():
            generation = generation_id(partition_of_account(account, PARTITIONS))
            while generation not in acknowledged:  # a client repeats its request until it is answered
                try:
                    made(await world.reserve(account, 1, generation=generation))
                    acknowledged.add(generation)
                    await asyncio.sleep(_BETWEEN_SECONDS)  # the account has room for 2,000
                except LedgerUnavailable as error:
                    unknown.append(error)

    def refused() -> bool:
        return any(isinstance(error, ReplicasMissing) for error in unknown)

    clients = [asyncio.create_task(client()) for _ in range(4)]
    await until(lambda: len(acknowledged) >= 40)
    lost.kill()
    promoted = servers.replica_of(lost)
    await until(lambda: is_master(promoted))
    until_then = len(acknowledged)
    await until(lambda: refused() or len(acknowledged) > until_then + len(clients))
    assert refused(), "nothing is accepted while the successor has no replica"
    lost.start()
    until_then = len(acknowledged)
    await until(lambda: len(acknowledged) >= until_then + 40)
    stop.set()
    await asyncio.gather(*clients)
    for generation in acknowledged:
        the(outcomes.Generation, await world.ledger.generation(generation=generation))
    assert await world.held(account) == len(acknowledged)
    await check_invariants(world.redis, PARTITIONS)


async def test_a_second_replica_has_to_confirm_as_soon_as_it_has_joined(tmp_path: Path) -> None:
    """Of two replicas one would confirm, and the other be promoted. One that joined a running cluster was not noticed
    until a node redirected or failed."""
    never_ms = 600_000
    with in_memory(tmp_path / "two") as folder:
        servers = RedisCluster.make(folder, masters=1, replicas=1, timeout_ms=never_ms)
        ledger = Ledger(connect_ledger(servers.url), partitions=PARTITIONS, wait_replicas=1)
        world = World(ledger, replace(POLICY, daily_millicredits=0, free=ROOMY))
        master, first = servers.nodes
        try:
            await until_confirmed(ledger)
            with patient():
                await ledger.publish(world.policy)
                await world.account(top_up=1_000_000)
                await world.running()
                second = servers.add_replica(folder / "second", master, never_ms)
                await world.reserve(price=1)
            os.kill(second.pid, signal.SIGSTOP)
            with pytest.raises(ReplicasMissing, match="1 of 2 replicas"):
                await world.reserve(price=1)
            with master.client() as client:
                client.config_set("cluster-node-timeout", TIMEOUT_MS)
            await accepted(world, "ann")  # as soon as the masters have agreed that it is gone: there is one
            os.kill(second.pid, signal.SIGCONT)
            with first.client() as client:
                client.execute_command("CLUSTER FAILOVER TAKEOVER")  # others have five seconds
            await until(lambda: is_master(first))
            await accepted(world, "ann")
            assert await world.held() == 10_004
        finally:
            await ledger.close()
            servers.stop()
