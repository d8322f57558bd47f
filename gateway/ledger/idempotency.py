"""Responses stored for an `Idempotency-Key`, for calls other than `reserve` (R11).

A record is one string: `<request digest> pending` while the first request is in progress, then
`<request digest> response <body>` for 24 hours (`reserve` writes `<request digest> generation <id>` into the same
keys, so that reusing a key for another call is detected). A claim left by a crash expires after a minute; a retry then
repeats the operation with the same derived operation id, and the ledger's scripts return their first result.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway.domain import partition_of_account
from gateway.errors import LedgerFull
from gateway.ledger import keys

if TYPE_CHECKING:
    from gateway.ledger.core import LedgerCore

CLAIM_SECONDS = 60
KEPT_SECONDS = 24 * 3600

PENDING = "pending"
RESPONSE = "response"


@dataclass(frozen=True, slots=True)
class Request:
    """A request that carries an idempotency key. `scope` is an account's id or `admin`; both digests are SHA-256."""

    scope: str
    key_digest: str
    request_digest: str


@dataclass(frozen=True, slots=True)
class KeyClaimed:
    """This request is the first: process it, then call `finish` or `release`."""


@dataclass(frozen=True, slots=True)
class KeyInProgress:
    """The same request is in progress elsewhere, or was when its gateway died."""


@dataclass(frozen=True, slots=True)
class StoredResponse:
    """The same request was answered before, with this body."""

    body: str


@dataclass(frozen=True, slots=True)
class Reused:
    """The key was used before, for a different request."""


class Requests:
    """Records of requests with an idempotency key."""

    def __init__(self, ledger: LedgerCore) -> None:
        """Store the records in `ledger`."""
        self._ledger = ledger

    async def claim(self, request: Request) -> KeyClaimed | KeyInProgress | StoredResponse | Reused:
        """Claim the request, or return what is known about it.

        If the ledger's memory is full, the claim cannot be stored, and the request proceeds without one: ending a hold
        must still work, and scripts refuse to take credits. A retry uses the same operation id.
        """
        key = self._key(request)
        try:
            if await self._ledger.command("SET", key, f"{request.request_digest} {PENDING}", "NX", "EX", CLAIM_SECONDS):
                return KeyClaimed()
            unknown: KeyClaimed | KeyInProgress = (
                KeyInProgress()
            )  # the claim has expired or been released: the caller claims again
        except LedgerFull:
            unknown = KeyClaimed()
        record = await self._ledger.command("GET", key)
        if record is None:
            return unknown
        digest, _, rest = record.decode().partition(" ")
        if digest != request.request_digest:
            return Reused()
        word, _, body = rest.partition(" ")
        return StoredResponse(body) if word == RESPONSE else KeyInProgress()

    async def finish(self, request: Request, body: str) -> None:
        """Store the response for 24 hours, unless memory is full."""
        record = f"{request.request_digest} {RESPONSE} {body}"
        with suppress(LedgerFull):
            await self._ledger.command("SET", self._key(request), record, "EX", KEPT_SECONDS)

    async def release(self, request: Request) -> None:
        """Delete the claim: refusals are not stored.

        After more than a minute it may belong to another request. Both then share one operation id, so the ledger
        applies the operation once.
        """
        await self._ledger.command("DEL", self._key(request))

    def _key(self, request: Request) -> str:
        partition = partition_of_account(request.scope, self._ledger.partitions)
        return keys.idempotency(partition, request.scope, request.key_digest)
