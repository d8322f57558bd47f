"""Retries a call to the ledger until it responds: an outage is not a reply, and the hold is safe meanwhile."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog

from gateway.errors import LedgerUnavailable

T = TypeVar("T")

_PAUSE_FIRST_SECONDS = 0.05
_PAUSE_MAX_SECONDS = 2.0
_DOUBLINGS_MAX = 6  # beyond the longest pause; unbounded, the power would overflow a float within half an hour

log = structlog.get_logger(__name__)


async def retry_until_answered(transition: str, ask: Callable[[], Awaitable[T]], *, lease_seconds: float) -> T:
    """Retry with growing pauses while the ledger is unavailable; every other error is raised.

    `ask` must send the same ids each time: a call that seemed lost may have been applied, and then gets the same reply
    again (R11). The pauses stay well within a lease, so that after an outage a live worker renews before any
    caretaker may judge its lease.
    """
    pause_max = min(_PAUSE_MAX_SECONDS, lease_seconds / 4)
    failures = 0
    while True:
        try:
            answer = await ask()
        except LedgerUnavailable as error:
            if failures == 0:
                log.warning("ledger_unavailable", transition=transition, error=str(error))
            pause = min(pause_max, _PAUSE_FIRST_SECONDS * 2 ** min(failures, _DOUBLINGS_MAX))
            failures += 1
            # Workers that lost the ledger together must not retry in step.
            await asyncio.sleep(pause * random.uniform(0.5, 1))  # noqa: S311 - not a secret
        else:
            if failures:
                log.info("ledger_recovered", transition=transition, failures=failures)
            return answer
