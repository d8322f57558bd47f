"""API keys, as the ledger knows them: an account's, and the operators'."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.domain import Scope
from gateway.ledger.limits import Counter, Limit


@dataclass(frozen=True, slots=True)
class AccountKey:
    """A key's public data, never the key itself. `last_used_at` is at most a minute late; None: never used.

    `counter`: what it has spent, of its `limit` or without one; None: nothing yet.
    """

    id: str
    label: str | None
    created_at: int
    scope: Scope = Scope.ACCOUNT
    last_used_at: int | None = None
    limit: Limit | None = None
    counter: Counter | None = None


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """A key's record. `account` is None for admin and ops keys; `keys_version` is passed with every call."""

    key_id: str
    scope: Scope
    account: str | None
    keys_version: int
