"""The days for which the audit compares what was earned, and what journals say was earned on them (R31).

Only days that are over are compared, because nothing is added to them: account time is never behind real time.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from gateway.domain import Bucket, EntryKind
from gateway.ledger.journal_records import Entry

_DAY_MS = 86_400_000


class BucketDay(NamedTuple):
    """Where credits are earned; the day counts from 1970."""

    day: int
    bucket: Bucket


Earnings = Counter[BucketDay]
"""Millicredits that were charged, less what operators gave back."""


@dataclass(frozen=True, slots=True)
class ClosedDays:
    """The days that are over and whose journals are complete: those from `first` on, before `end`."""

    changes: tuple[tuple[int, int], ...]
    first: int
    end: int

    @classmethod
    def read(cls, policy: Mapping[str, str], began_at: int, journal_least_ms: int) -> ClosedDays:
        """By the rate card's time zone. Meanwhile another day may be trimmed."""
        texts = (change.split(",") for change in policy.get("zone", "").split(";") if change)
        changes = tuple((int(at), int(offset)) for at, offset in texts)
        if not changes:
            return cls((), 0, 0)
        whole = cls(changes, 0, 0)
        return cls(changes, whole.day(began_at - journal_least_ms) + 2, whole.day(began_at))

    def __contains__(self, day: int) -> bool:
        """Whether a day is compared."""
        return self.first <= day < self.end

    def day(self, at: int) -> int:
        """The day of a time, as `zones.day` of the scripts has it."""
        known = bisect_right(self.changes, at, lo=1, key=lambda change: change[0])
        return (at + self.changes[known - 1][1]) // _DAY_MS

    def earned(self, entry: Entry) -> Earnings:
        """What an entry of these days says was earned."""
        corrects = entry.kind is EntryKind.ADJUST and entry.generation is not None
        if not (corrects or entry.kind is EntryKind.COMMIT) or (day := self.day(entry.at)) not in self:
            return Earnings()
        return Earnings(
            {
                BucketDay(day, bucket): -change.credits_millicredits - change.held_millicredits
                for bucket, change in entry.buckets.items()
            }
        )
