"""`Idempotency-Key` on every POST, PUT and PATCH (R11). For generations it is part of `reserve`."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import re
from collections.abc import Awaitable, Callable

from aiohttp import web

from gateway.api.access.auth import Caller
from gateway.api.errors import InvalidRequest, LedgerDown
from gateway.api.http.headers import IDEMPOTENCY_HEADER, REPLAY_HEADER
from gateway.api.http.parse import DOCUMENT, UNREAD, canonical_json, raw_body
from gateway.api.ordering.ordering import IdempotencyDigests
from gateway.api.ordering.refusals import reused
from gateway.api.services import REQUESTS
from gateway.domain import operation_id
from gateway.errors import FieldProblem, LedgerUnavailable
from gateway.ledger.idempotency import KeyClaimed, KeyInProgress, Request, Reused, StoredResponse

WAIT_SECONDS = 5.0
POLL_SECONDS = 0.05
_SEED = web.RequestKey("SEED", str)
_VISIBLE_ASCII = re.compile(r"[!-~]{1,255}")


async def once(
    request: web.Request,
    caller: Caller,
    run: Callable[[], Awaitable[web.StreamResponse]],
    shown_once: tuple[str, ...] = (),
    digest: str | None = None,
) -> web.StreamResponse:
    """Run the call, or replay its stored response. Members in `shown_once` are never stored.

    `digest` identifies equal requests if the body is not JSON.
    """
    digests = await digests_of(request, caller, digest)
    if digests is None:
        return await run()
    store = request.app[REQUESTS]
    claim = Request(caller.idempotency_scope, digests.key, digests.request)
    request[_SEED] = f"{claim.scope}\n{claim.key_digest}\n{claim.request_digest}"
    answered = await _claim(request, claim)
    if answered is not None:
        return web.Response(text=answered.body, content_type="application/json", headers={REPLAY_HEADER: "true"})
    try:
        response = await run()
        if isinstance(response, web.Response) and response.text is not None:
            await store.finish(claim, _without(response.text, shown_once))
        return response
    except BaseException:
        # Refusals are not stored. After an error the result is unknown, and a retry must find out at once:
        # it repeats the operation with the same id, and the ledger applies it once.
        with contextlib.suppress(LedgerUnavailable):
            await store.release(claim)
        raise


def seed(request: web.Request) -> str | None:
    """The seed for ids created by this request, if it has an idempotency key (R11)."""
    return request.get(_SEED)


def operation(request: web.Request) -> str:
    """The operation id of this request: the same for the same idempotency key and body."""
    return operation_id(seed(request))


async def digests_of(
    request: web.Request, caller: Caller, digest: str | None = None, *, key: str | None = None
) -> IdempotencyDigests | None:
    """The digests of the key and of the request, unless they are given; None without a key (R11).

    Requests are equal if method, path and body (as canonical JSON) are.
    """
    if key is None:
        key = request.headers.get(IDEMPOTENCY_HEADER)
        if key is None:
            return None
        if not _VISIBLE_ASCII.fullmatch(key):
            problem = FieldProblem(IDEMPOTENCY_HEADER, "must be 1 to 255 visible ASCII characters, without spaces")
            raise InvalidRequest(f"The {IDEMPOTENCY_HEADER} header is invalid.", fields=[problem])
    # Includes the scope: an account named `admin` shares nothing with the operators. A member's keys share theirs, but
    # nothing of another member's is replayed for them; nor of one client token for another.
    scope = caller.token or caller.member or caller.scope
    of_key = hashlib.sha256(f"{scope}\n{key}".encode()).hexdigest()
    if digest is None:
        body = canonical_json(await raw_body(request), request.get(DOCUMENT, UNREAD))
        digest = hashlib.sha256(f"{request.method}\n{request.path}\n{body}".encode()).hexdigest()
    return IdempotencyDigests(of_key, digest)


async def _claim(request: web.Request, claim: Request) -> StoredResponse | None:
    """Claim the request, waiting a while for an equal one in progress; returns its response, if any."""
    loop = asyncio.get_running_loop()
    give_up = loop.time() + WAIT_SECONDS
    while True:
        match await request.app[REQUESTS].claim(claim):
            case KeyClaimed():
                return None
            case StoredResponse() as answered:
                return answered
            case Reused():
                raise reused()
            case KeyInProgress() if loop.time() >= give_up:
                raise LedgerDown(
                    f"A request with this {IDEMPOTENCY_HEADER} is still in progress. Retry with the same key to get "
                    "its response."
                )
            case KeyInProgress():
                await asyncio.sleep(POLL_SECONDS)


def _without(body: str, names: tuple[str, ...]) -> str:
    if not names:
        return body
    members = json.loads(body)
    return json.dumps({name: value for name, value in members.items() if name not in names}, separators=(",", ":"))
