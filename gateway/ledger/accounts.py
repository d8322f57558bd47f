"""Accounts and their keys."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from typing import TYPE_CHECKING, Any

from redis.exceptions import RedisError

from gateway.domain import Scope
from gateway.errors import LedgerUnavailable
from gateway.ledger import keys
from gateway.ledger import outcomes as o
from gateway.ledger.core import LedgerCore
from gateway.ledger.records import clean_reason, decode_account, decode_usage, encode_metadata
from gateway.ledger.scripts import translated

if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping, Sequence

_KEY_ID_DIGITS = 32  # 128 bits of the digest: no two keys meet, and an id tells nothing of its key


def key_id_of(key: str) -> str:
    """The id of an API key, made from its digest: what may be shown and logged."""
    return f"key_{hashlib.sha256(key.encode()).hexdigest()[:_KEY_ID_DIGITS]}"


class AccountOperations(LedgerCore):
    """One method per script that concerns an account."""

    async def account(self, *, account: str, keys_version: int | None = None) -> o.KeysChanged | o.NotFound | o.Account:
        """An account, rolled forward to now: resets, refreshes, expiries and lapses are written."""
        version = "" if keys_version is None else keys_version
        word, rest = await self.run("account", self.account_key(account), version)
        if word == "account":
            return decode_account(account, rest[0])
        return o.KeysChanged() if word == "keys_changed" else o.NotFound()

    async def put_account(
        self, *, account: str, email: str | None = None, metadata: Mapping[str, Any] | None = None
    ) -> tuple[o.Account, bool] | o.Refused:
        """Create or update an account; True if it is new. None leaves a field as it is.

        Refused: `email_taken` with the other account's id.
        """
        if email is not None:
            owner = await self._claim_email(email, account)
            if owner is not None:
                return o.Refused("email_taken", owner)
        word, rest = await self.run("put_account", self.account_key(account), email or "", encode_metadata(metadata))
        if word != "applied":
            raise self.unexpected("put_account", word)
        return decode_account(account, rest[1]), rest[0] == b"1"

    async def usage(
        self, *, account: str, keys_version: int | None, days: Sequence[str]
    ) -> o.KeysChanged | o.NotFound | tuple[o.Used, ...]:
        """What ended on each of `days` (`2026-11-22`, of the card's zone), in order of day, tool and model.

        One script call, which reads one small hash a day.
        """
        version = "" if keys_version is None else keys_version
        word, rest = await self.run("usage", self.account_key(account), version, *days)
        if word == "usage":
            return tuple(used for day, counters in zip(days, rest, strict=True) for used in decode_usage(day, counters))
        return o.KeysChanged() if word == "keys_changed" else o.NotFound()

    async def _claim_email(self, email: str, account: str) -> str | None:
        """Point the address to the account; the id of another account that really has it, or None."""
        claimed = await _answered(self.redis.set(keys.email(email), account, nx=True))
        if claimed:
            return None
        owner = await _answered(self.redis.get(keys.email(email)))
        other = owner.decode() if owner else account
        if other != account:
            held = await self.account(account=other)
            if isinstance(held, o.Account) and held.email is not None and keys.email(held.email) == keys.email(email):
                return other
        await _answered(self.redis.set(keys.email(email), account))
        return None

    async def find_account(self, *, email: str) -> o.Account | o.NotFound:
        """The account with this email (compared without case). The account's own field decides."""
        owner = await _answered(self.redis.get(keys.email(email)))
        if owner is None:
            return o.NotFound()
        found = await self.account(account=owner.decode())
        if not isinstance(found, o.Account) or found.email is None or keys.email(found.email) != keys.email(email):
            return o.NotFound()
        return found

    async def add_key(
        self, *, key: str, scope: Scope, account: str | None, label: str | None
    ) -> o.AccountKey | o.NotFound:
        """Remember the digest of `key`, never the key; an account's key also goes on the account's own list."""
        digest, key_id = hashlib.sha256(key.encode()).hexdigest(), key_id_of(key)
        shown = clean_reason(label or "")
        if account is None:
            created_at = await self._now()
        else:
            word, rest = await self.run("add_key", self.account_key(account), key_id, shown)
            if word == "not_found":
                return o.NotFound()
            created_at = int(rest[0])
        record = f"{scope},{account or ''},{digest},{created_at},{shown}"
        await _answered(self.redis.set(keys.key(key_id), record))
        return o.AccountKey(id=key_id, label=shown or None, created_at=created_at)

    async def revoke_key(self, *, key_id: str, account: str | None) -> bool:
        """Revoke an account's key, or with account None an admin or ops key; False if there is none."""
        if account is not None:
            word, _ = await self.run("revoke_key", self.account_key(account), key_id)
            await _answered(self.redis.delete(keys.key(key_id))) if word == "revoked" else None
            return word == "revoked"
        record = await _answered(self.redis.get(keys.key(key_id)))
        if record is None or record.startswith(b"account,"):
            return False
        return bool(await _answered(self.redis.delete(keys.key(key_id))))

    async def find_key(self, *, key: str) -> o.KeyRecord | o.NotFound:
        """Who a key belongs to. The digest is compared in constant time; the account's own list decides."""
        digest, key_id = hashlib.sha256(key.encode()).hexdigest(), key_id_of(key)
        record = await _answered(self.redis.get(keys.key(key_id)))
        if record is None:
            return o.NotFound()
        scope, account, known, _, _ = record.decode().split(",", 4)
        if not hmac.compare_digest(known, digest):
            return o.NotFound()
        if scope != Scope.ACCOUNT:
            return o.KeyRecord(key_id, Scope(scope), None, 0)
        fields = ["keys_version", f"key:{key_id}"]
        version, listed = await _answered(self.redis.hmget(self.account_key(account), fields))
        if listed is None:
            return o.NotFound()
        return o.KeyRecord(key_id, Scope.ACCOUNT, account, int(version or 0))

    async def _now(self) -> int:
        seconds, microseconds = (await _answered(self.redis.time()))[:2]
        return int(seconds) * 1000 + int(microseconds) // 1000


async def _answered(command: Awaitable[Any] | Any) -> Any:
    """The answer of a plain command, or LedgerUnavailable."""
    try:
        async with asyncio.timeout(10):
            return await command
    except (RedisError, OSError, TimeoutError) as error:
        raised = translated(error, "command")
        raise (raised if raised is not error else LedgerUnavailable(str(error))) from None
