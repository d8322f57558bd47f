"""`farebox archivist --switch-off`: the ledger keeps and removes things by itself again, as without an archive.

What ended while there was an archive has no lifetime, because it stayed until it was copied; it gets the usual one.
Interrupted, run it again.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from gateway.archive.archivist import Archivist
from gateway.errors import ArchiveInUse
from gateway.ledger import keys
from gateway.ledger.audit.reader import Reader
from gateway.ledger.audit.scanning import scan
from gateway.ledger.ledger import Ledger

_DAY_MS = 86_400_000
_RECORD_MS = 30 * _DAY_MS  # as `lib/ending.lua` has it
_LEAST_MS = _DAY_MS  # so that a caretaker deletes overdue outputs first


@dataclass(slots=True)
class SwitchedOff:
    """How many generations and days of usage got a lifetime."""

    generations: int = 0
    usage: int = 0


async def switch_off(ledger: Ledger, archivist: Archivist) -> SwitchedOff:
    """Copy what is left, then switch it off. ArchiveInUse: an archivist runs. ArchiveUnavailable, LedgerUnavailable."""
    if not await archivist.writer.claim():
        raise ArchiveInUse(
            "an archivist is running and would switch the archive on again: stop all of them, and remove "
            "FAREBOX_ARCHIVE_URL from what starts them"
        )
    if await ledger.has_archive():
        await archivist.check_ledger()
        while (await archivist.round())[0]:
            pass
    await ledger.switch_archive(on=False)
    done = SwitchedOff()
    now, usage_ms = await ledger.time(), int((await ledger.published())["keep:usage"])
    reader = Reader(ledger, 0.5)
    async for names in scan(reader, "{fb??}:generation:*"):
        done.generations += sum(await asyncio.gather(*(_end(ledger, name, now) for name in names)))
    async for names in scan(reader, "{fb??}:usage*"):
        given = await asyncio.gather(*(ledger.command("PEXPIRE", name, usage_ms, "NX") for name in names))
        done.usage += sum(given)
    for partition in range(ledger.partitions):
        await ledger.command("DEL", keys.unarchived(partition), keys.archiving(partition))
    return done


async def _end(ledger: Ledger, name: str, now: int) -> int:
    """Give an ended generation its lifetime, if it has none; how many that are."""
    finished_at, terms = await ledger.command("HMGET", name, "finished_at", "terms")
    if finished_at is None or terms is None:
        return 0
    kept_ms = max(_RECORD_MS, int(terms.split(b",")[4]))
    at = max(int(finished_at) + kept_ms, now + _LEAST_MS)
    return int(await ledger.command("PEXPIREAT", name, at, "NX"))
