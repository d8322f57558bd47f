"""The result of the last audit, stored in the ledger for operators, and the claim on the next one.

The claim is a key with a TTL: a caretaker's id while it audits, then `done` until the next audit is due. So Redis's
clock decides when that is, and only one of several caretakers audits.
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
"""How long a claim lasts unless renewed. After this, another caretaker takes over from a dead one."""

_DONE = "done"


@dataclass(frozen=True, slots=True, kw_only=True)
class LastAudit:
    """The last full audit. Times are Redis's, in milliseconds; `texts` are the first differences, as sentences."""

    at: int
    finished: int
    accounts: int
    generations: int
    entries: int
    differences: int
    unproved: int
    texts: tuple[str, ...] = ()


async def remember(ledger: LedgerCore, report: Report) -> LastAudit:
    """Store the result of a full audit; the next is due in 24 hours."""
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
    """The result of the last audit; None before the first."""
    kept = await ledger.command("GET", keys.AUDIT)
    if kept is None:
        return None
    record = json.loads(kept)
    values = {each.name: record[each.name] for each in fields(LastAudit)}  # a newer Farebox may have written more
    return LastAudit(**values | {"texts": tuple(record["texts"])})


async def next_audit_in_ms(ledger: LedgerCore) -> int | None:
    """In how long the next audit is due; None if one is due or running."""
    holder, left = await ledger.command("GET", keys.AUDIT_CLAIM), await ledger.command("PTTL", keys.AUDIT_CLAIM)
    return int(left) if holder == _DONE.encode() and left > 0 else None


async def make_audit_due(ledger: LedgerCore) -> None:
    """Have the next audit begin as soon as a caretaker looks. One that is running is left to end."""
    if await ledger.command("GET", keys.AUDIT_CLAIM) == _DONE.encode():
        await ledger.command("DEL", keys.AUDIT_CLAIM)  # claimed in between: two concurrent audits are harmless


async def claim_audit(ledger: LedgerCore, holder: str) -> bool:
    """Claim the next audit for `holder`; False if none is due, or another process has claimed it."""
    return await ledger.command("SET", keys.AUDIT_CLAIM, holder, "NX", "PX", CLAIM_MS) is not None


async def keep_claim(ledger: LedgerCore, holder: str) -> None:
    """Renew the claim. Another process may have taken it meanwhile: two concurrent audits are harmless."""
    await ledger.command("SET", keys.AUDIT_CLAIM, holder, "XX", "PX", CLAIM_MS)
