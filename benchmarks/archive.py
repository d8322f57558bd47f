"""What the archivist copies in a second, beside PostgreSQL's COPY of the same rows.

The past is made once; in each round the archive is emptied and all accounts are marked again. The floor is one COPY for
each table, into the same tables with their partitions and indexes, from rows that are ready in memory. Between the two
is what an archivist cannot do without: every item read from Redis once, by the commands that only read it, then COPY.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

import asyncpg
from prometheus_client import CollectorRegistry
from redis.asyncio import Redis

from benchmarks.accounts import CARD, REQUEST
from benchmarks.bench import Bench
from benchmarks.peers.postgres import MISSING, connected, postgres_at, programs
from benchmarks.result import Result, at_least
from benchmarks.servers import durable_redis, ledger_at
from gateway.archive.archivist import Archivist
from gateway.archive.figures import ArchivistFigures
from gateway.archive.migrating import migrate
from gateway.clock import now_ms
from gateway.domain import Bucket, Output, generation_id, operation_id, partition_of_account
from gateway.ledger.ledger import Ledger
from gateway.ledger.policy_of_card import terms_of
from gateway.redis_link.batches import Command, taken

ACCOUNTS = 400
LIVES = 60  # of an account: 120 entries and 60 generations
LIVES_QUICK = 5
ENTRIES_A_SECOND = 10_000
_AT_ONCE = 64
_TABLES = ("accounts", "entries", "generations", "usage")
_MADE_BY_DATABASE = {"number"}
_STORED = (
    ("HGETALL", "account"), ("LRANGE", "journal", 0, -1), ("HGETALL", "generation"), ("HGETALL", "usage"),
    ("HGETALL", "usage_keys"),
)  # fmt: skip
_READ_AT_ONCE = 256


async def measure(bench: Bench) -> Sequence[Result]:
    """Make the past, then copy it both ways in turn."""
    found = programs()
    if found is None:
        return [Result(what="archive", figures=[0.0], unit="/s", target=None, note=MISSING)]
    with ExitStack() as running:
        redis_socket = running.enter_context(durable_redis())
        postgres = running.enter_context(postgres_at(found))
        (await connected(postgres)).terminate()
        url = f"postgresql://postgres@/postgres?host={postgres.sockets}"
        async with ledger_at(redis_socket) as ledger:
            names = [f"bench-{number:06}" for number in range(ACCOUNTS)]
            await _live(ledger, names, bench.size(LIVES, LIVES_QUICK))
            stored = Redis(unix_socket_path=str(redis_socket))
            try:
                return await _rounds(bench, ledger, url, names, stored)
            finally:
                await stored.aclose()


async def _live(ledger: Ledger, names: Sequence[str], lives: int) -> None:
    gate = asyncio.Semaphore(_AT_ONCE)

    async def one(name: str) -> None:
        async with gate:
            await ledger.put_account(account=name)
            await ledger.grant(
                account=name, operation=operation_id(), bucket=Bucket.TOP_UP, millicredits=10**9, expires_at=None,
                reason="benchmark",
            )  # fmt: skip
            for _ in range(lives):
                await _generate(ledger, name)

    await asyncio.gather(*map(one, names))


async def _generate(ledger: Ledger, name: str) -> None:
    generation = generation_id(partition_of_account(name, ledger.partitions))
    await ledger.reserve(
        account=name, generation=generation, request=REQUEST, terms=terms_of(CARD, REQUEST.tool), pro=False,
        keys_version=None, operation=operation_id(),
    )  # fmt: skip
    await ledger.begin(generation=generation, attempt=1, operation=operation_id())
    output = Output(
        index=0, object_key=f"{generation}/1/0", content_type="image/png", bytes=10**6, width=1024, height=1024,
        sha256="0" * 64,
    )  # fmt: skip
    await ledger.deliver(generation=generation, attempt=1, output=output)
    await ledger.settle(generation=generation, attempt=1, operation=operation_id(), failure=None)


async def _rounds(bench: Bench, ledger: Ledger, url: str, names: Sequence[str], stored: Redis) -> list[Result]:
    await migrate(url)
    archivist = Archivist(ledger, url, ArchivistFigures(CollectorRegistry()))
    await archivist.writer.claim()
    await ledger.switch_archive(on=True)
    connection = await asyncpg.connect(url, server_settings={"search_path": "farebox"})
    copied: list[float] = []
    floors: list[float] = []
    least: list[float] = []
    entries: list[float] = []
    for _ in bench.rounds():
        await _empty(connection)
        for name in names:
            await ledger.rewind_archived(account=name, entry=0)
            await ledger.mark_all_of(name, now=now_ms())
        started = time.perf_counter()
        while (await archivist.round())[0]:
            pass
        seconds = time.perf_counter() - started
        rows = {table: await connection.fetch(f"SELECT * FROM {table}") for table in _TABLES}  # noqa: S608 - ours
        number = sum(map(len, rows.values()))
        copied.append(number / seconds)
        entries.append(len(rows["entries"]) / seconds)
        await _empty(connection)
        copying = await _copy(connection, rows)
        floors.append(number / copying)
        least.append(number / (copying + await _read(stored)))
    await connection.close()
    await archivist.writer.close()
    return [
        Result(
            what="archive, rows",
            figures=copied,
            floors=floors,
            floor="COPY of the same rows",
            unit="/s",
            target=at_least(0.5),
        ),
        Result(
            what="its floor: read, then COPY",
            figures=least,
            floors=floors,
            floor="COPY of the same rows",
            unit="/s",
            target=None,
        ),
        Result(what="archive, journal entries", figures=entries, unit="/s", target=at_least(ENTRIES_A_SECOND)),
    ]


async def _read(redis: Redis) -> float:
    """Seconds to read all that the archive copies, as it is stored; where it is, is known."""
    asked: list[Command] = []
    for command, kind, *rest in _STORED:
        asked += [(command, name, *rest) async for name in redis.scan_iter(f"*:{kind}:*", count=1000)]
    started = time.perf_counter()
    for first in range(0, len(asked), _READ_AT_ONCE):
        await (await taken(redis, asked[first : first + _READ_AT_ONCE])).replies()
    return time.perf_counter() - started


async def _empty(connection: asyncpg.Connection) -> None:
    await connection.execute(f"TRUNCATE {', '.join(_TABLES)}")


async def _copy(connection: asyncpg.Connection, rows: dict[str, list[Any]]) -> float:
    """Seconds of one COPY for each table."""
    ready = {
        table: ([name for name, _ in found[0].items() if name not in _MADE_BY_DATABASE], found)
        for table, found in rows.items()
    }
    records = {
        table: [tuple(row[name] for name in columns) for row in found] for table, (columns, found) in ready.items()
    }
    started = time.perf_counter()
    for table, (columns, _) in ready.items():
        await connection.copy_records_to_table(table, columns=columns, records=records[table])
    return time.perf_counter() - started
