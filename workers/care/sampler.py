"""Samples queues and holds every ten seconds, for operators.

The first of several caretakers takes each sample. While ledger or queue are unavailable, there is a gap.
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
        """Run forever. An error costs one sample at most, never the caretaker."""
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
        """Take the sample of the current ten seconds (`now`, by the queue's clock); None if another process has."""
        totals = await self.ledger.totals()
        tools = {*totals.queued, *totals.waiting, *totals.running}
        sample = await self.series.add(now, totals, await self.queue.depths(sorted(tools)))
        if sample is not None:
            await self.series.condense(now)
        return sample
