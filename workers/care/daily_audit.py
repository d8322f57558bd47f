"""Once a day, and when most accounts are new, in the background: trim idle accounts and audit the ledger.

The caretaker that takes the lock in the ledger does it. A ledger outage ends an audit without a result; the lock
expires, and the next caretaker starts again.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import structlog

from gateway.domain import operation_id
from gateway.errors import LedgerUnavailable
from gateway.ledger.audit import Report, audit, claim_audit, keep_claim, last_audit, make_audit_due, remember
from gateway.ledger.audit.result import CLAIM_MS, TEXTS_MAX
from gateway.ledger.ledger import Ledger
from gateway.ledger.trimming import trim_all
from gateway.tasks import cancel

_FIRST_CHECK_SECONDS = 5.0  # right after a start, other work is more urgent
_CHECK_SECONDS = 60.0
_REST = 3.0  # three parts of rest to one of work: the result is not urgent

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class DailyAudit:
    """Checks once a minute whether an audit is due, and runs it if this process gets the lock."""

    ledger: Ledger
    name: str = field(default_factory=operation_id)

    async def run(self) -> None:
        """Run forever. An error ends one audit at most, never the caretaker."""
        await asyncio.sleep(_FIRST_CHECK_SECONDS)
        while True:
            try:
                await self.audit_if_due()
            except LedgerUnavailable as error:
                log.warning("audit_delayed", error=str(error))
            except Exception:
                log.exception("audit_failed")
            await asyncio.sleep(_CHECK_SECONDS)

    async def audit_if_due(self) -> Report | None:
        """Audit the ledger if it is due and no other process does it; otherwise None.

        It is also due when most accounts are newer than the last audit: right after the first start that had found
        nothing to check, and its clean result said nothing of what has come since.
        """
        last = await last_audit(self.ledger)
        if last is not None and (await self.ledger.totals()).accounts > 2 * last.accounts:
            await make_audit_due(self.ledger)
        if not await claim_audit(self.ledger, self.name):
            return None
        renewing = asyncio.create_task(self._renew_claim(), name="renew the audit's claim")
        try:
            trimmed = await trim_all(self.ledger, rest=_REST)  # first: the audit then shows that trimming did no harm
            if trimmed:
                log.info("idle_accounts_trimmed", entries=trimmed)
            report = await audit(self.ledger, rest=_REST)
        finally:
            await cancel(renewing)
        _log_report(report)  # first: differences must be logged even if the ledger accepts no writes
        await remember(self.ledger, report)
        return report

    async def _renew_claim(self) -> None:
        while True:
            await asyncio.sleep(CLAIM_MS / 4000)
            try:
                await keep_claim(self.ledger, self.name)
            except LedgerUnavailable:
                continue  # the audit itself will notice


def _log_report(report: Report) -> None:
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
