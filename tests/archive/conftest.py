"""Every test has a ledger, an archive, and an archivist that goes round when it is told to."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
from prometheus_client import CollectorRegistry

from gateway.archive.archivist import Archivist
from gateway.archive.figures import ArchivistFigures
from gateway.archive.migrating import migrate
from tests.archive.archived import Archived
from tests.ledger.world import World, open_world
from tests.postgres_server import PostgresServer, postgres_server


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    with postgres_server() as server:
        yield server


@pytest.fixture
async def archive_url(postgres: PostgresServer) -> str:
    """An archive with no tables."""
    await postgres.empty()
    return postgres.url


@pytest.fixture
async def bare(ledger_url: str) -> AsyncIterator[World]:
    async with open_world(ledger_url) as made:
        yield made


@pytest.fixture
async def archived(bare: World, archive_url: str, postgres: PostgresServer) -> AsyncIterator[Archived]:
    """A ledger whose archive is on, with the account `ann`."""
    await migrate(archive_url)
    archivist = Archivist(bare.ledger, archive_url, ArchivistFigures(CollectorRegistry()))
    assert await archivist.writer.claim()
    await bare.ledger.switch_archive(on=True)
    await bare.account()
    connection = await postgres.connect()
    try:
        yield Archived(bare, archivist, connection)
    finally:
        await connection.close()
        await archivist.writer.close()
