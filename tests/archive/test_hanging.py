"""A PostgreSQL that hangs, or is cut off: nobody waits for it for ever, and everything is copied once it responds."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from gateway.archive import reading, storing
from gateway.archive.reading import ArchiveReader
from gateway.domain import generation_id
from gateway.errors import ArchiveUnavailable
from tests.archive.archived import Archived

SERVERS_OF = "SELECT pid FROM pg_stat_activity WHERE application_name = 'farebox'"


@contextmanager
def hanging(pids: list[int]) -> Iterator[None]:
    """Stop processes of PostgreSQL in place, as a machine that hangs does."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


async def test_an_archivist_does_not_wait_for_ever(archived: Archived, monkeypatch: pytest.MonkeyPatch) -> None:
    """It did, without a word, and its lag stood still: Redis would have grown until it was full."""
    world = archived.world
    await archived.copy()
    await world.grant()
    with hanging([row["pid"] for row in await archived.connection.fetch(SERVERS_OF)]):
        monkeypatch.setattr(storing, "WRITE_SECONDS", 0.1)
        with pytest.raises(ArchiveUnavailable):
            await archived.copy()
        monkeypatch.undo()
    while not await archived.archivist.writer.claim():  # until the server that hung sees that nobody is there
        await asyncio.sleep(0.05)
    await archived.copy()
    assert await archived.entries() == await archived.journal()


async def test_reads_do_not_queue_for_connections_that_hang(
    archived: Archived, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = ArchiveReader(archived.archivist.url)
    monkeypatch.setattr(reading, "_CONNECTIONS_MAX", 1)
    await reader.generation(generation_id(0))
    pids = [row["pid"] for row in await archived.connection.fetch(SERVERS_OF)]
    with hanging(pids):
        first = asyncio.create_task(reader.generation(generation_id(0)))
        await asyncio.sleep(0)
        monkeypatch.setattr(reading, "READ_SECONDS", 0.1)
        with pytest.raises(ArchiveUnavailable):
            await reader.generation(generation_id(0))
    assert await first is None
    await reader.close()


async def test_months_are_made_again_in_a_restored_archive(archived: Archived) -> None:
    """It remembered which months it had made, and did not look: nothing was copied any more."""
    world = archived.world
    await world.grant()
    await archived.copy()
    await archived.connection.execute("TRUNCATE farebox.accounts")
    tables = "SELECT inhrelid::regclass::text AS name FROM pg_inherits WHERE inhparent = 'farebox.entries'::regclass"
    for row in await archived.connection.fetch(tables):
        await archived.connection.execute(f"DROP TABLE {row['name']}")
    await archived.connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'farebox'"
    )
    with pytest.raises(ArchiveUnavailable):
        await archived.copy()
    assert await archived.archivist.writer.claim()
    await world.grant()
    await archived.copy()
    assert await archived.entries() == await archived.journal()


async def test_a_new_month_waits_for_nobody_who_reads(archived: Archived) -> None:
    """Its partitions needed the tables to themselves: a backup by pg_dump on the first held up copies and reads."""
    async with archived.connection.transaction():
        await archived.connection.execute(
            "LOCK TABLE farebox.entries, farebox.generations, farebox.usage, farebox.audit_log IN ACCESS SHARE MODE"
        )
        await archived.world.finish(await archived.world.spend())
        await archived.copy()
    assert await archived.entries() == await archived.journal()


async def test_a_month_that_was_detached_is_attached_again_when_it_is_needed(archived: Archived) -> None:
    await archived.copy()
    (table,) = await archived.connection.fetch(
        "SELECT inhrelid::regclass::text AS name FROM pg_inherits WHERE inhparent = 'farebox.entries'::regclass"
    )
    await archived.connection.execute(f"ALTER TABLE farebox.entries DETACH PARTITION {table['name']}")
    await archived.archivist.writer.close()
    assert await archived.archivist.writer.claim()
    await archived.world.grant()
    await archived.copy()
    assert await archived.entries() == await archived.journal()
