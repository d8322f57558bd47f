"""Idempotency for clients that retry without an `Idempotency-Key`, such as the vendors' SDKs.

Such a client's retry is the same request again. Before anything is reserved, the gateway gives each call a key and
stores it under what retries have in common (account, API key, path, body). A retry looks up the key and uses it as an
`Idempotency-Key` in `reserve`. If equal calls are made concurrently, the retry count that clients send tells their
retries apart, so that each gets a call of its own.
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
"""How many equal calls are remembered: more than an account can have in work."""


@dataclass(frozen=True, slots=True)
class ClientCall:
    """What a call and its retries have in common (`digest`, of all but the account); stored for `seconds`."""

    account: str
    digest: str
    seconds: int


class ClientCalls:
    """The keys of calls that clients may retry."""

    def __init__(self, ledger: LedgerCore) -> None:
        """Store the keys in `ledger`, with the generations."""
        self._ledger = ledger

    async def key_of(self, call: ClientCall, retries: int) -> str:
        """The key of a new call or, for retry number `retries`, of the call it repeats; a new key if there is none.

        For clients that do not count their retries, pass 1.
        """
        return await self._note("call", call, secrets.token_hex(16), retries)

    async def answered(self, call: ClientCall, key: str) -> None:
        """Record that a call has its response: retries are matched to unanswered calls first."""
        await self._note("answer", call, key)

    async def forgotten(self, call: ClientCall, key: str) -> None:
        """Forget a call that created nothing, or that can no longer be retried."""
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
