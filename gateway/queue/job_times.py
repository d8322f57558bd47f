"""How long the last 64 jobs of each provider's model took, from all workers; losing it costs no credits."""

from __future__ import annotations

import structlog

from gateway.errors import QueueUnavailable
from gateway.queue.keys import took_key
from gateway.queue.queue import Queue
from gateway.queue.redis_calls import execute

KEPT = 64
_KEPT_SECONDS = 7 * 86_400

log = structlog.get_logger(__name__)


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
