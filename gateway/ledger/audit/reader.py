"""How the audit reads: small read-only scripts, a few at once, with a pause after each."""

from __future__ import annotations

import asyncio
import time

from gateway.ledger.audit.closed_days import ClosedDays
from gateway.ledger.core import LedgerCore
from gateway.ledger.retention import Kept
from gateway.redis_link.calls import Reply
from gateway.redis_link.scripts import Argument


class Reader:
    """Reads a ledger gently, pausing after each reply, so that a busy ledger slows the audit down."""

    def __init__(self, ledger: LedgerCore, rest: float) -> None:
        """Read `ledger`; each pause is `rest` times as long as the reply took."""
        self.ledger = ledger
        self.partitions = ledger.partitions
        self.kept = Kept.read({})
        self.days = ClosedDays((), 0, 0)
        self.began_at = 0  # Redis's time, in milliseconds
        self._rest = rest

    async def begin(self, now: int) -> None:
        """Record when the audit began, and read the ledger's retention."""
        self.began_at = now
        published = await self.ledger.published()
        self.kept = Kept.read(published)
        self.days = ClosedDays.read(published, now, self.kept.journal_least_ms)

    def account_key(self, account: str) -> str:
        """The Redis key of an account."""
        return self.ledger.account_key(account)

    async def run(self, name: str, key: str, /, **arguments: Argument | None) -> tuple[str, Reply]:
        """Run a read-only script, then pause."""
        started_at = time.monotonic()
        answer = await self.ledger.run(name, key, **arguments)
        await self.rest(started_at)
        return answer

    async def rest(self, started_at: float) -> None:
        """Pause after a call that started at this time."""
        await asyncio.sleep(self._rest * (time.monotonic() - started_at))
