"""Checks the number of accounts in `totals`, while accounts are being created."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from gateway.errors import LedgerUnavailable
from gateway.ledger import keys
from gateway.ledger.audit.keyspace import read_key
from gateway.ledger.audit.reader import Reader
from gateway.ledger.audit.rechecking import Findings
from gateway.ledger.audit.report import AuditDifference, DifferenceKind
from gateway.ledger.audit.scanning import scan


class AccountCount:
    """A partition's count in `totals` at one moment, and how many of its accounts were created before."""

    def __init__(self, partition: int, total: int, moment: int) -> None:
        """Count accounts of `partition`. `totals` had `total` at `moment` (Redis time)."""
        self.partition = partition
        self.total = total
        self.moment = moment
        self.before = 0
        self._with_it = 0

    @classmethod
    async def of(cls, reader: Reader, partition: int) -> AccountCount:
        """Read the current totals."""
        _, (_, now, totals, *_) = await reader.run("audit_index", keys.deadlines(partition), cursor="0", limit=1)
        numbers = dict(zip(totals[::2], totals[1::2], strict=True))
        return cls(partition, int(numbers.get(b"accounts", 0)), int(now))

    def add(self, created_at: int) -> None:
        """Count an account found among the keys."""
        self.before += created_at < self.moment
        self._with_it += created_at == self.moment

    @property
    def agrees(self) -> bool:
        """Whether the totals were correct; accounts created in that very millisecond may or may not be included."""
        return self.before <= self.total <= self.before + self._with_it


async def created_at(reader: Reader, accounts: Sequence[str]) -> list[int]:
    """When each account was created; 0 if unknown."""
    asked = (reader.ledger.command("HGET", reader.account_key(account), "created_at") for account in accounts)
    answers = await asyncio.gather(*asked, return_exceptions=True)
    for answer in answers:
        if isinstance(answer, LedgerUnavailable):
            raise answer
    return [int(answer) if isinstance(answer, bytes) and answer.isdigit() else 0 for answer in answers]


async def check_account_count(reader: Reader, partition: int) -> Findings:
    """Count a partition's accounts once more and compare."""
    count = await AccountCount.of(reader, partition)
    async for names in scan(reader, keys.account(partition, "*")):
        read = [read_key(name, reader.partitions) for name in names]
        accounts = [key.account for key in read if key is not None and key.account is not None]
        for moment in await created_at(reader, accounts):
            count.add(moment)
    if count.agrees:
        return Findings()
    subject = f"{keys.totals(partition)}, field accounts"
    return Findings(
        [
            AuditDifference(
                kind=DifferenceKind.TOTALS, subject=subject, expected=str(count.before), found=str(count.total)
            )
        ]
    )
