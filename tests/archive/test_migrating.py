"""The tables are made once, whoever comes first; and one process writes."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from alembic.script import ScriptDirectory

import gateway.archive
from gateway.archive.connection import check_url
from gateway.archive.migrating import NEWEST, migrate
from gateway.archive.storing import ArchiveWriter
from gateway.errors import ArchiveUnavailable, SettingsError
from tests.postgres_server import PostgresServer


def test_the_newest_revision_is_the_one_that_processes_ask_for() -> None:
    folder = Path(gateway.archive.__file__).parent / "migrations"
    assert ScriptDirectory(str(folder)).get_current_head() == NEWEST


async def test_several_that_start_at_once_make_the_tables_once(archive_url: str) -> None:
    found = await asyncio.gather(*(migrate(archive_url) for _ in range(4)))
    assert sorted(before or "" for before, _ in found) == ["", NEWEST, NEWEST, NEWEST]
    assert {after for _, after in found} == {NEWEST}


async def test_tables_of_a_newer_version_are_refused(archive_url: str, postgres: PostgresServer) -> None:
    await migrate(archive_url)
    connection = await postgres.connect()
    await connection.execute("UPDATE farebox.migrations SET version_num = '9999'")
    await connection.close()
    with pytest.raises(SettingsError, match=r"newer version \(revision 9999"):
        await migrate(archive_url)


async def test_one_writes_and_the_next_takes_over_when_it_is_gone(archive_url: str) -> None:
    await migrate(archive_url)
    first, second = ArchiveWriter(archive_url, 4), ArchiveWriter(archive_url, 4)
    assert await first.claim()
    assert not await second.claim()
    with pytest.raises(ArchiveUnavailable):
        await second.cursors(["ann"])
    await first.close()
    while not await second.claim():
        await asyncio.sleep(0.01)
    await second.close()


@pytest.mark.parametrize("url", ["mysql://a/b", "redis://localhost"])
def test_another_database_is_refused_by_name(url: str) -> None:
    with pytest.raises(SettingsError, match="FAREBOX_ARCHIVE_URL: must start with postgresql"):
        check_url(url)
