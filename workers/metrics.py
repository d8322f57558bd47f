"""What workers and caretakers count, for Prometheus; served by `--metrics-port`."""

from __future__ import annotations

import time

from prometheus_client import Counter, Gauge, Histogram

from gateway.errors import LedgerUnavailable
from gateway.ledger.ledger import Ledger
from gateway.ledger.scripts import Argument, Reply

TRANSITION_SECONDS = Histogram(
    "farebox_transition_seconds",
    "How long the ledger took to answer, by transition and outcome.",
    ["transition", "outcome"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
)
ATTEMPT_SECONDS = Histogram(
    "farebox_attempt_seconds",
    "How long attempts took from begin to their end, by tool, model and how they ended.",
    ["tool", "model", "ending"],
    buckets=(0.5, 1, 2.5, 5, 10, 20, 40, 60, 120, 300, 600, 1200, 2700),
)
ATTEMPTS_IN_WORK = Gauge("farebox_attempts_in_work", "Attempts that this worker is making now.", ["tool"])
RESCUES = Counter("farebox_caretaker_rescues", "Rescues by this caretaker, by what they did.", ["action"])
OUTPUTS_DELETED = Counter("farebox_caretaker_outputs_deleted", "Generations whose old outputs were deleted.")


class TimedLedger(Ledger):
    """The ledger, with the time that each of its scripts takes."""

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
            TRANSITION_SECONDS.labels(name, outcome).observe(time.perf_counter() - started_at)
