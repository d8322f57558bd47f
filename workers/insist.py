"""Asking the ledger until it answers: an outage is not an answer, and the hold is safe meanwhile."""

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
_DOUBLINGS_MAX = 6  # past the longest pause; without an end the number would outgrow a float within half an hour

log = structlog.get_logger(__name__)


async def insist(transition: str, ask: Callable[[], Awaitable[T]], *, lease_seconds: float) -> T:
    """Ask again, with growing pauses, until the ledger answers; everything but LedgerUnavailable is passed on.

    `ask` must send the same ids each time: what seemed lost may have happened, and is then answered as the first time
    (R11). The pauses stay well within a lease, so that after an outage a live worker speaks up before any caretaker may
    judge its lease.
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
            # Workers that lost the ledger together must not come back in step.
            await asyncio.sleep(pause * random.uniform(0.5, 1))  # noqa: S311 - not a secret
        else:
            if failures:
                log.info("ledger_answers_again", transition=transition, failures=failures)
            return answer
