"""Authentication and authorization: one key, one scope, one table of routes.

An account's key is cached for ten minutes, which saves most requests two round trips, each of which may have to wait
for the ledger's disk. A revoked key is still refused at once: every script compares the account's keys version, and
where none runs the key is looked up. Operators' keys are never cached.

A key is looked up by the digest of its header, which only its holder can create; a session by the id of its key, which
is shown in lists, logs and cookies. They are different types with separate caches, so that an id is never accepted as a
key.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from time import monotonic
from typing import NewType, TypeVar

from aiohttp import hdrs, web
from cachetools import TTLCache

from gateway.api.access.sessions import (
    ENDED,
    ROOT_KEY_ID,
    KeyId,
    Session,
    Sessions,
    check_from_our_page,
    session_cookie,
)
from gateway.api.access.wrong_keys import WrongKeys
from gateway.api.errors import ApiError, Forbidden, InvalidKey, KeyRestricted, NotFound
from gateway.clock import now_ms
from gateway.domain import Role, Scope
from gateway.ledger import outcomes
from gateway.ledger.key_records import UNBOUND, KeyBounds, KeyRecord
from gateway.ledger.ledger import Ledger
from gateway.ledger.tokens import ClientToken
from gateway.outside.addresses import within
from gateway.outside.proxies import parse
from gateway.pricing.discounts import NO_PLAN, PricedFor
from gateway.schemas.base import utc
from gateway.schemas.errors import KeyRestrictedDetails

CACHE_SECONDS = 600
CACHE_ENTRIES_MAX = 20_000  # half a kilobyte each
KEY_PREFIX = "fbx_"
TOKEN_PREFIX = "fbt_"  # noqa: S105 - how a token begins
_KINDS = frozenset({"bearer", "key"})
KEY_MAX_CHARACTERS = 256
OWN_ACCOUNT = "account of this key"
OWN_ACCOUNT_GONE = "The account this key belongs to no longer exists."

HeaderDigest = NewType("HeaderDigest", bytes)
"""SHA-256 of an `Authorization` header: a proof of the key in it, made from nothing but the header itself."""

T = TypeVar("T")


class KeysStale(Exception):
    """The ledger says that the account's keys have changed since the caller was authenticated."""


TOKENS_OWN = "token:"
"""How a client token begins as the owner of event streams."""


def owner_of(account: str) -> str:
    """An account as the owner of event streams."""
    return f"account:{account}"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is calling. `account` and `keys_version` are None for operators' keys.

    `member` and `role` are None unless the key belongs to a member of the account (R25). `token` is the id of a client
    token, which `key_id` made: such a caller may do little, and sees what it made itself.
    """

    scope: Scope
    key_id: str
    account: str | None = None
    keys_version: int | None = None
    bounds: KeyBounds = UNBOUND
    member: str | None = None
    role: Role | None = None
    token: str | None = None
    priced_for: PricedFor = NO_PLAN
    """What the account's prices depend on, as of when the key was looked up: `reserve` knows better."""

    @property
    def owner(self) -> str:
        """The owner of event streams: the token, the account, or the operator's key, whose ids may look alike."""
        if self.token is not None:
            return f"{TOKENS_OWN}{self.token}"
        return f"key:{self.key_id}" if self.account is None else owner_of(self.account)

    @property
    def sees_only(self) -> str | None:
        """The member whose things are all that this caller may see (R25); None: those of everybody in the account."""
        return self.member if self.role is Role.MEMBER else None

    @property
    def idempotency_scope(self) -> str:
        """The scope of idempotency keys (R11)."""
        return "admin" if self.account is None else self.account


@dataclass(frozen=True, slots=True)
class AccountCaller(Caller):
    """A caller with an account's key, the only kind that most calls admit."""

    account: str
    keys_version: int


CALLER = web.RequestKey("CALLER", Caller)
"""Who is calling, once authenticated: on routes with scopes, before their handler runs."""
ACCOUNT_CALLER = web.RequestKey("ACCOUNT_CALLER", AccountCaller)
"""The same if it is an account; for routes that admit no other."""


class Callers:
    """Finds the caller of a key or session."""

    def __init__(
        self,
        ledger: Ledger,
        root_key: str,
        sessions: Sessions,
        wrong_keys: WrongKeys,
        *,
        client: Callable[[web.Request], str],
        public_address: str = "",
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._ledger = ledger
        self._sessions = sessions
        self._wrong_keys = wrong_keys
        self._client = client
        self._public_address = public_address
        self._root_digest = hashlib.sha256(root_key.encode()).digest()
        # Of accounts, headers and key ids apart; operators are looked up each time.
        self._by_header: TTLCache[HeaderDigest, AccountCaller] = TTLCache(CACHE_ENTRIES_MAX, CACHE_SECONDS, clock)
        self._by_id: TTLCache[KeyId, AccountCaller] = TTLCache(CACHE_ENTRIES_MAX, CACHE_SECONDS, clock)

    async def authenticate(self, request: web.Request, *, operators: bool = False) -> Caller:
        """Find the caller from `Authorization`, else from the session; InvalidKey if neither is valid.

        From now on `request[CALLER]`. `operators`: account keys may not make this call. KeyRestricted: the key may not
        be used from the request's address.
        """
        header = request.headers.get(hdrs.AUTHORIZATION, "")
        cookie = None if header else session_cookie(request)
        if cookie is not None:
            check_from_our_page(request, self._public_address)
            caller = await self.of_session(self._sessions.open(cookie))
        else:
            digest = HeaderDigest(hashlib.sha256(header.encode(errors="surrogateescape")).digest())
            known = self._by_header.get(digest)
            caller = await self._of_header(request, digest, operators=operators) if known is None else known
        if caller.bounds is not UNBOUND:
            caller = await self._within_bounds(request, caller)
        request[CALLER] = caller
        if isinstance(caller, AccountCaller):
            request[ACCOUNT_CALLER] = caller
        return caller

    async def _within_bounds(self, request: web.Request, caller: Caller) -> Caller:
        """The caller, whose key may be used now and from here; looked up again if not: it may be minutes old."""
        if (problem := self._problem(request, caller)) is not None:
            if caller.token is not None:
                raise problem  # its bounds never change, and its key's are wider
            self.forget(request)
            caller = _caller(await self._ledger.find_key_by_id(key_id=caller.key_id))
            self.check_bounds(request, caller)
        return caller

    def check_bounds(self, request: web.Request, caller: Caller) -> None:
        """InvalidKey or KeyRestricted if the caller's key may not be used now, or from where the request comes."""
        if (problem := self._problem(request, caller)) is not None:
            raise problem

    def _problem(self, request: web.Request, caller: Caller) -> ApiError | None:
        """Why a key may not be used now, or from where the request comes (R27)."""
        bounds = caller.bounds
        if bounds.expires_at is not None and now_ms() >= bounds.expires_at:
            what, whom = ("token", "your app's server") if caller.token else ("API key", "the operator of this gateway")
            return InvalidKey(f"This {what} expired at {utc(bounds.expires_at)}. Ask {whom} for a new one.")
        if bounds.networks is None:
            return None
        client = self._client(request)
        address = parse(client)
        if address is not None and within(address, bounds.networks):
            return None
        return KeyRestricted(
            f"This API key may not be used from {client or 'this address'}. Use it from one of the networks that it is "
            "bound to, or ask the operator of this gateway to add this one.",
            KeyRestrictedDetails(restriction="networks"),
        )

    async def _of_header(self, request: web.Request, digest: HeaderDigest, *, operators: bool) -> Caller:
        header = request.headers.get(hdrs.AUTHORIZATION)
        key = bearer(header)
        look_up = self._of_token if key.startswith(TOKEN_PREFIX) else self.of_key
        caller = await look_up(request, key, operators=operators)
        if (
            isinstance(caller, AccountCaller)
            and header is not None
            and header.partition(" ")[2] == key  # with extra spaces, one key would have thousands of digests
        ):
            self._by_header[digest] = caller
        return caller

    async def of_key(self, request: web.Request, key: str, *, operators: bool) -> Caller:
        """The caller of the request's key, looked up; InvalidKey if it is not valid, which is counted."""
        try:
            return await self._find(key)
        except InvalidKey:
            await self._wrong_keys.note(request, operators=operators)
            raise

    async def _of_token(self, request: web.Request, token: str, *, operators: bool) -> Caller:
        """The caller of a client token: its key's account and member, bound to what both may do.

        Only in a header: a token signs nobody in. The key's networks do not bind it, because it is for other machines.
        """
        found = await self._ledger.find_token(token=token)
        parent: KeyRecord | outcomes.NotFound = outcomes.NotFound()
        if isinstance(found, ClientToken):
            parent = await self._ledger.find_key_by_id(key_id=found.parent)
        if not isinstance(found, ClientToken) or not isinstance(parent, KeyRecord):
            await self._wrong_keys.note(request, operators=operators)
            raise InvalidKey("This token is invalid, has expired, or its API key was revoked.")
        bounds = found.bounds.within(parent.bounds)
        return replace(_caller(parent), scope=Scope.TOKEN, bounds=bounds, token=found.id)

    async def _find(self, key: str) -> Caller:
        if hmac.compare_digest(hashlib.sha256(key.encode()).digest(), self._root_digest):
            return Caller(Scope.ADMIN, ROOT_KEY_ID)
        if not key.startswith(KEY_PREFIX):
            raise InvalidKey(f"Not a Farebox API key: keys start with `{KEY_PREFIX}`.")
        return _caller(await self._ledger.find_key(key=key))

    async def of_session(self, session: Session) -> Caller:
        """The caller of a session; InvalidKey if it was signed out, or its key was revoked."""
        if await self._ledger.is_signed_out(key_id=session.key_id, session=session.id, began_at=session.began_at):
            raise InvalidKey(ENDED)
        return await self.of_key_id(session.key_id)

    async def check_session(self, request: web.Request) -> None:
        """InvalidKey if the request's session was signed out, or its key has expired since; for long-running ones."""
        self.check_bounds(request, request[CALLER])
        cookie = session_cookie(request)
        if cookie is not None:
            await self.of_session(self._sessions.open(cookie))

    async def of_key_id(self, key_id: KeyId) -> Caller:
        """The caller of a session, by its key's id; InvalidKey if that key was revoked."""
        if key_id == ROOT_KEY_ID:
            return Caller(Scope.ADMIN, ROOT_KEY_ID)
        known = self._by_id.get(key_id)
        if known is not None:
            return known
        caller = _caller(await self._ledger.find_key_by_id(key_id=key_id))
        if isinstance(caller, AccountCaller):
            self._by_id[key_id] = caller
        return caller

    def forget(self, request: web.Request) -> None:
        """Drop what is cached for the request's key or session, so that the next lookup goes to the ledger."""
        cookie = session_cookie(request)
        if cookie is None:
            header = request.headers.get(hdrs.AUTHORIZATION, "")
            self._by_header.pop(HeaderDigest(hashlib.sha256(header.encode(errors="surrogateescape")).digest()), None)
        else:
            self._by_id.pop(self._sessions.open(cookie).key_id, None)


def bearer(header: str | None) -> str:
    """The key in `Authorization: Bearer …`, or in `Key …` as fal's clients write it; InvalidKey if there is none."""
    if header is None:
        raise InvalidKey("No API key given. Send it as `Authorization: Bearer fbx_…`.")
    kind, _, key = header.partition(" ")
    if kind.lower() not in _KINDS or not 0 < len(key.strip()) <= KEY_MAX_CHARACTERS or not key.isascii():
        raise InvalidKey("The Authorization header must be `Bearer fbx_…`, with your API key.")
    return key.strip()


def wrong_scope(caller: Caller, scopes: Collection[Scope]) -> Forbidden:
    """The error for a caller without one of these `scopes`; it says which key the call requires."""
    operators = (
        []
        if caller.token and Scope.ACCOUNT in scopes
        else [one for one in Scope if one in scopes and one not in {Scope.ACCOUNT, Scope.TOKEN}]
    )
    wanted = f"{', '.join(operators[:-1])} or {operators[-1]}" if len(operators) > 1 else "".join(operators)
    needed = f"an operator's key with the role {wanted}" if operators else _ACCOUNTS_KEY
    return Forbidden(f"This call requires {needed}. Yours is {_A_KEY[caller.scope]}.")


def fresh(outcome: T | outcomes.KeysChanged) -> T:
    """The outcome, unless the caller has to be authenticated again first."""
    if isinstance(outcome, outcomes.KeysChanged):
        raise KeysStale
    return outcome


def found(outcome: T | outcomes.KeysChanged | outcomes.NotFound, what: str) -> T:
    """The outcome; NotFound if there is none. `what` names it."""
    if isinstance(outcome, outcomes.KeysChanged):
        raise KeysStale
    if isinstance(outcome, outcomes.NotFound):
        raise NotFound(OWN_ACCOUNT_GONE if what == OWN_ACCOUNT else f"There is no {what}.")
    return outcome


def _caller(found: KeyRecord | outcomes.NotFound) -> Caller:
    """The caller of a key record; InvalidKey if there is none."""
    if isinstance(found, outcomes.NotFound):
        raise InvalidKey("This API key is invalid or was revoked. Ask the operator of this gateway for a new one.")
    if found.account is None:
        return Caller(found.scope, found.key_id)
    return AccountCaller(
        found.scope,
        found.key_id,
        found.account,
        found.keys_version,
        found.bounds,
        found.member,
        found.role,
        priced_for=found.priced_for,
    )


_ACCOUNTS_KEY = "an account's API key (created with POST /v1/admin/accounts/{id}/keys)"
_A_KEY = {
    Scope.ACCOUNT: "an account's key",
    Scope.TOKEN: "a client token, which quotes, generates and reads what it made",
    Scope.OPS: "an ops key, which is read-only",
    Scope.WORKER: "a worker's key, which makes generations",
    Scope.VIEWER: "a viewer key, which is read-only",
    Scope.SUPPORT: "a support key",
    Scope.BILLING: "a billing key",
    Scope.ADMIN: "an admin key",
}
