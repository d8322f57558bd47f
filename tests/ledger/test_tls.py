"""rediss+cluster:// and rediss+sentinel://: every way to a server is encrypted, also to one that Redis has named.

Servers, replicas and Sentinels speak among themselves without TLS here: the servers that the tests have know none. In
front of each is a proxy that takes both, on the port by which Redis knows the server.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from gateway.domain import generation_id, partition_of_account
from gateway.errors import LedgerUnavailable
from gateway.ledger.ledger import Ledger
from gateway.redis_link.connections import connect_ledger
from tests.facades.tls import TlsProxy
from tests.files_in_memory import in_memory
from tests.ledger.test_replicas import ROOMY, made, until_answered, until_confirmed
from tests.ledger.test_replicas_of_cluster import account_on
from tests.ledger.world import PARTITIONS, POLICY, World
from tests.redis_servers import RedisCluster, RedisServer
from tests.until import until


class Doors:
    """A proxy in front of each server."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.of: dict[int, TlsProxy] = {}

    def announced(self, server: RedisServer) -> int:
        """The port of the proxy in front of a server."""
        door = self.of[server.port] = TlsProxy(self.folder, server.port, plain_too=True)
        door.start()
        return door.listens_on

    @property
    def authority(self) -> Path:
        """The certificate that all of them have, which signed itself."""
        return self.folder / "certificate.pem"

    def hosts(self, *servers: RedisServer) -> str:
        """As in an address."""
        return ",".join(self.of[server.port].host for server in servers)


@pytest.fixture
def doors(tmp_path: Path) -> Iterator[Doors]:
    """None yet."""
    doors = Doors(tmp_path)
    try:
        yield doors
    finally:
        for door in doors.of.values():
            door.stop()


@contextlib.asynccontextmanager
async def world_at(url: str) -> AsyncIterator[World]:
    """An empty ledger that waits for a replica."""
    ledger = Ledger(connect_ledger(url), partitions=PARTITIONS, wait_replicas=1)
    try:
        await until_confirmed(ledger)
        world = World(ledger, replace(POLICY, daily_millicredits=0, free=ROOMY))
        await until_answered(lambda: ledger.publish(world.policy))
        yield world
    finally:
        await ledger.close()


async def accepted(world: World, account: str) -> None:
    """Reserve as a client does."""
    generation = generation_id(partition_of_account(account, PARTITIONS))

    async def reserve() -> None:
        made(await world.reserve(account, 1, generation=generation))

    await until_answered(reserve)


async def test_every_node_of_a_cluster_is_reached_by_tls_and_after_a_failover_too(tmp_path: Path, doors: Doors) -> None:
    with in_memory(tmp_path / "cluster") as folder:
        servers = RedisCluster.make(folder, replicas=1, announced=doors.announced)
        try:
            (own, *_) = masters = servers.nodes[:3]
            replica = servers.replica_of(own)
            own_ports = {str(node.port) for node in servers.nodes}
            await until(lambda: not own_ports & told_ports(own))
            url = f"rediss+cluster://{doors.hosts(*masters)}?ca={doors.authority}"
            async with world_at(url) as world:
                for node in masters:
                    account = account_on(servers, node)
                    await until_answered(partial(world.account, account, top_up=1000))
                    await accepted(world, account)
                assert all(doors.of[node.port].encrypted for node in masters)
                before = doors.of[replica.port].encrypted
                with replica.client() as client:
                    client.execute_command("CLUSTER FAILOVER TAKEOVER")
                    await until(lambda: client.info("replication")["role"] == "master")
                await accepted(world, account_on(servers, own))
                assert doors.of[replica.port].encrypted > before
        finally:
            servers.stop()


def told_ports(node: RedisServer) -> set[str]:
    """The ports by which a node knows all."""
    with node.client() as client:
        return {address.rpartition("@")[0].rpartition(":")[2] for address in client.execute_command("CLUSTER NODES")}


async def test_the_master_that_sentinels_name_is_reached_by_tls_and_the_next_one_too(
    tmp_path: Path, doors: Doors
) -> None:
    with in_memory(tmp_path / "servers") as folder, contextlib.ExitStack() as running:
        master = RedisServer(folder / "master")
        replica = RedisServer(folder / "replica")
        for server in (master, replica):
            server.options = ("--replica-announce-port", str(doors.announced(server)))
        door = doors.of[master.port].listens_on
        replica.options += ("--replicaof", "127.0.0.1", str(door))
        sentinel = RedisServer(folder / "sentinel", sentinel_config=tmp_path / "sentinel.conf")
        (tmp_path / "sentinel.conf").write_text(f"sentinel monitor main 127.0.0.1 {door} 1\n")
        doors.announced(sentinel)
        for server in (master, replica, sentinel):
            running.callback(server.stop)
            server.start()
        with sentinel.client() as asking:
            await until(lambda: len(asking.sentinel_slaves("main")) == 1)
            url = f"rediss+sentinel://{doors.hosts(sentinel)}/main?ca={doors.authority}"
            async with world_at(url) as world:
                await until_answered(partial(world.account, "ann", top_up=1000))
                await accepted(world, "ann")
                assert doors.of[master.port].encrypted
                assert doors.of[sentinel.port].encrypted
                assert not doors.of[replica.port].encrypted
                await until(lambda: asking.execute_command("SENTINEL FAILOVER main") in {True, b"OK"})
                await until(lambda: asking.sentinel_master("main")["port"] == doors.of[replica.port].listens_on)
                with master.client() as client:  # Sentinel would have it follow eight seconds later
                    client.replicaof("127.0.0.1", doors.of[replica.port].listens_on)
                await accepted(world, "ann")
                assert doors.of[replica.port].encrypted


@pytest.mark.parametrize("form", ["rediss", "rediss+cluster", "rediss+sentinel"])
async def test_a_certificate_that_nobody_vouches_for_is_refused(
    own_redis: RedisServer, doors: Doors, form: str
) -> None:
    doors.announced(own_redis)
    name = "/main" if form.endswith("sentinel") else ""
    ledger = Ledger(connect_ledger(f"{form}://{doors.hosts(own_redis)}{name}"), partitions=PARTITIONS)
    try:
        with pytest.raises(LedgerUnavailable):
            await ledger.start()
    finally:
        await ledger.close()
    assert not doors.of[own_redis.port].encrypted
