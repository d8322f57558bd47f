"""Copies the audit log, and trims it: the ledger itself removes nothing of it while there is an archive."""

from __future__ import annotations

from gateway.archive.rows import moment
from gateway.archive.storing import ArchiveWriter
from gateway.ledger.ledger import Ledger

_AT_ONCE = 500
_CURSOR = "audit_log"


async def copy_audit_log(ledger: Ledger, writer: ArchiveWriter) -> int:
    """Copy what was logged since the last time, with the cursor; returns how many entries.

    A call that has ended is logged in place of the entry of its beginning, with a later id: so here too.
    """
    copied = 0
    while True:
        cursor = str(await writer.state(_CURSOR) or "")
        found = await ledger.logged_after(cursor, at_most=_AT_ONCE)
        if found:
            rows = [(one, moment(int(one.partition("-")[0])), request, call) for one, request, call in found]
            await writer.store_calls(rows, cursor=found[-1][0])
            copied += len(found)
        if len(found) < _AT_ONCE:
            break
    if copied:
        await ledger.trim_audit_log(copied_to=str(await writer.state(_CURSOR) or ""))
    return copied
