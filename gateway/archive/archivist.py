"""`farebox archivist`: copies what changed in the ledger to the archive, in order per account, each entry once.

A round reads some partitions, writes what they have in one transaction, and confirms. Killed in between, the next round
reads and writes the same again, which changes nothing. While PostgreSQL is away, the ledger goes on: it keeps what is
marked, and the lag grows.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from time import monotonic
from uuid import uuid4

import structlog
from cachetools import LRUCache

from gateway.archive.audit_log import copy_audit_log
from gateway.archive.figures import ArchivistFigures
from gateway.archive.migrating import migrate
from gateway.archive.rows import moment
from gateway.archive.storing import ApiKeys, ArchiveWriter, Stored
from gateway.clock import now_ms
from gateway.errors import ArchiveUnavailable, LedgerUnavailable
from gateway.ledger import keys
from gateway.ledger.archiving import Changes, Taken
from gateway.ledger.audit.reader import Reader
from gateway.ledger.audit.scanning import scan
from gateway.ledger.ledger import Ledger
from gateway.tasks import cancel

_PARTITIONS_AT_ONCE = 16
_MARKS_MAX = 64
_ENTRIES_MAX = 500
"""Of a partition in one script, which takes 2 ms then; a transaction has up to 16 times as many: 10 MB."""

_REST_SECONDS = 0.2  # while little changes: changes of one account within it are copied together
_IDLE_SECONDS = 1.0  # while nothing changes
_AGAIN_SECONDS = 2.0  # after an error
_STANDBY_SECONDS = 3.0
_MARKED_AHEAD_MAX = 2_000  # accounts from before the archive: so many are marked, then copied, then the next
_KEYS_KNOWN = 20_000
_EACH_SECONDS = 60.0  # heartbeat and operators' keys

COPIED_BEFORE, HEARTBEAT, LEDGER = "copied_before", "heartbeat", "ledger"  # names of `state`

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Archivist:
    """Copies for ever, or stands by while another one does."""

    ledger: Ledger
    url: str
    figures: ArchivistFigures
    rest_seconds: float = _REST_SECONDS
    writer: ArchiveWriter = field(init=False)
    _keys: LRUCache[str, tuple[tuple[str, ...], ApiKeys]] = field(init=False)
    _problem: str | None = None
    minute_due: float = 0.0

    def __post_init__(self) -> None:
        self.writer = ArchiveWriter(self.url, self.ledger.partitions)
        self._keys = LRUCache(_KEYS_KNOWN)

    async def run(self) -> None:
        """Run until cancelled. An outage of either side is logged once and waited for."""
        try:
            while True:
                try:
                    await self._copy_for_ever()
                except (ArchiveUnavailable, LedgerUnavailable) as error:
                    self._report(str(error))
                    await self._read_lag()
                    await asyncio.sleep(_AGAIN_SECONDS)
        finally:
            await self.writer.close()

    async def _copy_for_ever(self) -> None:
        await self.begin()
        while True:
            stored, full = await self.round()
            self._report(None)
            if not full:
                await asyncio.sleep(self.rest_seconds if stored else max(self.rest_seconds, _IDLE_SECONDS))

    async def begin(self) -> None:
        """Become the archivist that copies, and copy what was there before there was one.

        ArchiveUnavailable if the archive is another ledger's.
        """
        before, after = await migrate(self.url)
        if before != after:
            log.info("archive_migrated", revision_before=before, revision=after)
        while not await self.writer.claim():
            self.figures.writes.set(0)
            await asyncio.sleep(_STANDBY_SECONDS)
        await self.check_ledger()
        self.figures.writes.set(1)
        await self.ledger.switch_archive(on=True)
        log.info("archivist_copies")
        await self.notice_set_back()
        await self._copy_what_was_before()

    async def check_ledger(self) -> None:
        """Give ledger and archive a name that both note; ArchiveUnavailable if they have noted different ones.

        A ledger that began anew would write over its accounts in the archive, from which it is yet to be rebuilt.
        """
        noted, own = await self.writer.state(LEDGER), await self.ledger.archived_as()
        if noted is None and own is None:
            own = uuid4().hex
            await self.ledger.note_archived_as(own)  # first: an archive that has a name has copies of its ledger
        if noted is None:
            await self.writer.note(LEDGER, own)
        elif noted != own:
            await self.writer.close()
            self.figures.writes.set(0)
            raise ArchiveUnavailable(
                "the archive is of another ledger, or of this one before its Redis was emptied. If that was lost: "
                "`farebox rebuild --from-archive`. Otherwise set FAREBOX_ARCHIVE_URL to a database of its own"
            )

    async def round(self) -> tuple[int, bool]:
        """Copy what all partitions have now; how many accounts that were, and whether there may be more at once."""
        stored, full, oldest = 0, False, now_ms()
        following = self._take(0)
        for first in range(0, self.ledger.partitions, _PARTITIONS_AT_ONCE):
            taken = await following
            if first + _PARTITIONS_AT_ONCE < self.ledger.partitions:
                following = self._take(first + _PARTITIONS_AT_ONCE)  # read while these are written
            oldest = min(oldest, *(one.oldest_at or oldest for one in taken.values()))
            by_partition = {partition: one.changes for partition, one in taken.items() if one.changes}
            if by_partition:
                try:
                    stored += await self._copy(by_partition)
                except BaseException:
                    await cancel(following)
                    raise
                full = full or any(_is_full(changes) for changes in by_partition.values())
        self.figures.lag.set(max(0, now_ms() - oldest) / 1000)
        await copy_audit_log(self.ledger, self.writer)
        await self._each_minute()
        return stored, full

    def _take(self, first: int) -> asyncio.Task[dict[int, Taken]]:
        some = range(first, min(first + _PARTITIONS_AT_ONCE, self.ledger.partitions))

        async def take() -> dict[int, Taken]:
            taken = await asyncio.gather(
                *(
                    self.ledger.take_changes(partition=one, marks_max=_MARKS_MAX, entries_max=_ENTRIES_MAX)
                    for one in some
                )
            )
            return dict(zip(some, taken, strict=True))

        return asyncio.create_task(take(), name=f"take changes from partition {first}")

    async def _each_minute(self) -> None:
        if monotonic() < self.minute_due:
            return
        self.minute_due = monotonic() + _EACH_SECONDS
        heartbeat = int(await self.writer.state(HEARTBEAT) or 0) + 1
        await self.writer.note(HEARTBEAT, heartbeat)
        await self.ledger.note_archive_heartbeat(heartbeat)
        await self._copy_operators()

    async def notice_set_back(self) -> None:
        """Have everything compared and copied, if ledger or archive is a restored backup: their heartbeats differ.

        Otherwise only accounts that change would be, and meanwhile the others' journals would be trimmed.
        """
        archive, ledger = int(await self.writer.state(HEARTBEAT) or 0), await self.ledger.archive_heartbeat()
        if archive == ledger:
            return
        if archive == ledger + 1:  # killed in between
            await self.ledger.note_archive_heartbeat(archive)
            return
        log.warning(
            "archive_set_back" if archive < ledger else "ledger_set_back",
            archive=archive,
            ledger=ledger,
            consequence="everything in the ledger is compared with the archive, and copied again where it differs",
        )
        await self.writer.note(COPIED_BEFORE, None)
        newest = max(archive, ledger)
        await self.writer.note(HEARTBEAT, newest)
        await self.ledger.note_archive_heartbeat(newest)

    async def _copy_operators(self) -> None:
        """The list of operators' keys with their records: a few."""
        flat = await self.ledger.command("HGETALL", keys.OPERATORS)
        listed = {name.decode(): text.decode() for name, text in flat.items()}
        ids = [name[4:] for name in listed if name.startswith("key:")]
        records = await asyncio.gather(*(self.ledger.command("GET", keys.key(key_id)) for key_id in ids))
        kept = {key_id: record.decode() for key_id, record in zip(ids, records, strict=True) if record is not None}
        await self.writer.note("operators", {"listed": listed, "records": kept})

    async def _copy(self, by_partition: dict[int, tuple[Changes, ...]]) -> int:
        changes = [change for some in by_partition.values() for change in some]
        cursors = await self.writer.cursors([change.account for change in changes])
        behind = {
            one.account: cursors.get(one.account, 0) for one in changes if one.reached > cursors.get(one.account, 0)
        }
        for account, entry in behind.items():
            log.warning("archive_behind", account=account, entry=entry, consequence="copied again from there")
            await self.ledger.rewind_archived(account=account, entry=entry)
        ready = [change for change in changes if change.account not in behind]
        for change in ready:
            if change.reached < cursors.get(change.account, 0):  # it was killed, or the ledger was set back
                await self._compare(change, cursors)
        stored = await self.writer.store(ready, await self._api_keys(ready), cursors, moment(now_ms()))
        await asyncio.gather(
            *(
                self.ledger.note_archived(
                    partition=partition, changes=[one for one in some if one.account not in behind]
                )
                for partition, some in by_partition.items()
            )
        )
        self._count(stored)
        return len(changes)

    async def _compare(self, change: Changes, cursors: dict[str, int]) -> None:
        """Take out of the archive what the ledger no longer has; the account's cursor is before it then."""
        found = await self.writer.taken_back(change)
        if found is None:
            return
        log.error(
            "archive_ahead",
            account=found.account,
            entry=found.first,
            entries=len(found.entries),
            consequence="the ledger was set back and no longer has them: they were taken out of the archive",
        )
        await self.ledger.mark_generations(found.account, found.generations - found.made, now=now_ms())
        await self.writer.take_out(found, moment(now_ms()))
        self.figures.taken_back.inc(len(found.entries))
        cursors[found.account] = found.first - 1

    async def _api_keys(self, changes: Sequence[Changes]) -> dict[str, ApiKeys]:
        """The records of the accounts' API keys, which have digests, never the keys."""
        found: dict[str, ApiKeys] = {}
        unknown = {}
        for change in changes:
            if not change.whole or change.stored is None:
                continue
            names = tuple(name[4:] for name in change.stored.fields if name.startswith("key:"))
            known = self._keys.get(change.account)
            if known is not None and known[0] == names:
                found[change.account] = known[1]
            else:
                unknown[change.account] = names
        for account, names in unknown.items():
            records = await asyncio.gather(*(self.ledger.command("GET", keys.key(name)) for name in names))
            kept = {name: record.decode() for name, record in zip(names, records, strict=True) if record is not None}
            found[account] = kept
            if len(kept) == len(names):  # a key's record is written a moment after the account lists it
                self._keys[account] = names, kept
        return found

    async def _copy_what_was_before(self) -> None:
        """Copy accounts from before the archive, once: some are marked, then copied, then the next."""
        if await self.writer.state(COPIED_BEFORE) is not None:
            return
        log.info("archive_begins", consequence="everything in the ledger is copied first")
        marked = 0
        async for names in scan(Reader(self.ledger, 1.0), "{fb??}:account:*"):
            for name in names:
                await self.ledger.mark_all_of(name.split(":", 2)[2], now=now_ms())
            marked += len(names)
            if marked >= _MARKED_AHEAD_MAX:
                marked = 0
                await self._drain()
        await self._drain()
        await self.writer.note(COPIED_BEFORE, {"at": now_ms()})
        log.info("archive_complete")

    async def _drain(self) -> None:
        full = True
        while full:
            _, full = await self.round()

    async def _read_lag(self) -> None:
        try:
            since = await self.ledger.unarchived_since()
        except LedgerUnavailable:
            return
        self.figures.lag.set(0 if since is None else max(0, now_ms() - since) / 1000)

    def _count(self, stored: Stored) -> None:
        self.figures.accounts.inc(stored.accounts)
        self.figures.entries.inc(stored.entries)
        self.figures.generations.inc(stored.generations)
        for account, entry in stored.gaps.items():
            self.figures.gaps.inc()
            log.error("archive_gap", account=account, first_missing_entry=entry)

    def _report(self, problem: str | None) -> None:
        if problem is not None and self._problem is None:
            log.warning("archive_not_reached", problem=problem, consequence="the ledger goes on, and keeps it all")
        if problem is None and self._problem is not None:
            log.info("archive_reached_again")
        self._problem = problem


def _is_full(changes: Sequence[Changes]) -> bool:
    entries = sum(max(len(change.entries), len(change.generations)) for change in changes)
    return entries >= _ENTRIES_MAX // 2 or len(changes) >= _MARKS_MAX // 4
