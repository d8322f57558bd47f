"""The daily trimming of all accounts, at low load. Active accounts are also trimmed by the scripts that use them."""

from __future__ import annotations

from gateway.ledger.audit.reader import Reader
from gateway.ledger.audit.scanning import scan
from gateway.ledger.ledger import Ledger

AT_ONCE = 200
"""How many entries one script trims, of the list and of the journal each: about a tenth of a millisecond."""

_WITH_A_PAST = "{fb??}:[cjr]*"  # `checkout:<account>:<id>`, `journal:<account>` and `recent:<account>`


async def trim_all(ledger: Ledger, *, rest: float = 1.0) -> int:
    """Trim all accounts once; returns how many entries were trimmed. `rest`: the pause after a reply, in reply times.

    It also lists purchases made before purchases were listed. Those are kept for 400 days, so this can be removed 400
    days after that version.
    """
    reader, trimmed = Reader(ledger, rest), 0
    async for names in scan(reader, _WITH_A_PAST):
        parts = [name.split(":", 3) for name in names]
        for account, checkout in ((part[2], part[3]) for part in parts if part[1] == "checkout"):
            await ledger.list_purchase(account=account, checkout=checkout)
        for account in dict.fromkeys(part[2] for part in parts if part[1] != "checkout"):
            while count := await ledger.trim(account=account, at_most=AT_ONCE):
                trimmed += count
    return trimmed
