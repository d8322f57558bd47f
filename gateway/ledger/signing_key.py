"""Which signing key the ledger is used with: a mark of it, from which the key cannot be had."""

from __future__ import annotations

from contextlib import suppress

from gateway.errors import LedgerFull
from gateway.ledger import keys
from gateway.ledger.core import LedgerCore


class SigningKeyOperations(LedgerCore):
    """One string. Plain commands: of two that come first, one is kept, and both are told which."""

    async def signing_key_mark(self) -> str | None:
        """The mark of the key that it is used with; None if no gateway or caretaker has started on it."""
        found: bytes | None = await self.command("GET", keys.SIGNING_KEY)
        return None if found is None else found.decode()

    async def claim_signing_key(self, mark: str) -> str:
        """The mark of the key that it is used with: `mark`, if there was none."""
        found = await self.signing_key_mark()
        if found is None:
            with suppress(LedgerFull):  # it can be started all the same; the next start claims it
                await self.command("SET", keys.SIGNING_KEY, mark, "NX")
            found = await self.signing_key_mark()
        return mark if found is None else found

    async def adopt_signing_key(self, mark: str) -> None:
        """Use it with another key from now on."""
        await self.command("SET", keys.SIGNING_KEY, mark)
