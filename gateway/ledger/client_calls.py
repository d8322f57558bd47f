"""Calls of clients that send no idempotency key, so that their own retries make nothing twice.

A client that retries by itself sends the same request again. Each call gets a key of the gateway's, remembered under
what its retries have in common (account, API key, path, body) before anything is reserved. A retry finds the call's
key and uses it as an `Idempotency-Key`, in `reserve`. Of equal calls that were made side by side each retry finds
another, by how often it says that it has been sent: none loses its result to another.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway.domain import partition_of_account
from gateway.ledger import keys

if TYPE_CHECKING:
    from gateway.ledger.core import LedgerCore

CALLS_MAX = 100
"""Equal calls that are remembered at a time: more than an account may have in work."""


@dataclass(frozen=True, slots=True)
class ClientCall:
    """What a call and its retries have in common (`digest`, of everything but the account); kept for `seconds`."""

    account: str
    digest: str
    seconds: int


class ClientCalls:
    """The keys of calls that may be retried."""

    def __init__(self, ledger: LedgerCore) -> None:
        """Keep them in `ledger`, beside what the calls make."""
        self._ledger = ledger

    async def key_of(self, call: ClientCall, retries: int) -> str:
        """A new call's key, or that of the one that this is retry number `retries` of; a new one if there is none.

        A client that does not count its retries says 1 of each.
        """
        return await self._note("call", call, secrets.token_hex(16), retries)

    async def answered(self, call: ClientCall, key: str) -> None:
        """Note that a call has its response: retries are those of others, as long as there are any."""
        await self._note("answer", call, key)

    async def forgotten(self, call: ClientCall, key: str) -> None:
        """Forget a call that has made nothing, or that no request can be a retry of any more."""
        await self._note("forget", call, key)

    async def _note(self, what: str, call: ClientCall, key: str, retries: int = 0) -> str:
        partition = partition_of_account(call.account, self._ledger.partitions)
        _, (used,) = await self._ledger.run(
            "client_call",
            keys.client_call(partition, call.account, call.digest),
            what=what,
            key=key,
            retries=retries,
            seconds=call.seconds,
            calls_max=CALLS_MAX,
        )
        return str(used.decode())
