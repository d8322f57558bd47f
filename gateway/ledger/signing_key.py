"""The signing key that the ledger is used with, as a fingerprint that does not reveal it."""

from __future__ import annotations

from contextlib import suppress

from gateway.errors import LedgerFull
from gateway.ledger import keys
from gateway.ledger.core import LedgerCore


class SigningKeyOperations(LedgerCore):
    """One string, by plain commands: of two first claims, one is stored, and both callers get that one."""

    async def signing_key_mark(self) -> str | None:
        """The fingerprint of the key in use; None if no gateway or caretaker has started on this ledger."""
        found: bytes | None = await self.command("GET", keys.SIGNING_KEY)
        return None if found is None else found.decode()

    async def claim_signing_key(self, mark: str) -> str:
        """The fingerprint of the key in use; `mark`, if there was none."""
        found = await self.signing_key_mark()
        if found is None:
            with suppress(LedgerFull):  # starting must still work; the next start claims it
                await self.command("SET", keys.SIGNING_KEY, mark, "NX")
            found = await self.signing_key_mark()
        return mark if found is None else found

    async def adopt_signing_key(self, mark: str) -> None:
        """Switch to another key."""
        await self.command("SET", keys.SIGNING_KEY, mark)
