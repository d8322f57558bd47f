"""Idempotency for clients that retry without an `Idempotency-Key`, such as the vendors' SDKs.

Such a client's retry is the same request again. Before anything is reserved, the gateway gives each call a key and
stores it under what retries have in common (account, API key, path, body). A retry looks up the key and uses it as an
`Idempotency-Key` in `reserve`. If equal calls are made concurrently, the retry count that clients send tells their
retries apart, so that each gets a call of its own.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection
from dataclasses import dataclass
from time import monotonic
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


def new_key() -> str:
    """A key for a new call."""
    return secrets.token_hex(16)


class ClientCalls:
    """The keys of calls that clients may retry."""

    def __init__(self, ledger: LedgerCore) -> None:
        """Store the keys in `ledger`, with the generations."""
        self._ledger = ledger
        self._began_at = monotonic()

    async def key_of(
        self,
        call: ClientCall,
        retries: int,
        *,
        proposed: str | None = None,
        waiting: Collection[str] = (),
        connected: Collection[str] = (),
    ) -> str:
        """The key of a new call or, for retry number `retries`, of the call it repeats; a new key if there is none.

        For clients that do not count their retries, pass 1. Of the calls in progress, `waiting` have no retries, and
        those that are `connected` are less likely to be the one repeated than those whose connection broke.
        """
        key = proposed or new_key()
        return await self._note("call", call, key, retries=retries, waiting=waiting, connected=connected)

    async def kept(self, call: ClientCall, key: str) -> None:
        """Keep a call for longer: its client still waits."""
        await self._note("keep", call, key)

    async def answered(self, call: ClientCall, key: str) -> None:
        """Record that a call's response was sent whole: retries are matched to unanswered calls first.

        With none left, the response may have been lost, unless the gateway has been started since: then the retry is of
        a call that found no gateway.
        """
        await self._note("answer", call, key)

    async def refused(self, call: ClientCall, key: str) -> None:
        """Record that a call created nothing yet: its client was told to retry, and this retry is no other call's."""
        await self._note("refuse", call, key)

    async def forgotten(self, call: ClientCall, key: str) -> None:
        """Forget a call that created nothing, or that can no longer be retried."""
        await self._note("forget", call, key)

    async def _note(
        self,
        what: str,
        call: ClientCall,
        key: str,
        *,
        retries: int = 0,
        waiting: Collection[str] = (),
        connected: Collection[str] = (),
    ) -> str:
        partition = partition_of_account(call.account, self._ledger.partitions)
        _, (used,) = await self._ledger.run(
            "client_call",
            keys.client_call(partition, call.account, call.digest),
            what=what,
            key=key,
            retries=retries,
            seconds=call.seconds,
            calls_max=CALLS_MAX,
            waiting=" ".join(waiting),
            connected=" ".join(connected),
            up_ms=round((monotonic() - self._began_at) * 1000),
        )
        return str(used.decode())
