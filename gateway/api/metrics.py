"""Metrics for Prometheus: the gateway's own counters, and values read from the ledger and the queue."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric

from gateway.clock import CLOCK
from gateway.domain import millicredits_to_credits
from gateway.ledger.audit import LastAudit
from gateway.ledger.figures import Figures
from gateway.ledger.pause_records import Pause
from gateway.ledger.sums import Totals
from gateway.ledger.timed import transition_seconds
from gateway.ledger.timings import Timings
from gateway.outputs import StoreWatch
from gateway.pricing.reload import RateCards
from gateway.process_metrics import GATEWAY, Answers, together
from gateway.queue.messages import unreadable_messages
from gateway.queue.queue import Depth
from gateway.queue.slots import ProviderState
from gateway.queue.workforce import Workforce
from gateway.tasks import Tasks

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)


class Metrics:
    """The metrics of one gateway."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # an unused second series per counter
        self.registry = CollectorRegistry()
        self.figures = Figures(self.registry)
        ProcessCollector(registry=self.registry)  # included in the default registry, but not in ours
        self.refusals = Counter("farebox_refusals", "Error responses by code.", ["code"], registry=self.registry)
        self.upload_inspections = Counter(
            "farebox_upload_looks",
            "Uploads by inspection result: read, refused, or limited (the account used up its inspection time).",
            ["outcome"],
            registry=self.registry,
        )
        self.requests = Timings(
            Histogram(
                "farebox_http_request_seconds",
                "Request duration by method, route and status.",
                ["method", "route", "status"],
                buckets=_SECONDS,
                registry=self.registry,
            )
        )
        self.transitions = transition_seconds(self.registry)

    def exposition(
        self,
        totals: Totals | None,
        depths: Mapping[str, Depth],
        tools: Sequence[str],
        rate_cards: RateCards,
        audit: LastAudit | None,
        *,
        providers: Mapping[str, ProviderState] | None,
        tasks: Tasks,
        store: StoreWatch,
        workforce: Workforce,
        odd: Mapping[str, int],
        unapplied: int | None,
        pauses: Sequence[Pause],
        processes: Answers | None,
        process: str = GATEWAY,
    ) -> bytes:
        """The page for Prometheus, including the other `processes`' metrics; None: not read."""
        own = self.of_process(rate_cards, tasks=tasks, store=store, odd=odd)
        return _page(
            [
                *(own if processes is None else together(own, processes, process)),
                # Values that do not belong to a process, so they have no process label.
                _card_in_force(rate_cards),
                *_of_queue(depths),
                *_of_ledger(totals, tools),
                *_of_audit(audit),
                *_of_payments(unapplied),
                _of_pauses(pauses),
                *_of_providers(providers or {}, rate_cards),
                *workforce.metrics(),
            ]
        )

    def of_process(
        self, rate_cards: RateCards, *, tasks: Tasks, store: StoreWatch, odd: Mapping[str, int]
    ) -> list[Metric]:
        """The metrics of this process."""
        return [
            *self.registry.collect(),
            _card_degraded(rate_cards),
            *tasks.metrics(),
            *store.metrics(),
            *CLOCK.metrics(),
            unreadable_messages(odd),
        ]

    def own_page(self, rate_cards: RateCards, *, tasks: Tasks, store: StoreWatch, odd: Mapping[str, int]) -> bytes:
        """The metrics of this process, for the gateway that is scraped."""
        return _page(self.of_process(rate_cards, tasks=tasks, store=store, odd=odd))


def _page(families: list[Metric]) -> bytes:
    page = CollectorRegistry()
    page.register(_Once(families))
    return generate_latest(page)


class _Once:
    """A collector of values that were read already."""

    def __init__(self, families: list[Metric]) -> None:
        self._families = families

    def collect(self) -> list[Metric]:
        return self._families


def _card_in_force(rate_cards: RateCards) -> Metric:
    info = InfoMetricFamily("farebox_rate_card", "The rate card in force.")
    info.add_metric([], {"version": rate_cards.card.version})
    return info


def _card_degraded(rate_cards: RateCards) -> Metric:
    return GaugeMetricFamily(
        "farebox_rate_card_degraded",
        "1 while the rate card on disk is not the one in force.",
        value=1 if rate_cards.problem else 0,
    )


def _of_queue(depths: Mapping[str, Depth]) -> Iterator[Metric]:
    oldest = GaugeMetricFamily(
        "farebox_queue_oldest_age_seconds", "Age of the oldest queued generation.", labels=["tool"]
    )
    workers = GaugeMetricFamily("farebox_workers", "Live workers.", labels=["tool"])
    for tool, depth in depths.items():
        oldest.add_metric([tool], (depth.oldest_ms or 0) / 1000)
        workers.add_metric([tool], depth.workers)
    yield oldest
    yield workers


def _of_ledger(totals: Totals | None, tools: Sequence[str]) -> Iterator[Metric]:
    yield GaugeMetricFamily("farebox_ledger_up", "1 while the ledger responds.", value=0 if totals is None else 1)
    if totals is None:
        return
    yield GaugeMetricFamily("farebox_accounts", "Accounts.", value=totals.accounts)
    yield GaugeMetricFamily("farebox_open_generations", "Open generations.", value=totals.open)
    yield GaugeMetricFamily(
        "farebox_held_credits",
        "Credits held by open generations.",
        value=float(millicredits_to_credits(totals.held_millicredits)),
    )
    yield GaugeMetricFamily(
        "farebox_deadlines_overdue", "Deadlines that have passed without being handled.", value=totals.overdue
    )
    yield _by_tool("farebox_queue_depth", "Queued generations.", totals.queued, tools)
    yield _by_tool(
        "farebox_waiting", "Generations waiting because of their account's concurrency limit.", totals.waiting, tools
    )
    yield _by_tool("farebox_running", "Running generations.", totals.running, tools)
    in_work = {
        tool: totals.queued.get(tool, 0) + totals.running.get(tool, 0) for tool in {*totals.queued, *totals.running}
    }
    yield _by_tool("farebox_in_work", "Generations queued or running.", in_work, tools)
    outcomes = CounterMetricFamily(
        "farebox_generations", "Ended generations by outcome.", labels=["tool", "model", "state", "code"]
    )
    for labels, count in totals.outcomes.items():
        outcomes.add_metric(list(labels), count)
    yield outcomes
    rescues = CounterMetricFamily("farebox_rescues", "Rescues by result.", labels=["action"])
    for action, count in totals.rescues.items():
        rescues.add_metric([action], count)
    yield rescues


def _of_audit(last: LastAudit | None) -> Iterator[Metric]:
    """No metrics before the first audit: differences that were never checked are not 0."""
    if last is None:
        return
    yield GaugeMetricFamily(
        "farebox_audit_differences", "Inconsistencies found by the last audit.", value=last.differences
    )
    yield GaugeMetricFamily(
        "farebox_audit_unproved",
        "Items the last audit could not verify because they kept changing.",
        value=last.unproved,
    )
    yield GaugeMetricFamily(
        "farebox_audit_timestamp_seconds", "When the last audit started (Redis's clock).", value=last.at / 1000
    )


def _of_payments(unapplied: int | None) -> Iterator[Metric]:
    if unapplied is not None:
        yield GaugeMetricFamily(
            "farebox_payment_events_unapplied", "Payment events that have not been applied yet.", value=unapplied
        )


def _of_pauses(pauses: Sequence[Pause]) -> Metric:
    paused = GaugeMetricFamily("farebox_paused", "1 for what operators have paused.", labels=["kind", "name"])
    for pause in pauses:
        paused.add_metric([pause.kind, pause.name], 1)
    return paused


def _of_providers(states: Mapping[str, ProviderState], rate_cards: RateCards) -> Iterator[Metric]:
    """Values that the queue does not return are omitted, as is the limit of a provider without one."""
    in_work = GaugeMetricFamily("farebox_provider_in_work", "Jobs in progress at a provider.", labels=["provider"])
    most = GaugeMetricFamily(
        "farebox_provider_max_in_work", "Maximum concurrent jobs at a provider.", labels=["provider"]
    )
    in_line = GaugeMetricFamily(
        "farebox_provider_in_line", "Generations waiting for a free slot at a provider.", labels=["provider"]
    )
    last_hour = GaugeMetricFamily(
        "farebox_provider_last_hour", "A provider's results in the last hour.", labels=["provider", "outcome"]
    )
    requests = GaugeMetricFamily(
        "farebox_provider_requests_last_minute",
        "New jobs a provider was given in the last minute.",
        labels=["provider"],
    )
    open_breaker = GaugeMetricFamily(
        "farebox_provider_breaker_open", "1 while a provider's breaker is open or half open.", labels=["provider"]
    )
    for name, state in states.items():
        requests.add_metric([name], state.requests_last_minute)
        in_work.add_metric([name], state.in_work)
        in_line.add_metric([name], state.queued)
        table = rate_cards.card.providers.get(name)
        if table is not None and table.max_in_work is not None:
            most.add_metric([name], table.max_in_work)
        if table is not None and table.open_after is not None:
            open_breaker.add_metric([name], state.opens_until is not None)
        for outcome, count in state.outcomes.items():
            last_hour.add_metric([name, outcome], count)
    yield from (in_work, most, in_line, requests, open_breaker, last_hour)


def _by_tool(name: str, text: str, counts: Mapping[str, int], tools: Sequence[str]) -> Metric:
    family = GaugeMetricFamily(name, text, labels=["tool"])
    for tool in sorted({*tools, *counts}):
        family.add_metric([tool], counts.get(tool, 0))
    return family
