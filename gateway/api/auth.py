"""Who is calling, and may they: one key, one scope, one table of routes.

An account's key is kept for a minute, which saves most requests two round trips: every script compares the account's
keys version, so a revoked key is refused at once all the same. Admin and ops keys are never kept.
"""

from __future__ import annotations

import hashlib
import hmac
from collections import OrderedDict
from collections.abc import Callable, Collection
from dataclasses import dataclass
from time import monotonic
from typing import TypeVar

from aiohttp import web

from gateway.api.errors import Forbidden, InvalidKey, NotFound
from gateway.api.sessions import ROOT_KEY_ID, Sessions, check_from_our_page, session_cookie
from gateway.domain import Scope
from gateway.ledger import outcomes as o
from gateway.ledger.ledger import Ledger

CACHE_SECONDS = 60
CACHE_ENTRIES_MAX = 20_000  # of half a kilobyte
KEY_PREFIX = "fbx_"
KEY_MAX_CHARACTERS = 256

T = TypeVar("T")


class KeysStale(Exception):
    """The ledger says that the account's keys have changed since the caller was authenticated."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is calling. `account` and `keys_version` are None for admin and ops keys."""

    scope: Scope
    key_id: str
    account: str | None = None
    keys_version: int | None = None

    @property
    def acting_account(self) -> str:
        """The account of an account's key; calls that use it admit no other."""
        if self.account is None:
            raise Forbidden(_WRONG_KEY[Scope.ACCOUNT])
        return self.account

    @property
    def owner(self) -> str:
        """Whose streams these are: the account's, or this operator's key's."""
        return self.key_id if self.account is None else self.account

    @property
    def idempotency_scope(self) -> str:
        """Whose idempotency keys these are (R11)."""
        return "admin" if self.account is None else self.account


class Callers:
    """Finds out who a key, or a session that stands for one, belongs to."""

    def __init__(
        self,
        ledger: Ledger,
        root_key: str,
        sessions: Sessions,
        public_address: str = "",
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._ledger = ledger
        self._sessions = sessions
        self._public_address = public_address
        self._root_digest = _digest(root_key)
        self._clock = clock
        self._cache: OrderedDict[bytes, tuple[float, Caller]] = OrderedDict()

    async def authenticate(self, request: web.Request) -> Caller:
        """The caller by the request's `Authorization`, else by its session; InvalidKey if there is none in force."""
        cookie = session_cookie(request)
        if cookie is None:
            key = bearer(request)
            return self._kept(_digest(key)) or await self.of_key(key)
        check_from_our_page(request, self._public_address)
        return await self.of_key_id(self._sessions.key_id(cookie))

    async def of_key(self, key: str) -> Caller:
        """The caller that a key belongs to; InvalidKey if it is not in force."""
        digest = _digest(key)
        if hmac.compare_digest(digest, self._root_digest):
            return Caller(Scope.ADMIN, ROOT_KEY_ID)
        if not key.startswith(KEY_PREFIX):
            raise InvalidKey(f"This is not a Farebox API key: they start with `{KEY_PREFIX}`.")
        return self._kept(digest) or self._found(digest, await self._ledger.find_key(key=key))

    async def of_key_id(self, key_id: str) -> Caller:
        """The caller of a session, by the id of the key that it stands for; InvalidKey if that was revoked."""
        if key_id == ROOT_KEY_ID:
            return Caller(Scope.ADMIN, ROOT_KEY_ID)
        digest = _digest(key_id)
        return self._kept(digest) or self._found(digest, await self._ledger.find_key_by_id(key_id=key_id))

    def forget(self, request: web.Request) -> None:
        """Drop what is cached for the request's key or session, so that the next look goes to the ledger."""
        cookie = session_cookie(request)
        self._cache.pop(_digest(bearer(request) if cookie is None else self._sessions.key_id(cookie)), None)

    def _kept(self, digest: bytes) -> Caller | None:
        """The caller as it was found less than a minute ago, if it was."""
        until, caller = self._cache.get(digest, (0.0, None))
        return caller if self._clock() < until else None

    def _found(self, digest: bytes, found: o.KeyRecord | o.NotFound) -> Caller:
        """The caller as the ledger knows it; InvalidKey if it does not."""
        if isinstance(found, o.NotFound):
            self._cache.pop(digest, None)
            raise InvalidKey("This API key is unknown or was revoked. Ask whoever runs this gateway for a new one.")
        if found.scope is not Scope.ACCOUNT:
            return Caller(found.scope, found.key_id)
        caller = Caller(found.scope, found.key_id, found.account, found.keys_version)
        self._remember(digest, caller)
        return caller

    def _remember(self, digest: bytes, caller: Caller) -> None:
        self._cache[digest] = (self._clock() + CACHE_SECONDS, caller)
        self._cache.move_to_end(digest)
        if len(self._cache) > CACHE_ENTRIES_MAX:
            self._cache.popitem(last=False)


def bearer(request: web.Request) -> str:
    """The key in `Authorization: Bearer …`; InvalidKey if there is none."""
    header = request.headers.get("Authorization")
    if header is None:
        raise InvalidKey("An API key is needed: send it as `Authorization: Bearer fbx_…`.")
    kind, _, key = header.partition(" ")
    if kind.lower() != "bearer" or not 0 < len(key.strip()) <= KEY_MAX_CHARACTERS or not key.isascii():
        raise InvalidKey("The Authorization header must read `Bearer fbx_…`, with your API key.")
    return key.strip()


def check_scope(caller: Caller, scopes: Collection[Scope]) -> None:
    """Forbidden, with the key it takes, unless the caller's scope is one of `scopes`."""
    if caller.scope not in scopes:
        wanted = next(scope for scope in (Scope.ACCOUNT, Scope.OPS, Scope.ADMIN) if scope in scopes)
        raise Forbidden(f"{_WRONG_KEY[wanted]} Yours is {_A_KEY[caller.scope]}.")


def fresh(outcome: T | o.KeysChanged) -> T:
    """The outcome, unless the caller has to be authenticated again first."""
    if isinstance(outcome, o.KeysChanged):
        raise KeysStale
    return outcome


def found(outcome: T | o.KeysChanged | o.NotFound, what: str) -> T:
    """The outcome, unless there is no such thing: `what` says what was looked for."""
    if isinstance(outcome, o.KeysChanged):
        raise KeysStale
    if isinstance(outcome, o.NotFound):
        raise NotFound(f"There is no {what}.")
    return outcome


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()


_WRONG_KEY = {
    Scope.ACCOUNT: "This call is made with an account's key (an admin makes one: POST /v1/admin/accounts/{id}/keys).",
    Scope.OPS: "This call is made with an ops key or an admin key.",
    Scope.ADMIN: "This call is made with an admin key.",
}
_A_KEY = {Scope.ACCOUNT: "an account's key", Scope.OPS: "an ops key, which only reads", Scope.ADMIN: "an admin key"}
