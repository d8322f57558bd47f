"""Counts the ledger's outcomes for Prometheus: waits, times to a result, credits, money. Each process counts its own.

A crash may lose a follow-up and with it these counts, so use them for rates and quantiles. Exact numbers are in the
ledger: `farebox audit`, `GET /v1/usage`, `GET /v1/ops/margin`.
"""

from __future__ import annotations

from collections.abc import Sequence

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Histogram

from gateway.domain import Cost, millicredits_to_credits
from gateway.ledger import outcomes
from gateway.ledger.margin_records import revenue_of
from gateway.ledger.payments import Paid

_MICRO = 1_000_000
_SECONDS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 60, 120, 300, 600, 1200, 2700, 7200)


class Figures:
    """Counts outcomes. Labels are tools, models, providers, states and kinds of purchase: the rate card bounds them."""

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        self._waits = Histogram(
            "farebox_wait_seconds",
            "Time generations were queued before their first start, by tool.",
            ["tool"],
            buckets=_SECONDS,
            registry=registry,
        )
        self._results = Histogram(
            "farebox_result_seconds",
            "Time from request to end of a generation, by tool and status.",
            ["tool", "status"],
            buckets=_SECONDS,
            registry=registry,
        )
        self._charged = Counter(
            "farebox_credits_charged", "Credits committed for generations, by tool.", ["tool"], registry=registry
        )
        self._refunded = Counter(
            "farebox_credits_refunded", "Credits refunded for generations, by tool.", ["tool"],
            registry=registry,
        )  # fmt: skip
        self._sold = Counter(
            "farebox_credits_sold",
            "Credits sold, by kind of purchase; for a plan, those of its first month.",
            ["kind"],
            registry=registry,
        )
        self._revenue = Counter(
            "farebox_revenue",
            "What was paid for the credits of ended generations, in the rate card's currency, by model and provider.",
            ["model", "provider"],
            registry=registry,
        )
        self._cost = Counter(
            "farebox_cost",
            "What providers took for ended generations, in the rate card's currency, by model and provider.",
            ["model", "provider"],
            registry=registry,
        )
        self._losses = Counter(
            "farebox_losses",
            "The part of that cost for which nobody pays, by model and provider.",
            ["model", "provider"],
            registry=registry,
        )

    def count(self, outcome: object) -> None:
        """Count an outcome of the ledger; most have no metric."""
        match outcome:
            case outcomes.Begun(generation, attempt=1):
                if generation.queued_at is not None and generation.started_at is not None:
                    seconds = (generation.started_at - generation.queued_at) / 1000
                    self._waits.labels(generation.request.tool).observe(max(0, seconds))
            case outcomes.Ended(generation):
                self._ended(generation)
            case Paid(checkout, now=True):
                self._sold.labels(checkout.kind).inc(float(millicredits_to_credits(checkout.millicredits)))

    def _ended(self, generation: outcomes.Generation) -> None:
        tool = generation.request.tool
        if generation.finished_at is not None:
            seconds = (generation.finished_at - generation.created_at) / 1000
            self._results.labels(tool, str(generation.state)).observe(max(0, seconds))
        self._charged.labels(tool).inc(float(millicredits_to_credits(generation.committed_millicredits)))
        self._refunded.labels(tool).inc(float(millicredits_to_credits(generation.refunded_millicredits)))
        model = generation.request.model
        self._revenue.labels(model, generation.request.provider).inc(float(revenue_of(generation) / _MICRO))
        for output in generation.outputs:
            if output.cost is not None:
                self._cost.labels(model, output.cost.provider).inc(output.cost.micro / _MICRO)
        self.count_losses(model, generation.lost)

    def count_losses(self, model: str, lost: Sequence[Cost]) -> None:
        """Count what a job cost that nobody pays for."""
        for cost in lost:
            self._cost.labels(model, cost.provider).inc(cost.micro / _MICRO)
            self._losses.labels(model, cost.provider).inc(cost.micro / _MICRO)
