"""Checks what `margin` says was earned on a day against the journals (R31): by partition, day and bucket.

Of the days that margin has, the first is left out: on that day the ledger may have been upgraded to count margins, or
rebuilt. In memory: two sums for each partition, day and bucket. Where they differ, the partition's journals are counted
again, each account once: a scan of keys may return one twice.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

from gateway.domain import Bucket, format_credits
from gateway.ledger import keys
from gateway.ledger.audit.accounts import check_account
from gateway.ledger.audit.closed_days import BucketDay, Earnings
from gateway.ledger.audit.keyspace import read_key
from gateway.ledger.audit.reader import Reader
from gateway.ledger.audit.rechecking import Findings
from gateway.ledger.audit.report import AuditDifference, DifferenceKind
from gateway.ledger.audit.scanning import scan
from gateway.ledger.margin_records import decode_margin

DAYS_AT_ONCE = 10
"""How many days of a partition one script reads; each has 2,000 rows at most."""

_EPOCH = date(1970, 1, 1).toordinal()


@dataclass(slots=True)
class Margins:
    """What margin says was earned, by partition and day; `first` is the first day that it has anything of."""

    of: defaultdict[int, dict[int, Counter[Bucket]]] = field(default_factory=lambda: defaultdict(dict))
    first: int | None = None

    async def read(self, reader: Reader, names: Iterable[str]) -> Findings:
        """Read those of these keys whose days are compared; nothing is found yet, unless they cannot be read."""
        days: defaultdict[int, list[int]] = defaultdict(list)
        for key in (read_key(name, reader.partitions) for name in names):
            if key is not None and key.partition is not None:
                day = date.fromisoformat(key.name.rpartition(":")[2]).toordinal() - _EPOCH
                days[key.partition] += [day] if day in reader.days else []
        for partition, all_days in days.items():
            for start in range(0, len(all_days), DAYS_AT_ONCE):
                await self._read(reader, partition, all_days[start : start + DAYS_AT_ONCE])
        return Findings()

    async def _read(self, reader: Reader, partition: int, days: Sequence[int]) -> None:
        _, rows = await reader.run("margins", keys.policy(partition), days=",".join(map(_name, days)))
        for day, flat in zip(days, rows, strict=True):
            self.first = day if self.first is None else min(day, self.first)
            earned = self.of[partition][day] = Counter()
            for row in decode_margin(_name(day), dict(zip(flat[::2], flat[1::2], strict=True))):
                if row.bucket is not None:
                    earned[row.bucket] += row.margin.millicredits

    def differences(self, partition: int, journals: Mapping[BucketDay, int]) -> list[AuditDifference]:
        """Where the journals of a partition say something else."""
        first, margins = self.first, dict[BucketDay, int]()
        for day, earned in self.of[partition].items():
            margins |= {BucketDay(day, bucket): millicredits for bucket, millicredits in earned.items()}
        return [
            AuditDifference(
                kind=DifferenceKind.MARGIN,
                subject=f"margin of {_name(place.day)} in partition {partition:02x}, bucket {place.bucket}",
                expected=f"{format_credits(journals.get(place, 0))} earned by the journals",
                found=format_credits(margins.get(place, 0)),
            )
            for place in sorted({*journals, *margins})
            if first is not None and place.day > first and journals.get(place, 0) != margins.get(place, 0)
        ]


async def check_margins(reader: Reader, partition: int, first: int | None) -> Findings:
    """Count a partition again, and compare."""
    margins, accounts, journals = Margins(first=first), set[str](), Earnings()
    async for names in scan(reader, keys.margin(partition, "*")):
        await margins.read(reader, names)
    async for names in scan(reader, keys.account(partition, "*")):
        accounts.update(name.split(":", 2)[2] for name in names)
    for account in accounts:
        journals.update((await check_account(reader, account)).earned)
    return Findings(margins.differences(partition, journals))


def _name(day: int) -> str:
    """A day as keys have it: 2026-11-22."""
    return date.fromordinal(day + _EPOCH).isoformat()
