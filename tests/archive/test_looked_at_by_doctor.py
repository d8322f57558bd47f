"""`farebox doctor` says how far the archive is behind, what to do about it, and what neither side has."""

from __future__ import annotations

import json
import re

from gateway.domain import partition_of_account
from gateway.ledger import keys
from tests.archive.archived import Archived
from tests.ledger.world import PARTITIONS, World
from workers.doctor.archive import check_archive
from workers.doctor.findings import Finding
from workers.exporting.exporter import CLAIM, CURSOR, REFUSED

MINUTE = 60_000


async def found(archived: Archived, *, exports: bool = False) -> list[Finding]:
    url = archived.archivist.url
    first, *rest = [one async for one in check_archive(url, archived.world.ledger, exports=exports)]
    assert (first.state, "responds" in first.message) == ("ok", True)
    return rest


async def age_marks(world: World, by_ms: int) -> None:
    """As if nothing had been copied for so long."""
    for partition in range(PARTITIONS):
        for key in (keys.unarchived(partition), keys.archiving(partition)):
            for mark, _ in await world.redis.zrange(key, 0, -1, withscores=True):
                await world.redis.zincrby(key, -by_ms, mark)


async def test_an_archive_that_follows_is_fine_and_one_that_is_behind_says_who_does_not_copy(
    archived: Archived,
) -> None:
    await archived.copy()
    assert await found(archived) == [Finding("archive", "ok", "everything is copied")]
    await archived.world.grant()
    (just_now,) = await found(archived)
    assert (just_now.state, just_now.message.startswith("the oldest change")) == ("ok", True)
    await age_marks(archived.world, 90 * MINUTE)
    (behind,) = await found(archived)
    assert behind.state == "warning"
    assert re.match(r"the archive is (9\d|1\d\d) min behind; Redis keeps everything", behind.message)
    assert behind.fix is not None
    assert behind.fix.startswith("an archivist runs: see")
    await archived.archivist.writer.close()
    while (again := (await found(archived))[0]).fix == behind.fix:
        pass  # PostgreSQL gives up a lock some time after its connection was closed
    assert again.fix == "no archivist runs: start `farebox archivist`"


async def test_an_archive_that_is_not_there_yet_says_how_to_start_it(bare: World, archive_url: str) -> None:
    await bare.account()
    _, empty = [one async for one in check_archive(archive_url, bare.ledger, exports=True)]
    assert (empty.state, "it has no tables" in empty.message) == ("warning", True)
    assert "farebox archivist" in (empty.fix or "")


async def test_a_ledger_that_does_not_mark_its_changes_is_a_warning(archived: Archived) -> None:
    await archived.world.ledger.switch_archive(on=False)
    (off,) = await found(archived)
    assert (off.state, "the ledger does not copy to it" in off.message) == ("warning", True)


async def test_a_gap_is_an_error_until_it_is_settled(archived: Archived) -> None:
    world = archived.world
    world.holds = False
    await world.grant()
    await archived.copy()
    for _ in range(3):
        await world.grant()
    await world.redis.ltrim(keys.journal(partition_of_account("ann", PARTITIONS), "ann"), 0, 0)  # 3 and 4 are lost
    await archived.copy()
    gap, copied = await found(archived)
    assert (gap.state, copied.state) == ("error", "ok")
    assert gap.message == "neither ledger nor archive has all entries of 1 accounts, last of ann from entry 3 on"
    await archived.connection.execute((gap.fix or "").rpartition(": ")[2])
    assert [one.state for one in await found(archived)] == ["ok"]


async def test_events_that_wait_say_who_is_to_send_them_or_who_refuses_them(archived: Archived) -> None:
    await archived.copy()
    connection = archived.connection
    newest = await connection.fetchval("SELECT max(number) FROM farebox.entries")
    (nobody, _) = await found(archived, exports=True)
    assert (nobody.check, nobody.state) == ("export", "warning")
    assert nobody.message == f"{newest} events wait, and no archivist exports"
    await connection.fetchval("SELECT pg_try_advisory_lock(hashtext($1))", CLAIM)
    (going, _) = await found(archived, exports=True)
    assert going == Finding("export", "ok", f"{newest} events are on their way")
    refused = json.dumps({"since": "2026-11-22T17:00:00+00:00", "error": "the receiver answered 503"})
    await connection.execute("INSERT INTO farebox.state (name, value) VALUES ($1, $2)", REFUSED, refused)
    (stuck, _) = await found(archived, exports=True)
    assert stuck.state == "warning"
    assert "since 2026-11-22T17:00:00+00:00: the receiver answered 503" in stuck.message
    noted = "INSERT INTO farebox.state (name, value) VALUES ($1, to_jsonb($2::bigint))"
    await connection.execute(noted, CURSOR, newest)
    (accepted, _) = await found(archived, exports=True)
    assert accepted == Finding("export", "ok", "all entries of the archive are accepted as events")
