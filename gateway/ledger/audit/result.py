"""What the last audit came to, kept in the ledger for whoever watches it; and whose turn the next one is.

The turn is a key with a TTL: a caretaker's while it audits, `done` until the next audit is due. So Redis's clock says
when that is, and of several caretakers one takes it.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields

from gateway.ledger import keys
from gateway.ledger.audit.report import Report
from gateway.ledger.core import LedgerCore

TEXTS_MAX = 20
EVERY_MS = 24 * 3600 * 1000
CLAIM_MS = 120_000
"""How long a caretaker's turn lasts unless it keeps it: a dead one's audit is another's after this."""

_DONE = "done"


@dataclass(frozen=True, slots=True, kw_only=True)
class LastAudit:
    """The last whole audit. Times are Redis's, in milliseconds; `texts` are the first differences, in sentences."""

    at: int
    finished: int
    accounts: int
    generations: int
    entries: int
    differences: int
    unproved: int
    texts: tuple[str, ...] = ()


async def remember(ledger: LedgerCore, report: Report) -> LastAudit:
    """Keep what a whole audit came to; the next is due in 24 hours."""
    last = LastAudit(
        at=report.at,
        finished=report.finished,
        accounts=report.accounts,
        generations=report.generations,
        entries=report.entries,
        differences=report.difference_count,
        unproved=len(report.unproved),
        texts=tuple(str(difference) for difference in report.differences[:TEXTS_MAX]),
    )
    await ledger.command("SET", keys.AUDIT, json.dumps(asdict(last)))
    await ledger.command("SET", keys.AUDIT_CLAIM, _DONE, "PX", EVERY_MS)
    return last


async def last_audit(ledger: LedgerCore) -> LastAudit | None:
    """What the last audit came to; None before the first."""
    kept = await ledger.command("GET", keys.AUDIT)
    if kept is None:
        return None
    record = json.loads(kept)
    values = {each.name: record[each.name] for each in fields(LastAudit)}  # a newer Farebox may say more
    return LastAudit(**values | {"texts": tuple(record["texts"])})


async def claim_audit(ledger: LedgerCore, holder: str) -> bool:
    """Whether an audit is due and it is now `holder`'s turn to make it."""
    return await ledger.command("SET", keys.AUDIT_CLAIM, holder, "NX", "PX", CLAIM_MS) is not None


async def keep_claim(ledger: LedgerCore, holder: str) -> None:
    """Go on with one's turn. It may have passed to another meanwhile: two audits at once harm nobody."""
    await ledger.command("SET", keys.AUDIT_CLAIM, holder, "XX", "PX", CLAIM_MS)
