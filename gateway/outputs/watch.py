"""Monitors whether the object store can be read and written: checked at start, and every few seconds afterwards.

Everything in a process that waits for the store waits here, so that a hundred attempts cause no more checks than one. A
failed request is reported by `doubt`, which triggers a check at once.
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
WRITE_EVERY = 40  # probes: a bucket is read each time and written every ten minutes, which costs next to nothing
PAUSES_SECONDS = (0.5, 1.0, 2.0, 4.0, 8.0)
"""Pauses between probes during an outage; the last one repeats."""
_PATIENCE_SECONDS = 5.0

log = structlog.get_logger(__name__)


class StoreWatch:
    """The state of the store. `fault` is its current fault; None while it responds, and before the first check."""

    def __init__(self, store: OutputStore) -> None:
        """Nothing is checked yet: call `check` at start, then `keep_checking`."""
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
        """The problem, for operators; None if there is none. It names no server."""
        if self.fault is None:
            return None
        return f"the object store (FAREBOX_OUTPUTS_URL): {self.fault.summary}. Outputs wait; see the log"

    async def answering(self) -> None:
        """Return when the store responds; at once if no fault is known."""
        await self._answers.wait()

    def doubt(self, error: StoreUnavailable | ObjectNotStored) -> None:
        """A request has failed: assume that the store is unavailable, and check it now."""
        self.fault = error.fault
        self._answers.clear()
        self._doubted.set()

    async def check(self) -> None:
        """Check once; a fault is logged when it starts, changes and ends."""
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
        """Check forever: rarely while it responds; during an outage soon, then less often."""
        while True:
            pause = self._pauses[min(self._failures, len(self._pauses)) - 1] if self._failures else EVERY_SECONDS
            # Processes that lost the store together must not all check at the same moments.
            pause *= random.uniform(0.8, 1.2)  # noqa: S311 - not a secret
            least = min(pause, self._pauses[0])  # however many requests fail
            await asyncio.sleep(least)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause - least):
                    await self._doubted.wait()
            await self.check()

    def metrics(self) -> Iterator[Metric]:
        """The metrics."""
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
