"""Wraps every handler: ledger availability, authentication, rate limit, scopes, idempotency, and the log of changes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from functools import partial
from http import HTTPStatus
from time import monotonic

from aiohttp import web

from gateway.api.access.auth import Caller, KeysStale, wrong_scope
from gateway.api.access.member_roles import ForMembers, check_role, manages
from gateway.api.errors import ApiError, KeyRestricted, LedgerDown, PriceAboveCeiling
from gateway.api.http.headers import IDEMPOTENCY_HEADER
from gateway.api.http.route import Handler
from gateway.api.middleware.idempotency import once
from gateway.api.middleware.operator_calls import logged
from gateway.api.middleware.rates import admit, admit_meanwhile, answered_if_admitted
from gateway.api.services import CALLERS, KEY_USE, ORDERING, SETTINGS, STARTUP
from gateway.domain import Scope

_WRITES = frozenset({"POST", "PUT", "PATCH"})
_READS = frozenset({"GET", "HEAD"})
Run = Callable[[], Awaitable[web.StreamResponse]]
_UNLIMITED = frozenset({Scope.ADMIN, Scope.WORKER})
_TRIES = 3  # a key may change again during the lookup, but not three times unless something loops


def guarded(
    handler: Handler,
    scopes: Collection[Scope],
    *,
    own_idempotency: bool = False,
    shown_once: tuple[str, ...] = (),
    looks_up_key: bool = False,
    rate_wait: Callable[[web.Request], float] | None = None,
    polled: bool = False,
    for_members: ForMembers | None = None,
    logged_read: bool = False,
) -> Handler:
    """The handler with its guards.

    `for_members`: which members of an account may call it; required if it takes an account's key. `logged_read`: it is
    in the audit log, though it changes nothing. `own_idempotency`: the handler replays by itself, as `reserve` does.
    `looks_up_key`: no script of its account would notice that a cached key was revoked, so the key is looked up.
    `rate_wait`: for how many seconds a request waits while its key has made too many, instead of a refusal. `polled`:
    clients ask again and again, so the request is counted in the round trip that reads its answer.
    """
    operators, unlogged = Scope.ACCOUNT not in scopes, _READS - {"GET" if logged_read else ""}

    async def answer(request: web.Request) -> web.StreamResponse:
        if not request.app[STARTUP].ready:
            raise LedgerDown(f"Farebox is not ready: {request.app[STARTUP].problem}. Nothing was done; try again soon.")
        callers = request.app[CALLERS]  # a replay asks no script of the account either, unless the handler makes it
        if looks_up_key or (IDEMPOTENCY_HEADER in request.headers and not own_idempotency):
            callers.forget(request)
        for again in range(_TRIES):
            who = await callers.authenticate(request, operators=operators)
            request.app[KEY_USE].noted[who.key_id] = who.account, monotonic()
            if (limit := request.app[SETTINGS].requests_per_minute) and who.scope not in _UNLIMITED and not again:
                await (admit_meanwhile if polled else admit)(request, who, limit, rate_wait)
            try:
                if who.scope not in scopes or who.role or (for_members and for_members.only):
                    _check_admitted(who, scopes, for_members)
                run: Run = partial(handler, request)
                if request.method in _WRITES and not own_idempotency:
                    run = partial(once, request, who, run, shown_once)
                if request.method not in unlogged and (who.account is None or (who.role and manages(who, for_members))):
                    run = partial(logged, request, who, run)
                return await run()
            except KeysStale:
                callers.forget(request)
            except ApiError as refusal:
                if not await _was_outdated(request, who, refusal, operators=operators):
                    raise
        raise LedgerDown("The account's API keys are being changed. Try again in a moment.")

    return answered_if_admitted(answer) if polled else answer


def _check_admitted(who: Caller, scopes: Collection[Scope], members: ForMembers | None) -> None:
    """Forbidden if the key's scope, or its member's role, does not admit the call."""
    if who.scope not in scopes:
        raise wrong_scope(who, scopes)
    if who.account is not None:
        check_role(who, members)


async def _was_outdated(request: web.Request, who: Caller, refusal: ApiError, *, operators: bool) -> bool:
    """Whether a refusal came from the key's previous restrictions, role or plan; InvalidKey if the key was revoked.

    A request may be refused before any script has checked the key; a revoked key must not get details about its body.
    """
    if who.account is None or refusal.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return False
    request.app[CALLERS].forget(request)
    now = await request.app[CALLERS].authenticate(request, operators=operators)
    if isinstance(refusal, PriceAboveCeiling):
        return request.app[ORDERING].prices.forget(who) or now.priced_for != who.priced_for
    return now.role != who.role or (isinstance(refusal, KeyRestricted) and now.bounds != who.bounds)
