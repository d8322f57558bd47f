"""FAREBOX_WAIT_REPLICAS: acknowledged means on a replica's disk too; without the replica nothing is acknowledged."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import pytest
import redis

from gateway.domain import Scope, generation_id, partition_of_account
from gateway.errors import LedgerUnavailable, ReplicasMissing
from gateway.ledger import outcomes, replicas
from gateway.ledger.idempotency import KeyClaimed, Request, Requests, StoredResponse
from gateway.ledger.key_records import AccountKey, KeyRecord
from gateway.ledger.ledger import Ledger
from gateway.ledger.policy import PlanTerms
from gateway.redis_link.connections import connect_ledger
from gateway.redis_link.open_connections import abandon
from tests.invariants.checks import check_invariants
from tests.invariants.contents import read_contents
from tests.ledger.world import DAY, HOUR, PARTITIONS, POLICY, World, the
from tests.redis_servers import RedisServer
from tests.until import until

ROOMY = PlanTerms(concurrency={"image": 1000}, max_waiting=1000)


@pytest.fixture
async def world(own_redis: RedisServer, replica: RedisServer) -> AsyncIterator[World]:
    """A ledger that waits for the replica."""
    assert replica.answers()
    ledger = Ledger(connect_ledger(own_redis.url), partitions=PARTITIONS, wait_replicas=1)
    world = World(ledger, replace(POLICY, daily_millicredits=0, free=ROOMY))
    try:
        await until_confirmed(ledger)
        with patient():
            await ledger.publish(world.policy)
            await world.account(top_up=1_000_000)
            await world.running()  # from now on the server knows these scripts
        yield world
    finally:
        await ledger.close()


@contextlib.contextmanager
def patient() -> Iterator[None]:
    """Wait for confirmations for as long as they take: what a test begins with is not what it is about."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(replicas, "_CONFIRM_SECONDS", 60.0)
        patched.setattr(replicas, "_CHECK_SECONDS", 60.0)
        yield


def is_master(server: RedisServer) -> bool:
    """Whether it has been promoted. Sentinels end its connections when it is."""
    with contextlib.suppress(redis.ConnectionError), server.client() as client:
        return bool(client.info("replication")["role"] == "master")
    return False


def made(outcome: object) -> None:
    """A request, or its repetition, was accepted."""
    assert isinstance(outcome, outcomes.Reserved | outcomes.Replayed), outcome


async def until_answered(ask: Callable[[], Awaitable[object]]) -> None:
    """Ask again and again, as a client does; pytest's timeout ends a test that is never answered."""

    async def is_answered() -> bool:
        with contextlib.suppress(LedgerUnavailable):
            await ask()
            return True
        return False

    await until(is_answered)


async def until_confirmed(ledger: Ledger) -> None:
    """Return when the replica has caught up."""
    await until_answered(ledger.start)


async def test_what_was_acknowledged_is_on_the_replica_when_the_master_is_lost_with_its_disk(
    world: World, own_redis: RedisServer, replica: RedisServer
) -> None:
    requests = Requests(world.ledger)
    asked = Request("ann", "digest", "body")
    acknowledged: set[str] = set()
    keys_made: list[str] = []

    async def client(number: int) -> None:
        for step in range(1000):
            acknowledged.add(await world.spend(100))
            key = f"fbx_{number}_{step}"
            made = await world.ledger.add_key(key=key, scope=Scope.ACCOUNT, account="ann", label=None)
            assert isinstance(made, AccountKey)
            keys_made.append(key)

    await requests.claim(asked)
    await requests.finish(asked, "{}")
    clients = [asyncio.create_task(client(number)) for number in range(8)]
    await until(lambda: len(keys_made) >= 40)
    own_redis.kill()
    for error in await asyncio.gather(*clients, return_exceptions=True):
        assert isinstance(error, LedgerUnavailable), error

    with replica.client() as client_of_it:
        client_of_it.replicaof("NO", "ONE")
    promoted = Ledger(connect_ledger(replica.url), partitions=PARTITIONS)
    try:
        await check_invariants(promoted.redis, PARTITIONS)
        for generation in acknowledged:
            the(outcomes.Generation, await promoted.generation(generation=generation))
        for key in keys_made:
            the(KeyRecord, await promoted.find_key(key=key))
        assert await Requests(promoted).claim(asked) == StoredResponse("{}")
    finally:
        await promoted.close()


async def test_without_the_replica_nothing_is_acknowledged_and_from_then_on_nothing_is_written(
    world: World, replica: RedisServer
) -> None:
    running = await world.running()
    replica.kill()
    with pytest.raises(ReplicasMissing, match="0 of 1 replicas"):
        await world.reserve()
    before = await read_contents(world.redis)
    requests = Requests(world.ledger)
    refused = (
        world.reserve(),
        world.settle(running),
        world.ledger.generation(generation=running),
        world.ledger.overdue(partition=0, limit=1),
        world.ledger.add_key(key="fbx_x", scope=Scope.ADMIN, account=None, label=None),
        requests.claim(Request("ann", "digest", "body")),
        world.ledger.ping(),
        world.ledger.start(),
    )
    for asked in refused:
        with pytest.raises(ReplicasMissing):
            await asked
    assert await read_contents(world.redis) == before
    (sentence,) = await world.ledger.shortages()
    assert sentence.startswith("0 of 1 replicas")
    replica.start()
    await until_confirmed(world.ledger)
    assert await world.ledger.shortages() == []
    the(outcomes.Ended, await world.settle(running))
    assert await requests.claim(Request("ann", "digest", "body")) == KeyClaimed()


async def test_a_reservation_without_an_answer_is_replayed_only_when_the_replica_has_it(
    world: World, own_redis: RedisServer, replica: RedisServer
) -> None:
    """Written on the master alone it must not be acknowledged: not by the first call, and not by its repetition."""
    generation = generation_id(partition_of_account("ann", PARTITIONS))
    once = ("digest", "body")
    replica.kill()
    with pytest.raises(ReplicasMissing):
        await world.reserve(generation=generation, idempotency=once)
    with own_redis.client() as client:
        assert client.exists(world.ledger.generation_key(generation)), "it is there, and nobody was told"
    for _ in range(3):
        with pytest.raises(ReplicasMissing):
            await world.ledger.replay(account="ann", keys_version=None, idempotency=once)
        with pytest.raises(ReplicasMissing):
            await world.reserve(generation=generation, idempotency=once)
    replica.start()
    await until_confirmed(world.ledger)
    assert (
        the(outcomes.Replayed, await world.reserve(generation=generation, idempotency=once)).generation.id == generation
    )
    assert await world.held() == 20_000


async def test_a_read_waits_for_what_others_wrote(world: World, own_redis: RedisServer, replica: RedisServer) -> None:
    """WAITAOF waits for what its own connection wrote. Another gateway's replay, or this one's on another connection,
    was answered while the replica had not yet got what it found: `replay` said 200 to what a failover could lose."""
    generation = await world.spend()
    os.kill(replica.pid, signal.SIGSTOP)
    with own_redis.client() as other:
        other.set("farebox:test", "written by somebody else")
    reader = Ledger(connect_ledger(own_redis.url), partitions=PARTITIONS, wait_replicas=1)
    try:
        asked = asyncio.create_task(until_confirmed(reader))
        with pytest.raises(ReplicasMissing):
            await world.ledger.generation(generation=generation)
        assert not asked.done()
        os.kill(replica.pid, signal.SIGCONT)
        await asked
        the(outcomes.Generation, await reader.generation(generation=generation))
    finally:
        await reader.close()


async def test_a_replica_that_hangs_holds_up_few_connections_and_everyone_hears_of_it(
    world: World, replica: RedisServer
) -> None:
    os.kill(replica.pid, signal.SIGSTOP)

    async def late(index: int) -> None:
        await asyncio.sleep(index / 200)
        await world.reserve(price=1)

    answers = await asyncio.gather(*(late(index) for index in range(400)), return_exceptions=True)
    assert all(isinstance(answer, ReplicasMissing) for answer in answers)
    assert len(await world.redis.client_list()) <= 100, "one that waits, not one for each of the 400"
    os.kill(replica.pid, signal.SIGCONT)
    await until_confirmed(world.ledger)
    the(outcomes.Reserved, await world.reserve(price=1))


class Road:
    """An address that leads to a server, and for new connections to another one after a failover.

    What is said to the server takes `seconds`.
    """

    def __init__(self, server: RedisServer, seconds: float = 0) -> None:
        self.leads_to = server
        self.address = ""
        self.port = 0
        self._seconds = seconds
        self._passing: set[asyncio.StreamWriter] = set()
        self._listening: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        self._listening = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.port = self._listening.sockets[0].getsockname()[1]
        self.address = f"redis://127.0.0.1:{self.port}/0"
        return self

    async def __aexit__(self, *_: object) -> None:
        self.cut()
        assert self._listening is not None
        self._listening.close()

    def cut(self) -> None:
        """Reset every connection."""
        for writer in self._passing:
            writer.transport.abort()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self.leads_to.port)
        self._passing.update((writer, server_writer))
        with contextlib.suppress(OSError):
            await asyncio.gather(_carry(reader, server_writer, self._seconds), _carry(server_reader, writer))


async def _carry(source: asyncio.StreamReader, target: asyncio.StreamWriter, seconds: float = 0) -> None:
    while data := await source.read(65_536):
        await asyncio.sleep(seconds)
        target.write(data)
    target.close()


async def test_a_replica_that_needs_longer_than_a_look_is_found_back(own_redis: RedisServer, tmp_path: Path) -> None:
    """Each look wrote something new, and waited a tenth of a second for it. With a busy disk behind the replica, a
    gateway never started, and none came back from an outage; a fixture here hung for minutes."""
    async with Road(own_redis, seconds=0.2) as road:
        slow = RedisServer(tmp_path / "slow", ("--replicaof", "127.0.0.1", str(road.port)))
        ledger = Ledger(connect_ledger(own_redis.url), partitions=PARTITIONS, wait_replicas=1)
        try:
            await asyncio.to_thread(slow.start)
            await until_confirmed(ledger)
            assert await ledger.shortages() == []
        finally:
            await ledger.close()
            slow.stop()


async def test_an_idle_connection_is_not_handed_out_while_it_is_closed(own_redis: RedisServer) -> None:
    """`make chaos TOPOLOGY=cluster` found it: a worker's job crashed when its connection was closed under it, because
    it had been idle when a node was given up. An outage would have been waited for."""
    redis = connect_ledger(own_redis.url)
    pool: Any = redis.connection_pool
    try:
        await redis.execute_command("PING")
        for turns in range(1, 6):
            closing = asyncio.create_task(abandon(pool))
            for _ in range(turns):
                await asyncio.sleep(0)
            connection = await pool.get_connection()
            await connection.send_command("PING")
            assert await connection.read_response() == b"PONG"
            await pool.release(connection)
            await closing
    finally:
        await redis.aclose()


@pytest.fixture
def promoted(replica: RedisServer, tmp_path: Path) -> Iterator[RedisServer]:
    """The replica, with a replica of its own: ready to be promoted."""
    other = RedisServer(tmp_path / "other", ("--replicaof", "127.0.0.1", str(replica.port)))
    try:
        other.start()
        yield replica
    finally:
        other.stop()


def promote(server: RedisServer) -> None:
    """Make it a master, whose own replica has all of what it has."""
    with server.client() as client:
        client.replicaof("NO", "ONE")
        client.set("farebox:test", "written after the failover")
        while client.execute_command("WAITAOF", 0, 1, 100)[1] < 1:
            pass


async def test_another_server_cannot_confirm_what_it_never_had(
    world: World, own_redis: RedisServer, promoted: RedisServer
) -> None:
    """A failover between a script and its confirmation: redis-py connected anew, to the promoted server, whose own
    replica had all of what it had, and a reservation that only the lost master knew was acknowledged."""
    generation = generation_id(partition_of_account("ann", PARTITIONS))
    async with Road(own_redis) as road:
        ledger = Ledger(connect_ledger(road.address), partitions=PARTITIONS, wait_replicas=1)
        try:
            await until_confirmed(ledger)
            promote(promoted)
            with own_redis.client() as lost, promoted.client() as client:
                asked = asyncio.create_task(World(ledger, world.policy).reserve(generation=generation))
                while not lost.exists(ledger.generation_key(generation)):
                    await asyncio.sleep(0)
                await asyncio.sleep(0.05)  # its answer is here, and is not told yet
                road.leads_to = promoted
                road.cut()
                (answer,) = await asyncio.gather(asked, return_exceptions=True)
                assert not client.exists(ledger.generation_key(generation))
                assert isinstance(answer, LedgerUnavailable), "it was acknowledged, and is lost"
            await until_confirmed(ledger)
            the(outcomes.Reserved, await World(ledger, world.policy).reserve(generation=generation))
        finally:
            await ledger.close()


async def test_a_connection_to_a_former_master_is_not_confirmed_by_its_successor(
    world: World, own_redis: RedisServer, promoted: RedisServer
) -> None:
    """`make chaos TOPOLOGY=sentinel` found it: a connection was in use when the master was replaced, and stayed open.

    The connection that confirms was new by then and led to the successor. So the former master, which was back and knew
    of nothing, took reservations, and its successor confirmed them.
    """
    generation = generation_id(partition_of_account("ann", PARTITIONS))
    async with Road(own_redis) as road:
        ledger = Ledger(connect_ledger(road.address), partitions=PARTITIONS, wait_replicas=1)
        try:
            await until_confirmed(ledger)
            promote(promoted)
            road.leads_to = promoted
            with own_redis.client() as former, promoted.client() as client:
                waiting = [int(one["id"]) for one in former.client_list() if one["cmd"] == "waitaof"]
                former.client_kill_filter(_id=str(max(waiting)))  # this ledger's, which is the newer one
                with pytest.raises(LedgerUnavailable):
                    await World(ledger, world.policy).reserve(generation=generation)
                assert not client.exists(ledger.generation_key(generation))
                await until_confirmed(ledger)
                the(outcomes.Reserved, await World(ledger, world.policy).reserve(generation=generation))
                assert client.exists(ledger.generation_key(generation))
        finally:
            await ledger.close()


async def test_unacknowledged_holds_end_by_themselves(world: World, replica: RedisServer) -> None:
    generation = generation_id(partition_of_account("ann", PARTITIONS))
    replica.kill()
    with pytest.raises(ReplicasMissing):
        await world.reserve(generation=generation)
    replica.start()
    await until_confirmed(world.ledger)
    assert await world.held() == 20_000
    await world.pass_time(generation, HOUR + DAY)
    the(outcomes.Ended, await world.rescue(generation))
    assert await world.held() == 10_000, "that of the fixture's own"
    await check_invariants(world.redis, PARTITIONS)


async def test_a_server_that_cannot_say_what_its_replicas_have_acknowledges_nothing(
    world: World, own_redis: RedisServer
) -> None:
    with own_redis.client() as client:
        client.config_set("appendonly", "no")
    with pytest.raises(ReplicasMissing, match=r"cannot report what its replicas have.*appendonly is disabled"):
        await world.account()
