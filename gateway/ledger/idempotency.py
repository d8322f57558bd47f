"""What was answered to an `Idempotency-Key`, for the calls that are not `reserve` (R11).

A record is one string: `<request digest> pending` while the first request is at work, then
`<request digest> response <body>` for 24 hours (`reserve` writes `<request digest> generation <id>` into the same
keys, so that a key used for two calls is noticed). A claim that a crash leaves behind expires after a minute; the
retry then repeats the operation with the same derived operation id, and the ledger's scripts answer as the first time.
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
    """This request is the first: do it, then `finish` or `release`."""


@dataclass(frozen=True, slots=True)
class KeyInProgress:
    """The same request is being worked on elsewhere, or was when its gateway died."""


@dataclass(frozen=True, slots=True)
class StoredResponse:
    """The same request was answered before, with this body."""

    body: str


@dataclass(frozen=True, slots=True)
class Reused:
    """The key came before with another request."""


class Requests:
    """The records of requests that carried an idempotency key."""

    def __init__(self, ledger: LedgerCore) -> None:
        """Keep them in `ledger`, beside what they are about."""
        self._ledger = ledger

    async def claim(self, request: Request) -> KeyClaimed | KeyInProgress | StoredResponse | Reused:
        """Claim the request, or say what is known of it.

        A ledger whose memory is full cannot remember a claim. The request is then the first one without it: what ends a
        hold must go on, and what takes credits its script refuses. A retry that repeats it has the same operation id.
        """
        key = self._key(request)
        try:
            if await self._ledger.command("SET", key, f"{request.request_digest} {PENDING}", "NX", "EX", CLAIM_SECONDS):
                return KeyClaimed()
            unknown: KeyClaimed | KeyInProgress = (
                KeyInProgress()
            )  # the claim expired or was released since: the caller asks again
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
        """Remember the answer for 24 hours, if there is memory for it."""
        record = f"{request.request_digest} {RESPONSE} {body}"
        with suppress(LedgerFull):
            await self._ledger.command("SET", self._key(request), record, "EX", KEPT_SECONDS)

    async def release(self, request: Request) -> None:
        """Forget the claim: refusals are not remembered.

        It may be another request's by now, if this one took over a minute. Then two are at work with one operation
        id, of which the ledger makes one.
        """
        await self._ledger.command("DEL", self._key(request))

    def _key(self, request: Request) -> str:
        partition = partition_of_account(request.scope, self._ledger.partitions)
        return keys.idempotency(partition, request.scope, request.key_digest)
