"""Prometheus metrics of workers and caretakers; served on `--metrics-port`."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from prometheus_client import Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from gateway.clock import CLOCK
from gateway.ledger.figures import Figures
from gateway.ledger.timed import transition_seconds
from gateway.outputs import StoreWatch
from gateway.queue.messages import unreadable_messages
from gateway.queue.queue import Queue
from gateway.tasks import Tasks

TRANSITION_SECONDS = transition_seconds()
FIGURES = Figures()
ATTEMPT_SECONDS = Histogram(
    "farebox_attempt_seconds",
    "Duration of attempts, by tool, model and result.",
    ["tool", "model", "ending"],
    buckets=(0.5, 1, 2.5, 5, 10, 20, 40, 60, 120, 300, 600, 1200, 2700),
)
ATTEMPTS_IN_WORK = Gauge("farebox_attempts_in_work", "Attempts this worker is running.", ["tool"])
UNIT_REPORTS = Counter(
    "farebox_reported_units",
    "Delivered outputs priced by reported units (R29), by model, unit, and what was reported.",
    ["model", "unit", "outcome"],
)
REPORTED_COSTS = Counter(
    "farebox_reported_costs",
    "Costs that providers reported of outputs and failed jobs (R31), by model, provider, and whether they count.",
    ["model", "provider", "outcome"],
)
BREAKER_MOVES = Counter(
    "farebox_provider_breaker_moves", "Breakers that this worker opened or closed, by provider.", ["provider", "move"]
)
PROVIDERS_LEFT = Counter(
    "farebox_provider_left",
    "Attempts after which another of the model's providers may be asked, by provider and what it said.",
    ["provider", "result"],
)
LATE_SUCCESSES = Counter(
    "farebox_provider_late_successes",
    "Jobs that a provider finished after another one was asked: discarded, but they cost.",
    ["provider"],
)
RESCUES = Counter("farebox_caretaker_rescues", "Rescues by this caretaker, by result.", ["action"])
WEBHOOK_TRIES = Counter("farebox_webhook_tries", "Webhook calls by this caretaker, by result.", ["outcome"])
OUTPUTS_DELETED = Counter("farebox_caretaker_outputs_deleted", "Generations whose expired outputs were deleted.")
UPLOADS_DELETED = Counter("farebox_caretaker_uploads_deleted", "Expired uploads deleted.")


class ProcessFigures(Collector):
    """The state of this process: tasks, clock, rate card, object store, unreadable messages. Read at each scrape."""

    def __init__(self, tasks: Tasks, queue: Queue, card_problem: Callable[[], str | None], store: StoreWatch) -> None:
        self._store = store
        self._card_problem = card_problem
        self._tasks = tasks
        self._queue = queue

    def collect(self) -> Iterable[Metric]:
        """The current metrics."""
        yield from self._tasks.metrics()
        yield unreadable_messages(self._queue.unreadable)
        yield from CLOCK.metrics()
        yield from self._store.metrics()
        yield GaugeMetricFamily(
            "farebox_rate_card_degraded",
            "1 while this process's rate card is not the one in force.",
            value=1 if self._card_problem() else 0,
        )
