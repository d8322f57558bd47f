"""The ledger with a clock: how long each transition takes, for Prometheus."""

from __future__ import annotations

import time

from prometheus_client import REGISTRY, CollectorRegistry, Histogram

from gateway.errors import LedgerUnavailable
from gateway.ledger.ledger import Ledger
from gateway.ledger.scripts import Argument, Reply


def transition_seconds(registry: CollectorRegistry = REGISTRY) -> Histogram:
    """The histogram that a `TimedLedger` observes: transitions by their word and their outcome's."""
    return Histogram(
        "farebox_transition_seconds",
        "How long the ledger took to answer, by transition and outcome.",
        ["transition", "outcome"],
        buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
        registry=registry,
    )


class TimedLedger(Ledger):
    """The ledger, with the time that each of its scripts takes. Give it its histogram before its first call."""

    seconds: Histogram

    async def run(self, name: str, key: str, *arguments: Argument) -> tuple[str, Reply]:
        """Run a script, and note how long it took and what it answered."""
        started_at = time.perf_counter()
        outcome = "error"
        try:
            answer = await super().run(name, key, *arguments)
            outcome = answer[0]
            return answer
        except LedgerUnavailable:
            outcome = "unavailable"
            raise
        finally:
            self.seconds.labels(name, outcome).observe(time.perf_counter() - started_at)
