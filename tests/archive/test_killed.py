"""`kill -9` at any moment loses nothing and doubles nothing: what is read again is written once."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from gateway.archive.rows import entry_text
from gateway.domain import generation_id, partition_of_account
from gateway.ledger import keys
from gateway.ledger.ledger import Ledger
from gateway.redis_link.connections import connect_ledger
from tests.invariants.checks import check_invariants
from tests.ledger.world import HOUR, POLICY, World
from tests.lengths import LONG
from tests.postgres_server import PostgresServer
from tests.preforked import Forked

KILLS = 200 if LONG else 20
ACCOUNTS = [f"account-{number}" for number in range(12)]


@pytest.fixture
async def world(redis_url: str) -> AsyncIterator[World]:
    """A ledger as processes have it, with the usual number of partitions."""
    ledger = Ledger(connect_ledger(redis_url))
    await ledger.start()
    made = World(ledger, replace(POLICY, reset_ms=12 * HOUR))
    await ledger.publish(made.policy)
    yield made
    await ledger.close()


async def live(world: World, account: str, stop: asyncio.Event) -> None:
    """Generate and fail, as fast as it goes."""
    dice = Random(account)
    while not stop.is_set():
        price = dice.choice([0, 7, 1_000])
        named = generation_id(partition_of_account(account, world.ledger.partitions))
        generation = await world.spend(price, account, generation=named)
        await (world.fail(generation) if dice.random() < 0.3 else world.finish(generation))
        await asyncio.sleep(dice.random() / 20)


def archivist(redis_url: str, archive_url: str, log: Path) -> Forked:
    environment = {
        **os.environ,
        "FAREBOX_LEDGER_URL": redis_url,
        "FAREBOX_ARCHIVE_URL": archive_url,
        "FAREBOX_DATA": str(log.parent),
    }
    return Forked.start("archivist", [], environment, log)


async def until_archived(world: World) -> None:
    while await world.ledger.unarchived_since() is not None or not await world.ledger.has_archive():
        await asyncio.sleep(0.05)


@pytest.mark.timeout(3600)
async def test_killed_under_load_it_has_each_entry_once_and_in_order(
    world: World, redis_url: str, archive_url: str, postgres: PostgresServer, tmp_path: Path
) -> None:
    for account in ACCOUNTS:
        await world.account(account, top_up=10**9)
    stop, dice = asyncio.Event(), Random(7)
    lives = [asyncio.create_task(live(world, account, stop)) for account in ACCOUNTS]
    for number in range(KILLS):
        log = tmp_path / f"archivist-{number}.log"
        process = archivist(redis_url, archive_url, log)
        while "archivist_copies" not in log.read_text():
            await asyncio.sleep(0.01)
        await asyncio.sleep(dice.random() * 0.4)
        process.kill()
        await asyncio.to_thread(process.wait)
    stop.set()
    await asyncio.gather(*lives)
    last = archivist(redis_url, archive_url, tmp_path / "last.log")
    try:
        await until_archived(world)
    finally:
        last.kill()
    await world_equals_archive(world, postgres)
    await check_invariants(world.redis, world.ledger.partitions)


async def world_equals_archive(world: World, postgres: PostgresServer) -> None:
    connection = await postgres.connect()
    for account in ACCOUNTS:
        partition = partition_of_account(account, world.ledger.partitions)
        journal = [
            text.decode() for text in reversed(await world.redis.lrange(keys.journal(partition, account), 0, -1))
        ]
        rows = await connection.fetch("SELECT * FROM farebox.entries WHERE account = $1 ORDER BY id", account)
        assert [entry_text(row) for row in rows] == journal
        by_copying = await connection.fetch(
            "SELECT id FROM farebox.entries WHERE account = $1 ORDER BY number", account
        )
        assert [row["id"] for row in by_copying] == list(range(1, len(journal) + 1)), "copied in order"
        found = await connection.fetch("SELECT id, fields FROM farebox.generations WHERE account = $1", account)
        listed = await world.redis.zrange(keys.recent(partition, account), 0, -1)
        assert {row["id"] for row in found} == {one.decode() for one in listed}
    await connection.close()
