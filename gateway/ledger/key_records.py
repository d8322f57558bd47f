"""API keys, as the ledger knows them: an account's, and the operators'."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import TypedDict

from gateway.domain import Role, Scope
from gateway.ledger.limits import Counter, Limit
from gateway.pricing.discounts import NO_PLAN, PricedFor


class BoundsChange(TypedDict, total=False):
    """What is to change of a key's bounds; None removes one."""

    tools: Sequence[str] | None
    models: Sequence[str] | None
    expires_at: int | None
    networks: Sequence[str] | None


@dataclass(frozen=True, slots=True)
class KeyBounds:
    """What a key may be used for, until when, and from where (R27); None: no such bound."""

    tools: tuple[str, ...] | None = None
    models: tuple[str, ...] | None = None
    expires_at: int | None = None
    networks: tuple[IPv4Network | IPv6Network, ...] | None = None

    def within(self, other: KeyBounds) -> KeyBounds:
        """The tools, models and end of both."""
        ends = [at for at in (self.expires_at, other.expires_at) if at is not None]
        return KeyBounds(
            tools=_both(self.tools, other.tools),
            models=_both(self.models, other.models),
            expires_at=min(ends, default=None),
        )


UNBOUND = KeyBounds()


def encode_bounds(change: BoundsChange) -> str:
    """Bounds, or changes of them, as JSON. Times are text: Lua's numbers would be written as 1.7e+12."""
    members = {name: str(value) if isinstance(value, int) else value for name, value in change.items()}
    return json.dumps(members, separators=(",", ":")) if members else ""


def decode_bounds(text: str | None) -> KeyBounds:
    """The reverse."""
    members = json.loads(text or "{}")
    expires_at, networks = members.get("expires_at"), members.get("networks")
    return KeyBounds(
        tools=_names(members.get("tools")),
        models=_names(members.get("models")),
        expires_at=None if expires_at is None else int(expires_at),
        networks=None if networks is None else tuple(map(ip_network, networks)),
    )


def _both(names: tuple[str, ...] | None, others: tuple[str, ...] | None) -> tuple[str, ...] | None:
    if names is None or others is None:
        return names if others is None else others
    return tuple(name for name in names if name in others)


def _names(names: Sequence[str] | None) -> tuple[str, ...] | None:
    return None if names is None else tuple(names)


@dataclass(frozen=True, slots=True)
class AccountKey:
    """A key's public data, never the key itself. `last_used_at` is at most a minute late; None: never used.

    `counter`: what it has spent, of its `limit` or without one; None: nothing yet. `member`: whose it is; None: the
    account's own.
    """

    id: str
    label: str | None
    created_at: int
    scope: Scope = Scope.ACCOUNT
    last_used_at: int | None = None
    limit: Limit | None = None
    counter: Counter | None = None
    bounds: KeyBounds = UNBOUND
    member: str | None = None


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """A key's record. `account` is None for operators' keys; `keys_version` is passed with every call.

    `member` and `role`: whose key it is, and what they may do (R25); None: the account's own. `priced_for`: what the
    account's prices depend on, as last written: a lapse may not be.
    """

    key_id: str
    scope: Scope
    account: str | None
    keys_version: int
    bounds: KeyBounds = UNBOUND
    member: str | None = None
    role: Role | None = None
    priced_for: PricedFor = NO_PLAN
