"""Checks an account's journal, in pages, newest first: each entry's balance is the previous one plus its changes."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field

from gateway.domain import Bucket, format_credits
from gateway.ledger.audit.closed_days import Earnings
from gateway.ledger.audit.reader import Reader
from gateway.ledger.audit.report import AuditDifference, DifferenceKind
from gateway.ledger.journal_records import Entry
from gateway.ledger.records import decode_entry

ENTRIES_AT_ONCE = 500
"""How many entries one script reads."""

_DAY_MS = 86_400_000
_LATE_MS = 40 * _DAY_MS
"""Some entries are written a month late: only accounts a month younger than the retention have complete journals."""

_BREAKS_MAX = 3  # a broken journal is reported, not each of its entries


@dataclass(slots=True)
class JournalReader:
    """Reads one journal. Entries never change and new ones do not shift older ones, so pages are consistent."""

    reader: Reader
    account: str
    entries: int = 0
    earned: Earnings = field(default_factory=Earnings)
    _available: Counter[Bucket] = field(default_factory=Counter)
    _held: Counter[Bucket] = field(default_factory=Counter)

    async def check(
        self,
        newest: Entry | None,
        available: Mapping[Bucket, int],
        held: Mapping[Bucket, int],
        created_at: int,
    ) -> list[AuditDifference]:
        """Check all entries from `newest` back against each other, and their sums against the balances at its moment.

        Sums are checked per bucket if the journal still begins with entry 1. `created_at` is in real time.
        """
        if newest is None:
            return []
        found: list[AuditDifference] = []
        after = newest
        async for entry in self._read(newest):
            if self.entries > 1:
                found += self._break(entry, after)
            if len(found) >= _BREAKS_MAX:
                return found
            self._add(entry)
            after = entry
        return found or self._end(after, available, held, created_at)

    def _end(
        self, oldest: Entry, available: Mapping[Bucket, int], held: Mapping[Bucket, int], created_at: int
    ) -> list[AuditDifference]:
        """Differences at the old end of a consistent journal, whose oldest entry is `oldest`."""
        if self.entries == 0:
            return [self._difference("newest entry", f"entry {oldest.id}", "none")]
        if oldest.id == 1:
            return [*self._first(oldest), *self._sums(available, held)]
        if created_at > self.reader.began_at - (self.reader.kept.journal_least_ms - _LATE_MS):
            wanted = "entry 1, because the account is younger than the retention"
            return [self._difference("oldest entry", wanted, f"entry {oldest.id}")]
        return []

    async def _read(self, newest: Entry) -> AsyncIterator[Entry]:
        key = self.reader.account_key(self.account)
        while True:
            _, (page,) = await self.reader.run(
                "audit_journal", key, newest_id=newest.id, read=self.entries, limit=ENTRIES_AT_ONCE
            )
            for text in page:
                self.entries += 1
                yield decode_entry(text.decode())
            if len(page) < ENTRIES_AT_ONCE:
                return

    def _add(self, entry: Entry) -> None:
        for bucket, change in entry.buckets.items():
            self._available[bucket] += change.credits_millicredits
            self._held[bucket] += change.held_millicredits
        self.earned.update(self.reader.days.earned(entry))

    def _break(self, entry: Entry, after: Entry) -> list[AuditDifference]:
        """Why `after` cannot follow `entry`."""
        about = f"entry {after.id}"
        if after.id != entry.id + 1:
            return [self._difference(about, f"entry {after.id - 1} before it", f"entry {entry.id}")]
        if after.at < entry.at:
            return [self._difference(about, "a time not before the entry before it", "an earlier one")]
        available = entry.available_after_millicredits + after.credits_millicredits
        held = entry.held_after_millicredits + after.held_millicredits
        if (available, held) == (after.available_after_millicredits, after.held_after_millicredits):
            return []
        return [self._difference(about, _balance(available, held), _balance_after(after))]

    def _first(self, entry: Entry) -> list[AuditDifference]:
        if (entry.credits_millicredits, entry.held_millicredits) == (
            entry.available_after_millicredits,
            entry.held_after_millicredits,
        ):
            return []
        wanted = _balance(entry.credits_millicredits, entry.held_millicredits)
        return [self._difference("entry 1", wanted, _balance_after(entry))]

    def _sums(self, available: Mapping[Bucket, int], held: Mapping[Bucket, int]) -> list[AuditDifference]:
        found = []
        for bucket in Bucket:
            wanted, there = (self._available[bucket], self._held[bucket]), (available[bucket], held[bucket])
            if wanted != there:
                about = f"sum of bucket {bucket}"
                found.append(self._difference(about, _balance(*wanted), _balance(*there), DifferenceKind.BALANCE))
        return found

    def _difference(
        self, about: str, expected: str, found: str, kind: DifferenceKind = DifferenceKind.JOURNAL
    ) -> AuditDifference:
        subject = f"account {self.account}, {about}"
        return AuditDifference(kind=kind, subject=subject, account=self.account, expected=expected, found=found)


def _balance(available: int, held: int) -> str:
    return f"{format_credits(available)} available and {format_credits(held)} held"


def _balance_after(entry: Entry) -> str:
    return _balance(entry.available_after_millicredits, entry.held_after_millicredits)
