"""What was answered to an `Idempotency-Key`, for the calls that are not `reserve` (R11).

A record is one string: `<request digest> pending` while the first request is at work, then
`<request digest> response <body>` for 24 hours (`reserve` writes `<request digest> generation <id>` into the same
keys, so that a key used for two calls is noticed). A claim that a crash leaves behind expires after a minute; the
retry then repeats the operation with the same derived operation id, and the ledger's scripts answer as the first time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from redis.exceptions import RedisError

from gateway.domain import partition_of_account
from gateway.ledger import keys
from gateway.ledger.scripts import translated

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
class Claimed:
    """This request is the first: do it, then `finish` or `release`."""


@dataclass(frozen=True, slots=True)
class Pending:
    """The same request is being worked on elsewhere, or was when its gateway died."""


@dataclass(frozen=True, slots=True)
class Answered:
    """The same request was answered before, with this body."""

    body: str


@dataclass(frozen=True, slots=True)
class Reused:
    """The key came before with another request."""


class Requests:
    """The records of requests that carried an idempotency key. `client` is the ledger's redis-py client."""

    def __init__(self, client: Any, partitions: int) -> None:
        self._client = client
        self._partitions = partitions

    async def claim(self, request: Request) -> Claimed | Pending | Answered | Reused:
        """Claim the request, or say what is known of it."""
        key = self._key(request)
        try:
            if await self._client.set(key, f"{request.request_digest} {PENDING}", nx=True, ex=CLAIM_SECONDS):
                return Claimed()
            record = _text(await self._client.get(key))
        except (RedisError, OSError) as error:
            raise translated(error, "idempotency") from error
        if record is None:
            return Pending()  # the claim expired or was released between the two commands: the caller asks again
        digest, _, rest = record.partition(" ")
        if digest != request.request_digest:
            return Reused()
        word, _, body = rest.partition(" ")
        return Answered(body) if word == RESPONSE else Pending()

    async def finish(self, request: Request, body: str) -> None:
        """Remember the answer for 24 hours."""
        record = f"{request.request_digest} {RESPONSE} {body}"
        try:
            await self._client.set(self._key(request), record, ex=KEPT_SECONDS)
        except (RedisError, OSError) as error:
            raise translated(error, "idempotency") from error

    async def release(self, request: Request) -> None:
        """Forget the claim: refusals are not remembered.

        It may be another request's by now, if this one took over a minute. Then two are at work with one operation
        id, of which the ledger makes one.
        """
        try:
            await self._client.delete(self._key(request))
        except (RedisError, OSError) as error:
            raise translated(error, "idempotency") from error

    def _key(self, request: Request) -> str:
        return keys.idempotency(
            partition_of_account(request.scope, self._partitions), request.scope, request.key_digest
        )


def _text(value: bytes | str | None) -> str | None:
    return value.decode() if isinstance(value, bytes) else value
