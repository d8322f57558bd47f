"""Calls of clients that send no idempotency key, so that their own retries make nothing twice.

A client that retries by itself sends the same request again. Each call gets a key of the gateway's, remembered under
what its retries have in common (account, API key, path, body) before anything is reserved. A retry finds the call's
key and uses it as an `Idempotency-Key`, in `reserve`. Only the last of several equal calls is remembered: retries of
two that were sent side by side lead to one generation, and never to a third.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway.domain import partition_of_account
from gateway.ledger import keys

if TYPE_CHECKING:
    from gateway.ledger.core import LedgerCore


@dataclass(frozen=True, slots=True)
class ClientCall:
    """What a call and its retries have in common: `digest` is of everything but the account."""

    account: str
    digest: str


class ClientCalls:
    """The keys of calls that may be retried."""

    def __init__(self, ledger: LedgerCore) -> None:
        """Keep them in `ledger`, beside what the calls make."""
        self._ledger = ledger

    async def began(self, call: ClientCall, seconds: int) -> str:
        """A new key for a call, found by its retries for so long."""
        made = secrets.token_hex(16)
        await self._ledger.command("SET", self._key(call), made, "EX", seconds)
        return made

    async def known(self, call: ClientCall, seconds: int) -> str:
        """The key of the call that this is a retry of, kept for so long from now; a new one if there is none."""
        await self._ledger.command("SET", self._key(call), secrets.token_hex(16), "NX", "EX", seconds)
        kept = await self._ledger.command("GETEX", self._key(call), "EX", seconds)
        return kept.decode() if kept is not None else await self.began(call, seconds)

    async def answered(self, call: ClientCall) -> None:
        """Forget a call: the same request from now on is another one."""
        await self._ledger.command("DEL", self._key(call))

    def _key(self, call: ClientCall) -> str:
        return keys.client_call(partition_of_account(call.account, self._ledger.partitions), call.account, call.digest)
