"""What operators see of the past: every ten seconds a caretaker notes how the queues and the holds are.

Of several caretakers the first to come takes the sample. While ledger or queue do not answer there is none: a gap.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import structlog

from gateway.errors import LedgerUnavailable, QueueUnavailable
from gateway.ledger.ledger import Ledger
from gateway.queue.queue import Queue
from gateway.queue.series import SAMPLE_MS, Sample, Series

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Sampler:
    """Takes samples of one ledger and its queue."""

    ledger: Ledger
    queue: Queue
    series: Series = field(init=False)

    def __post_init__(self) -> None:
        self.series = Series(self.queue)

    async def run(self) -> None:
        """Go on for ever. Nothing that happens here ends the caretaker, or more than one sample."""
        while True:
            try:
                now = await self.queue.now()
                await self.take(now)
                rest_ms = SAMPLE_MS - now % SAMPLE_MS
            except (LedgerUnavailable, QueueUnavailable) as error:
                log.warning("sample_missed", error=str(error))
                rest_ms = SAMPLE_MS
            except Exception:
                log.exception("sample_failed")
                rest_ms = SAMPLE_MS
            await asyncio.sleep(rest_ms / 1000)

    async def take(self, now: int) -> Sample | None:
        """Take the sample of the ten seconds that `now`, in the queue's time, is in; None if somebody else has."""
        totals = await self.ledger.totals()
        tools = {*totals.queued, *totals.waiting, *totals.running}
        sample = await self.series.add(now, totals, await self.queue.depths(sorted(tools)))
        if sample is not None:
            await self.series.condense(now)
        return sample
