"""What is done for the past of all accounts once a day, gently: what is active is looked after by its own scripts."""

from __future__ import annotations

from gateway.ledger.audit.reader import Reader
from gateway.ledger.audit.scanning import scan
from gateway.ledger.ledger import Ledger

AT_ONCE = 200
"""Of the list and of the journal each, in one script: about a tenth of a millisecond."""

_WITH_A_PAST = "{fb??}:[cjr]*"  # `checkout:<account>:<id>`, `journal:<account>` and `recent:<account>`


async def trim_all(ledger: Ledger, *, rest: float = 1.0) -> int:
    """Go once through all accounts; how much was trimmed. `rest`: in times of what an answer took.

    Purchases that began before they were listed are put on their account's list; they are kept for 400 days, so a year
    after that version nobody needs it.
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
