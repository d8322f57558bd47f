"""Recent job durations per provider model, and when polling a parked job is worthwhile.

The last 64 durations of each model, from all workers, are in the queue's Redis; losing them delays results for a while,
and costs no credits. A parked job is not observed: it ended between the last poll that found it running and the one
that found it done, and counts as ended halfway between. So late polls do not make later polls even later.
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
_SHARE = 8  # each poll finds an eighth of the jobs done that were running at the previous one
_GROWTH = 10  # a job slower than all recent ones is polled whenever its duration has grown by a tenth
SHORTEST_SECONDS = 2.0

log = structlog.get_logger(__name__)


def next_poll_seconds(lately: Sequence[float], elapsed: float) -> float | None:
    """Seconds until the next poll of a job that has run for `elapsed` seconds, given recent durations; None: unknown.

    That is when an eighth of the jobs that took longer than `elapsed` had ended: no polls while most jobs are known to
    take longer, and many around the time they end.
    """
    if not lately:
        return None
    longer = sorted(seconds for seconds in lately if seconds > elapsed)
    pause = longer[(len(longer) - 1) // _SHARE] - elapsed if longer else elapsed / _GROWTH
    return max(pause, SHORTEST_SECONDS)


class JobTimes:
    """Recent durations, by provider and model."""

    def __init__(self, queue: Queue) -> None:
        """Store them in the queue's Redis."""
        self._redis = queue.redis

    async def note(self, provider: str, model: str, seconds: float) -> None:
        """Record the duration of a job that succeeded."""
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
        """Recent durations in seconds; empty if the queue's Redis is unavailable."""
        try:
            (found,) = await execute(self._redis, ("LRANGE", took_key(provider, model), 0, -1))
        except QueueUnavailable as error:
            log.debug("job_times_not_read", provider=provider, error=str(error))
            return []
        return [float(text) for text in found]
