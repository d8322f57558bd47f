"""What workers and caretakers count, for Prometheus; served by `--metrics-port`."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import Counter, Gauge, Histogram
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from gateway.ledger.timed import transition_seconds
from gateway.tasks import Tasks

TRANSITION_SECONDS = transition_seconds()
ATTEMPT_SECONDS = Histogram(
    "farebox_attempt_seconds",
    "How long attempts took from begin to their end, by tool, model and how they ended.",
    ["tool", "model", "ending"],
    buckets=(0.5, 1, 2.5, 5, 10, 20, 40, 60, 120, 300, 600, 1200, 2700),
)
ATTEMPTS_IN_WORK = Gauge("farebox_attempts_in_work", "Attempts that this worker is making now.", ["tool"])
RESCUES = Counter("farebox_caretaker_rescues", "Rescues by this caretaker, by what they did.", ["action"])
WEBHOOK_TRIES = Counter(
    "farebox_webhook_tries", "Calls of webhooks by this caretaker, by what came of them.", ["outcome"]
)
OUTPUTS_DELETED = Counter("farebox_caretaker_outputs_deleted", "Generations whose old outputs were deleted.")
UPLOADS_DELETED = Counter("farebox_caretaker_uploads_deleted", "Uploads that were deleted because they had expired.")


class TaskFigures(Collector):
    """The background tasks of this process, asked each time."""

    def __init__(self, tasks: Tasks) -> None:
        self._tasks = tasks

    def collect(self) -> Iterable[Metric]:
        """One figure for each task."""
        return self._tasks.metrics()
