"""A ledger that does without its archive again keeps and removes things as one that never had any."""

from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry

from gateway.archive.archivist import Archivist
from gateway.archive.figures import ArchivistFigures
from gateway.archive.switching_off import switch_off
from gateway.domain import partition_of_account
from gateway.errors import ArchiveInUse
from gateway.ledger import keys
from gateway.ledger.audit import audit
from tests.archive.archived import Archived
from tests.ledger.world import DAY, PARTITIONS

PARTITION = partition_of_account("ann", PARTITIONS)


async def test_what_ended_meanwhile_expires_as_usual(archived: Archived) -> None:
    world = archived.world
    await world.account(top_up=10**6)
    ended, copied = await world.spend(1_000), await world.spend(1_000)
    await world.finish(copied)
    await archived.copy()
    await world.finish(ended)
    still_open = await world.spend(1_000)
    done = await switch_off(world.ledger, archived.archivist)
    assert await archived.entries() == await archived.journal()
    assert done.generations == 2
    for generation in (ended, copied):
        left = await world.redis.pttl(world.ledger.generation_key(generation))
        assert 29 * DAY < left <= 30 * DAY
    assert await world.redis.pttl(world.ledger.generation_key(still_open)) == -1
    await world.finish(still_open)
    assert await world.redis.pttl(world.ledger.generation_key(still_open)) > 0
    assert not await world.redis.exists(keys.unarchived(PARTITION), keys.archiving(PARTITION))
    assert not (await audit(world.ledger)).differences
    again = await switch_off(world.ledger, archived.archivist)
    assert (again.generations, again.usage) == (0, 0)


async def test_what_should_have_expired_stays_until_its_outputs_are_deleted(archived: Archived) -> None:
    world = archived.world
    world.holds = False  # its entries are not aged
    ended = await world.spend(0)
    await world.finish(ended)
    await world.redis.hincrby(world.ledger.generation_key(ended), "finished_at", -35 * DAY)
    await switch_off(world.ledger, archived.archivist)
    assert 0 < await world.redis.pttl(world.ledger.generation_key(ended)) <= DAY


async def test_it_is_refused_while_an_archivist_runs(archived: Archived) -> None:
    world = archived.world
    other = Archivist(world.ledger, archived.archivist.url, ArchivistFigures(CollectorRegistry()))
    async with world.unchanged():
        with pytest.raises(ArchiveInUse, match="stop all of them"):
            await switch_off(world.ledger, other)
    await other.writer.close()
    assert await world.ledger.has_archive()
