"""A ledger or an archive that was set back: a failover to a replica that was behind, or a backup that was restored."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from gateway.archive.archivist import COPIED_BEFORE, Archivist
from gateway.archive.figures import ArchivistFigures
from gateway.archive.rebuilding import Rebuild
from gateway.errors import ArchiveUnavailable
from gateway.ledger.audit import audit
from gateway.tasks import cancel
from tests.archive.archived import Archived
from tests.ledger.world import World


class Saved:
    """All keys of a ledger, as a backup has them."""

    def __init__(self, dumps: dict[str, bytes]) -> None:
        self._dumps = dumps

    @classmethod
    async def of(cls, world: World) -> Saved:
        return cls({name: await world.redis.dump(name) for name in await world.contents()})

    async def restore(self, world: World) -> None:
        await emptied(world)  # so what was handed out before is no longer there
        for name, dump in self._dumps.items():
            await world.redis.restore(name, 0, dump)


async def test_entries_that_a_failover_took_back_do_not_hide_those_that_follow(archived: Archived) -> None:
    """They had the same ids: what the ledger wrote next was taken for copied, and trimmed, and was nowhere then."""
    world = archived.world
    await world.grant()
    old = await world.spend(3_000)
    await archived.copy()
    saved = await Saved.of(world)
    lost = await world.spend(1_000)
    await world.finish(lost)
    await world.finish(old)
    await world.grant("ann", 77)
    await archived.copy()
    await saved.restore(world)
    await world.grant("ann", 5)
    await archived.copy()
    assert await archived.entries() == await archived.journal()
    await world.fail(old)
    await world.finish(await world.spend(2_000))
    await archived.copy()
    assert await archived.entries() == await archived.journal()
    rows = await archived.connection.fetch("SELECT id, state FROM farebox.generations")
    assert lost not in {row["id"] for row in rows}
    assert {row["id"]: row["state"] for row in rows}[old] == "failed"
    balance = await world.available()
    await emptied(world)
    await Rebuild(world.ledger, archived.archivist.url, world.policy, await world.now()).run()
    assert await world.available() == balance
    assert not (await audit(world.ledger)).differences


async def test_an_older_archive_gets_what_idle_accounts_had_meanwhile(archived: Archived) -> None:
    """Only accounts that changed again were noticed: of the others the ledger trimmed what the archive had lost."""
    world = archived.world
    await world.account("idle")
    await archived.copy()
    copied = len(await archived.entries("idle"))
    await world.grant("idle")
    free = await world.spend(0, "idle")
    await world.finish(free)
    archived.archivist.minute_due = 0.0
    await archived.copy()
    await archived.archivist.writer.close()
    await archived.connection.execute("DELETE FROM farebox.entries WHERE account = 'idle' AND id > $1", copied)
    await archived.connection.execute("DELETE FROM farebox.generations")
    await archived.connection.execute(
        "UPDATE farebox.accounts SET last_entry = $1, at_entry = $1 WHERE account = 'idle'", copied
    )
    await archived.connection.execute("UPDATE farebox.state SET value = '1' WHERE name = 'heartbeat'")
    await runs_until(archived, lambda rows: rows["entries"] > copied and rows["generations"] == 1)
    assert await archived.entries("idle") == await archived.journal("idle")


async def test_an_older_ledger_has_idle_accounts_compared_too(archived: Archived) -> None:
    world = archived.world
    await world.account("idle")
    await archived.copy()
    saved = await Saved.of(world)
    await world.grant("idle")
    await world.finish(await world.spend(1_000, "idle"))
    for _ in range(2):
        archived.archivist.minute_due = 0.0
        await archived.copy()
    await archived.archivist.writer.close()
    await saved.restore(world)
    left = len(await archived.journal("idle"))
    await runs_until(archived, lambda rows: rows["entries"] == left and rows["generations"] == 0)
    assert await archived.entries("idle") == await archived.journal("idle")
    row = await archived.row("SELECT value FROM farebox.state WHERE name LIKE 'taken back idle %'")
    assert [text.split("|")[2] for text in json.loads(row["value"])] == ["grant", "reserve", "commit"]


async def test_archivists_that_are_killed_between_two_notes_copy_nothing_again(archived: Archived) -> None:
    world = archived.world
    await archived.copy()
    await world.ledger.note_archive_heartbeat(await world.ledger.archive_heartbeat() - 1)
    await archived.archivist.writer.note(COPIED_BEFORE, {"at": 1})
    await archived.archivist.notice_set_back()
    assert await archived.archivist.writer.state(COPIED_BEFORE) == {"at": 1}


async def test_a_ledger_that_began_anew_does_not_write_over_the_archive(archived: Archived) -> None:
    """Redis was lost, everything started on an empty one, and `ann` signed up again: nothing of her was left then."""
    world, archivist = archived.world, archived.archivist
    await archivist.begin()
    await world.grant()
    await archived.copy()
    before, balance = await archived.entries(), await world.available()
    await archivist.writer.close()
    await emptied(world)
    await world.publish()
    await world.account("ann")
    with pytest.raises(ArchiveUnavailable, match="rebuild"):
        await archivist.begin()
    assert not await world.ledger.has_archive()
    await emptied(world)
    await Rebuild(world.ledger, archivist.url, world.policy, await world.now()).run()
    await archivist.begin()
    assert await world.available() == balance
    assert await archived.entries() == before


async def emptied(world: World) -> None:
    world.holds = False
    for name in await world.contents():
        await world.redis.delete(name)


async def runs_until(archived: Archived, done: Callable[[Any], bool]) -> None:
    """Run an archivist as a process does, until the account `idle` is copied."""
    counts = """
        SELECT (SELECT count(*) FROM farebox.entries WHERE account = 'idle') AS entries,
            (SELECT count(*) FROM farebox.generations WHERE account = 'idle') AS generations
    """
    figures = ArchivistFigures(CollectorRegistry())
    task = asyncio.create_task(Archivist(archived.world.ledger, archived.archivist.url, figures, 0.01).run())
    while not done(await archived.row(counts)):
        await asyncio.sleep(0.02)
    await cancel(task)
