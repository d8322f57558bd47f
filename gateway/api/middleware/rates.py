"""Requests per minute of a key (`FAREBOX_REQUESTS_PER_MINUTE`), counted in the ledger's Redis for all gateways.

Admin keys are not counted: the operator must be able to act during a flood. The header fields are those of the IETF
draft up to version 06, which clients and proxies know; later versions combine them into one structured field.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import monotonic

from aiohttp import web

from gateway.api.access.auth import Caller
from gateway.api.errors import RateLimited
from gateway.api.http.context import context
from gateway.api.http.headers import LIMIT_HEADER, REMAINING_HEADER, RESET_HEADER
from gateway.api.http.route import Handler
from gateway.api.services import LEDGER
from gateway.ledger.allowances import Admitted, Limited
from gateway.schemas.errors import RateLimitedDetails
from gateway.tasks import heard


async def admit(
    request: web.Request, who: Caller, per_minute: int, rate_wait: Callable[[web.Request], float] | None = None
) -> None:
    """Count the request; RateLimited, with `Retry-After`, if the key is over its limit.

    For clients that do not retry, it waits up to `rate_wait` seconds from the request's arrival until it is admitted.
    """
    give_up_at = context(request).came_at + (0 if rate_wait is None else rate_wait(request))
    while True:
        outcome = await request.app[LEDGER].admit(key_id=who.token or who.key_id, per_minute=per_minute)
        if isinstance(outcome, Admitted) or monotonic() + outcome.retry_after_ms / 1000 > give_up_at:
            break
        await asyncio.sleep(outcome.retry_after_ms / 1000)
    remaining = outcome.remaining if isinstance(outcome, Admitted) else 0
    context(request).rate_headers = {
        LIMIT_HEADER: str(per_minute),
        REMAINING_HEADER: str(remaining),
        RESET_HEADER: str(_seconds(outcome.whole_after_ms)),
    }
    if isinstance(outcome, Limited):
        seconds = _seconds(outcome.retry_after_ms)
        raise RateLimited(
            f"Rate limit exceeded: {per_minute:,} requests per minute per key. Retry in {seconds} "
            f"second{'' if seconds == 1 else 's'}. Nothing was done.",
            RateLimitedDetails(requests_per_minute=per_minute),
            headers={"Retry-After": str(seconds)},
        )


async def admit_meanwhile(
    request: web.Request, who: Caller, per_minute: int, _: Callable[[web.Request], float] | None = None
) -> None:
    """Have the request counted while its handler reads; `answered_if_admitted` waits for it."""
    admission = asyncio.get_running_loop().create_task(admit(request, who, per_minute))
    admission.add_done_callback(heard)  # nobody asks for it if the client has gone
    context(request).admission = admission


async def admitted(request: web.Request) -> bool:
    """Whether the request is within its key's limit: before a handler waits for anything."""
    admission = context(request).admission
    if admission is None:
        return True
    await asyncio.wait({admission})
    return admission.exception() is None


def answered_if_admitted(handler: Handler) -> Handler:
    """The handler, which reads while its request is counted. A refusal goes before whatever it answers or raises."""

    async def answer(request: web.Request) -> web.StreamResponse:
        try:
            response = await handler(request)
        except Exception:
            await _admission(request)
            raise
        await _admission(request)
        return response

    return answer


async def _admission(request: web.Request) -> None:
    if (admission := context(request).admission) is not None:
        await admission


def _seconds(milliseconds: int) -> int:
    """Seconds, rounded up: a client that waits this long is admitted."""
    return -(-milliseconds // 1000)
