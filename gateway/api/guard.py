"""Around every handler: is the ledger there, who is calling, may they, and was this asked before."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection

from aiohttp import web

from gateway.api.auth import KeysStale, check_scope
from gateway.api.context import caller, set_caller
from gateway.api.errors import LedgerDown
from gateway.api.idempotency import once
from gateway.api.services import CALLERS, STARTUP
from gateway.domain import Scope

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_WRITES = frozenset({"POST", "PUT", "PATCH"})
_TRIES = 3  # a key may change once more while it is looked up again; three times is somebody's loop


def guarded(
    handler: Handler, scopes: Collection[Scope], *, own_idempotency: bool = False, shown_once: tuple[str, ...] = ()
) -> Handler:
    """The handler behind its guards. `own_idempotency`: the handler replays by itself, as `reserve` does."""

    async def answer(request: web.Request) -> web.StreamResponse:
        if not request.app[STARTUP].ready:
            raise LedgerDown(f"Farebox is not ready: {request.app[STARTUP].problem}. Nothing was done; try again soon.")
        for _ in range(_TRIES):
            who = await request.app[CALLERS].authenticate(request)
            check_scope(who, scopes)
            set_caller(request, who)
            try:
                if own_idempotency or request.method not in _WRITES:
                    return await handler(request)
                return await once(request, caller(request), lambda: handler(request), shown_once)
            except KeysStale:
                request.app[CALLERS].forget(request)
        raise LedgerDown("The account's keys are being changed right now. Try again soon.")

    return answer
