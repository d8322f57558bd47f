"""Accounts and their keys."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from gateway.domain import Scope
from gateway.ledger import keys, outcomes
from gateway.ledger.allowances import Admitted, Limited
from gateway.ledger.core import texts
from gateway.ledger.key_records import UNBOUND, AccountKey, BoundsChange, KeyRecord, decode_bounds, encode_bounds
from gateway.ledger.limits import Limit, encode_limit
from gateway.ledger.member_records import role_of
from gateway.ledger.persons import PersonOperations
from gateway.ledger.price_basis import PRICED_FOR, decode_priced_for
from gateway.ledger.records import clean_reason, decode_account, decode_operator_keys, encode_metadata
from gateway.ledger.sums import UsageBy, Used, decode_parts, decode_usage, older_usage

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from gateway.redis_link.calls import Reply

_KEY_REFUSALS: Mapping[str, Callable[..., outcomes.NotFound | outcomes.Refused | outcomes.KeysChanged]] = {
    "not_found": outcomes.NotFound,
    "keys_changed": outcomes.KeysChanged,
    "refused": outcomes.Refused,
}
"""What scripts that change keys may refuse, made from the texts of their reply."""

_KEY_ID_DIGITS = 32  # 128 bits of the digest: no collisions, and the id does not reveal the key

SIGNED_OUT_MAX = 1000
"""How many signed-out sessions are remembered per key; one more also ends that key's oldest sessions."""

_ALL = "*"  # in place of a session: all that began no later


def key_id_of(key: str) -> str:
    """The id of an API key, derived from its digest; safe to show and log."""
    return f"key_{hashlib.sha256(key.encode()).hexdigest()[:_KEY_ID_DIGITS]}"


class AccountOperations(PersonOperations):
    """One method per script that concerns an account."""

    async def account(
        self, *, account: str, keys_version: int | None = None
    ) -> outcomes.KeysChanged | outcomes.NotFound | outcomes.Account:
        """An account, rolled forward to now: resets, refreshes, expiries and lapses are written."""
        word, rest = await self.run("account", self.account_key(account), keys_version=keys_version)
        if word == "account":
            return decode_account(account, rest[0])
        return outcomes.KeysChanged() if word == "keys_changed" else outcomes.NotFound()

    async def put_account(
        self,
        *,
        account: str,
        email: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        free_credits: bool | None = None,
    ) -> tuple[outcomes.Account, bool] | outcomes.Refused:
        """Create or update an account; True if it is new. None leaves a field as it is.

        `free_credits`: whether it gets daily free credits where the card gives them; today's at once, if it had none.

        Refused: `email_taken` with the other account's id.
        """
        if email is not None:
            owner = await self._claim_email(email, account)
            if owner is not None:
                return outcomes.Refused("email_taken", owner)
        person = None if email is None else await self.person_of(account, None)
        word, rest = await self.run(
            "put_account",
            self.account_key(account),
            email=email,
            metadata=encode_metadata(metadata),
            free_credits=None if free_credits is None else "yes" if free_credits else "no",
        )
        if word != "applied":
            raise self.unexpected("put_account", word)
        made, view, had = rest[0] == b"1", rest[1], rest[2].decode()
        if email is not None and had and keys.email(had) != keys.email(email):
            await self.run("release_email", keys.email(had), account=account)
        await self.drop_person(account, None, person)
        return decode_account(account, view), made

    async def trim(self, *, account: str, at_most: int) -> int:
        """Trim expired entries of the account's list and journal, `at_most` of each; returns how many."""
        _, rest = await self.run("trim", self.account_key(account), limit=at_most)
        return int(rest[0])

    async def usage(
        self,
        *,
        account: str,
        keys_version: int | None,
        days: Sequence[str],
        by: UsageBy | None = None,
        tag: str | None = None,
    ) -> outcomes.KeysChanged | outcomes.NotFound | tuple[Used, ...]:
        """Generations ended on each of `days` (`2026-11-22`, in the card's time zone), by day, tool and model.

        One script call, which reads one small hash a day. With `by` "key" or "tag" (`tag` is its name) it is divided
        further, which takes longer: ask for `USAGE_DAYS_AT_ONCE` at most.
        """
        key = self.account_key(account)
        word, rest = await self.run("usage", key, keys_version=keys_version, days=",".join(days), by=by, tag=tag)
        if word == "usage":
            rest = await self._with_older(account, days, rest, by, tag)
            return tuple(
                used
                for day, (counters, rows) in zip(days, rest, strict=True)
                for used in (decode_parts(day, counters, rows, by) if by else decode_usage(day, counters))
            )
        return outcomes.KeysChanged() if word == "keys_changed" else outcomes.NotFound()

    async def _with_older(
        self, account: str, days: Sequence[str], replies: Reply, by: UsageBy | None, tag: str | None
    ) -> Reply:
        """The replies of days, those that the ledger has nothing of replaced by the archive's."""
        empty = [day for day, (counters, _) in zip(days, replies, strict=True) if not counters]
        if self.older is None or not empty:
            return replies
        found = await self.older.usage(account=account, days=empty)
        return [
            older_usage(found[day], by, tag) if day in found else reply
            for day, reply in zip(days, replies, strict=True)
        ]

    async def _claim_email(self, email: str, account: str) -> str | None:
        """Claim the address for the account; returns the id of another account that has it, or None."""
        word, rest = await self.run("claim_email", keys.email(email), account=account, without_it=None)
        if word == "taken" and not await self._has_email(other := rest[0].decode(), email):
            word, rest = await self.run("claim_email", keys.email(email), account=account, without_it=other)
        return rest[0].decode() if word == "taken" else None

    async def _has_email(self, account: str, email: str) -> bool:
        """Whether the account has this address now. Its own field is authoritative."""
        found = await self.account(account=account)
        return (
            isinstance(found, outcomes.Account)
            and found.email is not None
            and keys.email(found.email) == keys.email(email)
        )

    async def find_account(self, *, email: str) -> outcomes.Account | outcomes.NotFound:
        """The account with this email (compared without case). The account's own field is authoritative."""
        owner = await self.command("GET", keys.email(email))
        if owner is None:
            return outcomes.NotFound()
        found = await self.account(account=owner.decode().partition(",")[0])
        if (
            not isinstance(found, outcomes.Account)
            or found.email is None
            or keys.email(found.email) != keys.email(email)
        ):
            return outcomes.NotFound()
        return found

    async def add_key(
        self,
        *,
        key: str,
        scope: Scope,
        account: str | None,
        label: str | None,
        limit: Limit | None = None,
        bounds: BoundsChange | None = None,
        member: str | None = None,
        keys_version: int | None = None,
        by: str | None = None,
    ) -> AccountKey | outcomes.NotFound | outcomes.Refused | outcomes.KeysChanged:
        """Store the digest of `key`, never the key, and list it with its account or the operators' keys.

        The rest is for an account's key: `limit` and `bounds` (R26, R27), `member`, whose it is, and `by`, who adds it
        (R25; None: an operator). Refused: `unknown_member`, `forbidden`.
        """
        key_id, shown, bound = key_id_of(key), clean_reason(label or ""), encode_bounds(bounds or {})
        if account is None:
            created_at = await self._now()
            await self.command("HSET", keys.OPERATORS, f"key:{key_id}", f"{scope},{created_at},{shown}")
        else:
            word, rest = await self.run(
                "add_key",
                self.account_key(account),
                key_id=key_id,
                label=shown,
                limit=None if limit is None else encode_limit(limit),
                bounds=bound,
                member=member,
                keys_version=keys_version,
                by=by,
            )
            if word != "added":
                return _KEY_REFUSALS[word](*texts(rest))
            created_at = int(rest[0])
        await self._store_key(key, scope, account, created_at, shown)
        return AccountKey(
            id=key_id,
            label=shown or None,
            created_at=created_at,
            scope=scope,
            limit=limit,
            bounds=decode_bounds(bound),
            member=member,
        )

    async def change_key(
        self,
        *,
        key_id: str,
        account: str,
        limit: Limit | Literal["none"] | None = None,
        label: str | None = None,
        bounds: BoundsChange | None = None,
        keys_version: int | None = None,
        by: str | None = None,
    ) -> outcomes.Account | outcomes.NotFound | outcomes.Refused | outcomes.KeysChanged:
        """Change the limit of an account's key ("none": remove it), its label or bounds; None leaves what is there.

        What the key has spent in the period so far counts, whatever its limit was. Refused: `forbidden`.
        """
        wanted = encode_limit(limit) if isinstance(limit, Limit) else limit
        shown = None if label is None else clean_reason(label)
        key = self.account_key(account)
        word, rest = await self.run(
            "change_key",
            key,
            key_id=key_id,
            limit=wanted,
            label=shown,
            bounds=encode_bounds(bounds or {}),
            keys_version=keys_version,
            by=by,
        )
        return decode_account(account, rest[0]) if word == "changed" else _KEY_REFUSALS[word](*texts(rest))

    async def rotate_key(
        self,
        *,
        key_id: str,
        account: str,
        successor: str,
        overlap_ms: int,
        keys_version: int | None = None,
        by: str | None = None,
    ) -> outcomes.Account | outcomes.Refused | outcomes.NotFound | outcomes.KeysChanged:
        """Give an account's key a successor (the key itself): same label, bounds and limit, and one count for both.

        The old key expires after `overlap_ms`. Refused: `already_rotated` with the id of its successor, `forbidden`.
        """
        new_id, key = key_id_of(successor), self.account_key(account)
        word, rest = await self.run(
            "rotate_key",
            key,
            key_id=key_id,
            successor=new_id,
            overlap_ms=overlap_ms,
            keys_version=keys_version,
            by=by,
        )
        if word == "already":
            return outcomes.Refused("already_rotated", rest[0].decode())
        if word != "rotated":
            return _KEY_REFUSALS[word](*texts(rest))
        rotated = decode_account(account, rest[0])
        made = next(key for key in rotated.keys if key.id == new_id)
        await self._store_key(successor, Scope.ACCOUNT, account, made.created_at, made.label or "")
        return rotated

    async def _store_key(self, key: str, scope: Scope, account: str | None, created_at: int, label: str) -> None:
        digest = hashlib.sha256(key.encode()).hexdigest()
        await self.command("SET", keys.key(key_id_of(key)), f"{scope},{account or ''},{digest},{created_at},{label}")

    async def revoke_key(
        self, *, key_id: str, account: str | None, keys_version: int | None = None, by: str | None = None
    ) -> bool | outcomes.Refused | outcomes.KeysChanged:
        """Revoke an account's key, or with account None an operator's key; False if there is none.

        Refused: `forbidden`.
        """
        if account is None:
            return await self._revoke_operator_key(key_id)
        word, rest = await self.run(
            "revoke_key", self.account_key(account), key_id=key_id, keys_version=keys_version, by=by
        )
        if word == "revoked":
            await self.command("DEL", keys.key(key_id))
            return True
        refused = _KEY_REFUSALS[word](*texts(rest))
        return False if isinstance(refused, outcomes.NotFound) else refused

    async def _revoke_operator_key(self, key_id: str) -> bool:
        record = await self.command("GET", keys.key(key_id))
        if record is not None and record.startswith(b"account,"):
            return False
        deleted = await self.command("DEL", keys.key(key_id))
        # It may only be listed, if its creator was killed in between.
        listed = await self.command("HDEL", keys.OPERATORS, f"key:{key_id}", f"used:{key_id}")
        return bool(deleted or listed)

    async def operator_keys(self) -> tuple[AccountKey, ...]:
        """The operators' keys in the ledger, oldest first; without the one from the settings."""
        return decode_operator_keys(await self.command("HGETALL", keys.OPERATORS))

    async def touch(self, *, account: str | None, used: Mapping[str, int]) -> None:
        """Record when an account's keys (None: the operators') were last used: key id → ms ago."""
        key = keys.OPERATORS if account is None else self.account_key(account)
        uses = ",".join(f"{key_id}:{ago_ms}" for key_id, ago_ms in used.items())
        word, _ = await self.run("touch", key, uses=uses)
        if word != "noted":
            raise self.unexpected("touch", word)

    async def admit(self, *, key_id: str, per_minute: int) -> Limited | Admitted:
        """Count a request against its key's rate limit, shared by all gateways."""
        word, rest = await self.run("admit", keys.rate(key_id), per_minute=per_minute)
        first, whole_after_ms = (int(number) for number in rest)
        return Limited(first, whole_after_ms) if word == "limited" else Admitted(first, whole_after_ms)

    async def take_in(self, *, account: str, per_day: int, size: int) -> Limited | Admitted:
        """Count an upload against its account's allowance, shared by all gateways; `per_day` and `size` are in KiB."""
        word, rest = await self.run("take_in", keys.taken_in(account), kib_per_day=per_day, kib=size)
        first, whole_after_ms = (int(number) for number in rest)
        return Limited(first, whole_after_ms) if word == "limited" else Admitted(first, whole_after_ms)

    async def find_key(self, *, key: str) -> KeyRecord | outcomes.NotFound:
        """The record of a key. The digest is compared in constant time; the account's own list is authoritative."""
        return await self._find_key(key_id_of(key), hashlib.sha256(key.encode()).hexdigest())

    async def find_key_by_id(self, *, key_id: str) -> KeyRecord | outcomes.NotFound:
        """The record of a session's key, if it is still valid. The session's signature vouches for the id."""
        return await self._find_key(key_id, None)

    async def use_sign_in_link(self, *, nonce: str, seconds: int) -> bool:
        """Use a one-time sign-in link; False if it was used before. `seconds` is the lifetime of such links."""
        return bool(await self.command("SET", keys.sign_in(nonce), 1, "NX", "EX", seconds))

    async def sign_out(self, *, key_id: str, session: str, began_at: int, kept_seconds: int) -> None:
        """End a session of a key on all gateways, for `kept_seconds`. `began_at` is in seconds."""
        word, _ = await self.run(
            "sign_out",
            keys.signed_out(key_id),
            session=session,
            began_at=began_at,
            kept_seconds=kept_seconds,
            sessions_max=SIGNED_OUT_MAX,
        )
        if word != "signed_out":
            raise self.unexpected("sign_out", word)

    async def sign_out_all(self, *, key_id: str, began_before: int, kept_seconds: int) -> None:
        """End all sessions of a key that began before this second, on all gateways, for `kept_seconds`."""
        await self.sign_out(key_id=key_id, session=_ALL, began_at=began_before - 1, kept_seconds=kept_seconds)

    async def is_signed_out(self, *, key_id: str, session: str, began_at: int) -> bool:
        """Whether a session of a key was ended by `sign_out`."""
        own, all_until = await self.command("ZMSCORE", keys.signed_out(key_id), session, _ALL)
        return own is not None or (all_until is not None and began_at <= float(all_until))

    async def _find_key(self, key_id: str, digest: str | None) -> KeyRecord | outcomes.NotFound:
        record = await self.command("GET", keys.key(key_id))
        if record is None:
            return outcomes.NotFound()
        scope, account, known, _, _ = record.decode().split(",", 4)
        if digest is not None and not hmac.compare_digest(known, digest):
            return outcomes.NotFound()
        if scope != Scope.ACCOUNT:
            return KeyRecord(key_id, Scope(scope), None, 0)
        fields = ["keys_version", f"key:{key_id}", f"bound:{key_id}", f"of:{key_id}", *PRICED_FOR]
        version, listed, bound, of, *priced_for = await self.command("HMGET", self.account_key(account), *fields)
        if listed is None:
            return outcomes.NotFound()
        bounds = UNBOUND if bound is None else decode_bounds(bound.decode())
        record = KeyRecord(
            key_id, Scope.ACCOUNT, account, int(version or 0), bounds, priced_for=decode_priced_for(priced_for)
        )
        return record if of is None else await self._of_member(record, of.decode())

    async def _of_member(self, record: KeyRecord, member: str) -> KeyRecord | outcomes.NotFound:
        """The record of a member's key. Their role may be newer than its keys version, which scripts then refuse."""
        text = await self.command("HGET", self.account_key(record.account or ""), f"member:{member}")
        role = role_of(None if text is None else text.decode())
        return outcomes.NotFound() if role is None else replace(record, member=member, role=role)

    async def _now(self) -> int:
        _, (at,) = await self.run("time", keys.policy(0))
        return int(at)
