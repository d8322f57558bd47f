"""What a caretaker does once a day, beside its rounds and never in their way: trim idle accounts, audit the ledger.

Of several caretakers the one that takes the turn in the ledger makes it. An outage of the ledger ends an audit without
a result; the turn lapses, and whoever comes next begins anew.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import structlog

from gateway.domain import operation_id
from gateway.errors import LedgerUnavailable
from gateway.ledger.audit import Report, audit, claim_audit, keep_claim, remember
from gateway.ledger.audit.result import CLAIM_MS, TEXTS_MAX
from gateway.ledger.ledger import Ledger
from gateway.ledger.trimming import trim_all
from gateway.tasks import cancel

_FIRST_LOOK_SECONDS = 5.0  # after a start there is more urgent work
_CHECK_SECONDS = 60.0
_REST = 3.0  # three parts of rest to one of work: nobody waits for the result

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class DailyAudit:
    """Looks once a minute whether an audit is due, and makes it if it is this process's turn."""

    ledger: Ledger
    name: str = field(default_factory=operation_id)

    async def run(self) -> None:
        """Go on for ever. Nothing that happens here ends the caretaker, or more than one audit."""
        await asyncio.sleep(_FIRST_LOOK_SECONDS)
        while True:
            try:
                await self.take_turn()
            except LedgerUnavailable as error:
                log.warning("audit_delayed", error=str(error))
            except Exception:
                log.exception("audit_failed")
            await asyncio.sleep(_CHECK_SECONDS)

    async def take_turn(self) -> Report | None:
        """Audit the ledger if that is due and nobody else is at it; None if not."""
        if not await claim_audit(self.ledger, self.name):
            return None
        keeping = asyncio.create_task(self._keep_turn(), name="keep the audit's turn")
        try:
            trimmed = await trim_all(self.ledger, rest=_REST)  # first: the audit proves that it did no harm
            if trimmed:
                log.info("idle_accounts_trimmed", entries=trimmed)
            report = await audit(self.ledger, rest=_REST)
        finally:
            await cancel(keeping)
        _tell(report)  # first: a ledger that takes nothing new must not keep its differences from the log
        await remember(self.ledger, report)
        return report

    async def _keep_turn(self) -> None:
        while True:
            await asyncio.sleep(CLAIM_MS / 4000)
            try:
                await keep_claim(self.ledger, self.name)
            except LedgerUnavailable:
                continue  # the audit itself finds out


def _tell(report: Report) -> None:
    for difference in report.differences[:TEXTS_MAX]:
        log.error(
            "audit_difference",
            kind=difference.kind,
            subject=difference.subject,
            expected=difference.expected,
            found=difference.found,
            account=difference.account,
            generation=difference.generation,
        )
    log.info(
        "audit_finished",
        differences=report.difference_count,
        unproved=len(report.unproved),
        accounts=report.accounts,
        generations=report.generations,
        entries=report.entries,
        seconds=round((report.finished - report.at) / 1000, 3),
    )
