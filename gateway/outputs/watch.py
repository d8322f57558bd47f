"""Whether the object store is there and takes what is put into it: asked at start, and every few seconds after.

A process that waits for the store waits here, so that a hundred attempts ask no more often than one. Whoever is refused
by the store says so (`doubt`), and it is asked at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Iterator

import structlog
from prometheus_client.core import GaugeMetricFamily, Metric

from gateway.errors import ObjectNotStored, StoreFault, StoreUnavailable
from gateway.outputs.store import OutputStore

EVERY_SECONDS = 15.0
WRITE_EVERY = 40  # probes: a bucket is written to every ten minutes, which costs nothing worth naming, and read between
PAUSES_SECONDS = (0.5, 1.0, 2.0, 4.0, 8.0)
"""Between probes while it does not answer; the last one until it does."""
_PATIENCE_SECONDS = 5.0

log = structlog.get_logger(__name__)


class StoreWatch:
    """What is known of the store. `fault` is what is wrong with it; None while it answers, and before it was asked."""

    def __init__(self, store: OutputStore) -> None:
        """Nothing is asked yet: `check` at start, then `keep_checking`."""
        self.fault: StoreFault | None = None
        self._store = store
        self._pauses = PAUSES_SECONDS
        self._answers = asyncio.Event()
        self._answers.set()
        self._doubted = asyncio.Event()
        self._probes = 0
        self._failures = 0
        self._told: str | None = None

    @property
    def problem(self) -> str | None:
        """What an operator should know; None if all is well. It names no server."""
        if self.fault is None:
            return None
        return f"the object store (FAREBOX_OUTPUTS_URL): {self.fault.summary}. Outputs wait; see the log"

    async def answering(self) -> None:
        """Return when the store answers; at once while nothing is known against it."""
        await self._answers.wait()

    def doubt(self, error: StoreUnavailable | ObjectNotStored) -> None:
        """Somebody was refused, and has said so: take the store for away, and have it asked now."""
        self.fault = error.fault
        self._answers.clear()
        self._doubted.set()

    async def check(self) -> None:
        """Ask once; what is wrong is logged when it begins, when it changes and when it ends."""
        write = self._failures > 0 or self._probes % WRITE_EVERY == 0
        self._probes += 1
        self._doubted.clear()
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                await self._store.probe(write=write)
        except StoreUnavailable as error:
            self._away(error.fault)
        except TimeoutError:
            self._away(
                StoreFault(
                    "it is not responding", f"no response within {_PATIENCE_SECONDS:g} s", "check that it is running"
                )
            )
        else:
            self._back()

    async def keep_checking(self) -> None:
        """Ask for ever: seldom while it answers, soon and then less often while it does not."""
        while True:
            pause = self._pauses[min(self._failures, len(self._pauses)) - 1] if self._failures else EVERY_SECONDS
            # Processes that lost the store together must not come back in step.
            pause *= random.uniform(0.8, 1.2)  # noqa: S311 - not a secret
            least = min(pause, self._pauses[0])  # however many are refused
            await asyncio.sleep(least)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause - least):
                    await self._doubted.wait()
            await self.check()

    def metrics(self) -> Iterator[Metric]:
        """What Prometheus is told."""
        yield GaugeMetricFamily(
            "farebox_store_up", "1 while the object store responds.", value=0 if self.fault is not None else 1
        )

    def _away(self, fault: StoreFault) -> None:
        self._failures += 1
        self.fault = fault
        self._answers.clear()
        if self._told != fault.summary:
            self._told = fault.summary
            log.error(
                "STORE_UNAVAILABLE",
                store=self._store.where,
                reason=fault.reason,
                change=fault.change,
                until_then="outputs wait for it, and uploads get 503",
            )

    def _back(self) -> None:
        self._failures, self.fault = 0, None
        self._answers.set()
        if self._told is not None:
            self._told = None
            log.info("store_recovered", store=self._store.where)
