"""How long the jobs of a provider's model took lately, and when the next look at one is worth its while.

What all workers saw is in the queue's Redis, the last 64 of each model; losing it costs late results for a while, no
credit. A job is not watched while it is parked: it ended between the last look that found it at work and the one that
found it done, and is counted as if in the middle of the two. So looks that come late do not make the next ones later.
"""

from __future__ import annotations

from collections.abc import Sequence

import structlog

from gateway.errors import QueueUnavailable
from gateway.queue.keys import took_key
from gateway.queue.queue import Queue
from gateway.queue.redis_calls import execute

KEPT = 64
_KEPT_SECONDS = 7 * 86_400
_SHARE = 8  # a look finds an eighth of those done that were at work at the look before
_GROWTH = 10  # one that takes longer than all others is looked at each time that it has taken a tenth longer
SHORTEST_SECONDS = 2.0

log = structlog.get_logger(__name__)


def next_poll_seconds(lately: Sequence[float], elapsed: float) -> float | None:
    """In how many seconds to look at a job that runs for `elapsed` seconds, by how long others took; None: unknown.

    That is when an eighth of those that took longer than this one so far had ended: while most are known to take
    longer there is no look, and around the time at which they end there are many.
    """
    if not lately:
        return None
    longer = sorted(seconds for seconds in lately if seconds > elapsed)
    pause = longer[(len(longer) - 1) // _SHARE] - elapsed if longer else elapsed / _GROWTH
    return max(pause, SHORTEST_SECONDS)


class JobTimes:
    """What the workers saw, by provider and model."""

    def __init__(self, queue: Queue) -> None:
        """Keep it in the queue's Redis."""
        self._redis = queue.redis

    async def note(self, provider: str, model: str, seconds: float) -> None:
        """Count a job that has succeeded."""
        key = took_key(provider, model)
        try:
            await execute(
                self._redis,
                ("LPUSH", key, round(seconds, 1)),
                ("LTRIM", key, 0, KEPT - 1),
                ("EXPIRE", key, _KEPT_SECONDS),
            )
        except QueueUnavailable as error:
            log.debug("job_time_not_kept", provider=provider, error=str(error))

    async def lately(self, provider: str, model: str) -> list[float]:
        """How long the last ones took, in seconds; none without the queue's Redis."""
        try:
            (found,) = await execute(self._redis, ("LRANGE", took_key(provider, model), 0, -1))
        except QueueUnavailable as error:
            log.debug("job_times_not_read", provider=provider, error=str(error))
            return []
        return [float(text) for text in found]
