"""Client tokens: for browsers and phones, short-lived, each with an API key that made it and a ceiling of its own."""

from __future__ import annotations

import hashlib
import hmac
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway.ledger import keys, outcomes
from gateway.ledger.core import LedgerCore
from gateway.ledger.key_records import BoundsChange, KeyBounds, decode_bounds, encode_bounds

if TYPE_CHECKING:
    from collections.abc import Sequence

_ID_DIGITS = 32  # 128 bits of the digest, as of API keys


def token_id_of(token: str) -> str:
    """The id of a client token, derived from its digest; safe to show and log."""
    return f"tok_{hashlib.sha256(token.encode()).hexdigest()[:_ID_DIGITS]}"


@dataclass(frozen=True, slots=True)
class ClientToken:
    """A client token's record. `parent` is the id of the key that made it; `bounds` has its tools, models and end."""

    id: str
    parent: str
    bounds: KeyBounds


class TokenOperations(LedgerCore):
    """Adds and finds client tokens."""

    async def add_token(
        self,
        *,
        token: str,
        parent: str,
        account: str,
        keys_version: int,
        millicredits: int,
        lifetime_ms: int,
        tools: Sequence[str] | None = None,
        models: Sequence[str] | None = None,
    ) -> ClientToken | outcomes.KeysChanged | outcomes.NotFound:
        """Store the digest of `token`, never the token, for `lifetime_ms`; it may spend so many `millicredits`."""
        token_id = token_id_of(token)
        word, rest = await self.run(
            "add_token",
            self.account_key(account),
            token=token_id,
            parent=parent,
            keys_version=keys_version,
            millicredits=millicredits,
            lifetime_ms=lifetime_ms,
        )
        if word != "added":
            return outcomes.KeysChanged() if word == "keys_changed" else outcomes.NotFound()
        expires_at = int(rest[0])
        change: BoundsChange = {"tools": tools, "models": models, "expires_at": expires_at}
        bounds = encode_bounds(change)
        record = {"digest": _digest(token), "parent": parent, "bounds": bounds}
        await self.command("SET", keys.client_token(token_id), json.dumps(record), "PXAT", expires_at)
        return ClientToken(token_id, parent, decode_bounds(bounds))

    async def find_token(self, *, token: str) -> ClientToken | outcomes.NotFound:
        """A token's record, if it has not expired. Its key may have been revoked since: look that up too."""
        token_id = token_id_of(token)
        record = await self.command("GET", keys.client_token(token_id))
        if record is None:
            return outcomes.NotFound()
        stored = json.loads(record)
        if not hmac.compare_digest(stored["digest"], _digest(token)):
            return outcomes.NotFound()
        return ClientToken(token_id, stored["parent"], decode_bounds(stored["bounds"]))


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
