"""Once an archive is on, nothing is removed from the ledger that is not in it, whatever its age."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gateway.archive.reading import ArchiveReader
from gateway.domain import partition_of_account
from gateway.errors import ArchiveUnavailable
from gateway.ledger import keys, outcomes
from gateway.ledger.audit import audit
from gateway.ledger.trimming import trim_all
from tests.archive.archived import Archived, old
from tests.ledger.world import DAY, FREE, PARTITIONS, World, the

PARTITION = partition_of_account("ann", PARTITIONS)


async def kept(world: World) -> tuple[int, int, int, int]:
    """Entries, listed generations, their records, and days of usage."""
    names = await world.contents()
    return (
        await world.redis.llen(keys.journal(PARTITION, "ann")),
        await world.redis.zcard(keys.recent(PARTITION, "ann")),
        sum(":generation:" in name for name in names),
        sum(":usage:" in name for name in names),
    )


async def test_what_is_not_copied_stays_however_old_it_is(archived: Archived) -> None:
    world = archived.world
    world.holds = False  # a generation's own entries are not aged
    await world.publish(keep_archived_ms=0)
    await old(world, 500)
    before = await kept(world)
    assert await trim_all(world.ledger, rest=0) == 0
    for _ in range(40):  # new entries trim, too, at every sixteenth
        await world.grant()
    assert await kept(world) == (before[0] + 40, *before[1:])
    for name, stored in (await world.contents()).items():
        assert ":usage" not in name or stored.expires_at < 0, "sums have no lifetime before they are copied"


async def test_what_is_copied_goes_when_its_days_are_over(archived: Archived) -> None:
    world = archived.world
    world.holds = False  # which need all generations: the audit decides
    await world.publish(keep_archived_ms=7 * DAY)
    await old(world, 8)
    await old(world, 6)
    await archived.copy()
    await trim_all(world.ledger, rest=0)
    entries, listed, records, _ = await kept(world)
    assert (listed, records) == (3, 3)
    assert entries == len(await archived.journal())
    assert not (await audit(world.ledger)).differences
    rows = await archived.row("SELECT count(*) AS number FROM farebox.generations")
    assert rows["number"] == 6


async def test_a_change_after_the_copy_keeps_a_generation_until_it_is_copied_again(archived: Archived) -> None:
    world = archived.world
    world.holds = False
    free, *_ = await old(world, 8)
    await archived.copy()
    await world.publish(keep_archived_ms=7 * DAY)
    await world.ledger.outputs_deleted(generation=free)
    assert await trim_all(world.ledger, rest=0) <= 8
    assert await world.redis.exists(world.ledger.generation_key(free)), "it is the oldest, and was changed"
    await archived.copy()
    await trim_all(world.ledger, rest=0)
    assert not await world.redis.exists(world.ledger.generation_key(free))
    row = await archived.row(
        "SELECT fields->>'outputs_deleted' AS deleted FROM farebox.generations WHERE id = $1", free
    )
    assert row["deleted"] == "1"


async def test_without_an_archive_everything_is_trimmed_as_before(bare: World) -> None:
    bare.holds = False
    await bare.account()
    await old(bare, 500)
    assert await trim_all(bare.ledger, rest=0) > 0
    assert not any("archiv" in name for name in await bare.contents()), "and nothing is marked"


async def test_an_archive_that_is_emptied_is_filled_again_from_what_the_ledger_has(archived: Archived) -> None:
    world = archived.world
    for _ in range(5):
        await world.grant()
    await archived.copy()
    await archived.connection.execute("TRUNCATE farebox.entries, farebox.accounts, farebox.generations")
    await world.grant()
    await archived.copy()
    assert await archived.entries() == await archived.journal()


async def test_an_account_changed_by_an_earlier_version_is_marked_by_the_daily_trimming(archived: Archived) -> None:
    world = archived.world
    await archived.copy()
    await world.grant()
    await world.redis.delete(keys.unarchived(PARTITION))
    await trim_all(world.ledger, rest=0)
    await archived.copy()
    assert await archived.entries() == await archived.journal()


async def test_while_postgresql_is_away_the_ledger_goes_on_and_all_is_copied_later(archived: Archived) -> None:
    world = archived.world
    await archived.copy()
    await archived.connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'farebox'"
    )
    await world.finish(await world.spend(1_000))
    with pytest.raises(ArchiveUnavailable):
        await archived.copy()
    assert await world.ledger.unarchived_since() is not None
    await world.finish(await world.spend(2_000))
    assert await archived.archivist.writer.claim()
    await archived.copy()
    assert await archived.entries() == await archived.journal()
    assert await world.ledger.unarchived_since() is None


async def test_outputs_outlive_their_record_in_the_ledger_as_long_as_their_plan_says(archived: Archived) -> None:
    """The record is read from the archive, and says of them what is true."""
    world = archived.world
    world.holds = False
    await world.publish(keep_archived_ms=7 * DAY, free=replace(FREE, outputs_kept_ms=90 * DAY))
    (long, *_) = await old(world, 45)
    await world.publish(free=FREE)
    (short, *_) = await old(world, 45)
    await archived.copy()
    await trim_all(world.ledger, rest=0)
    world.ledger.older = ArchiveReader(archived.archivist.url)
    try:
        for generation, deleted in ((long, False), (short, True)):
            assert not await world.redis.exists(world.ledger.generation_key(generation))
            read = the(outcomes.Generation, await world.ledger.generation(generation=generation))
            assert read.outputs_deleted is deleted
    finally:
        await world.ledger.older.close()
    assert not (await audit(world.ledger)).differences
