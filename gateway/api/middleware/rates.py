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
from gateway.api.services import LEDGER
from gateway.ledger.allowances import Admitted, Limited
from gateway.schemas.errors import RateLimitedDetails


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


def _seconds(milliseconds: int) -> int:
    """Seconds, rounded up: a client that waits this long is admitted."""
    return -(-milliseconds // 1000)
