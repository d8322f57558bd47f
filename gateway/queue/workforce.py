"""Whether everything on sale can be made: a worker for each tool that can call its models' providers, and a caretaker.

A gateway checks every two seconds which processes were seen recently (`gateway.queue.heartbeats`). A missing one is
reported after ten seconds, so that starting up causes no alarm. Generations that have had no worker for longer than the
operator allows are no longer accepted. While the queue's Redis is unavailable, nothing is reported or refused; while a
tool's own is, nothing of that tool.
"""

from __future__ import annotations

import asyncio
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from time import monotonic

import structlog
from prometheus_client.core import GaugeMetricFamily, Metric

from gateway.errors import QueueUnavailable
from gateway.pricing.card import RateCard
from gateway.queue.heartbeats import Alive, alive
from gateway.queue.queue import Queue

CHECK_SECONDS = 2.0
SAID_AFTER_SECONDS = 10.0

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, order=True)
class Missing:
    """What is missing: a worker for `tool`; with `provider`, one that can call it; with neither, a caretaker."""

    tool: str = ""
    provider: str = ""

    @property
    def problem(self) -> str:
        """The problem, for operators. It names no machine."""
        if not self.tool:
            return "no caretaker is running: start one (`farebox caretaker`); until then, lost work is not picked up"
        if not self.provider:
            return (
                f"no worker for {self.tool!r} is running: start one (`farebox worker {self.tool}`); its generations "
                "wait"
            )
        return (
            f"no worker for {self.tool!r} can call the provider {self.provider!r}: give one its API key (see the "
            "workers' logs); its generations wait"
        )


class Workforce:
    """The known workers and caretakers. `card` returns the current rate card."""

    def __init__(
        self,
        queue: Queue,
        card: Callable[[], RateCard],
        *,
        accept_seconds: float,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        """Accept generations without a worker until `accept_seconds` after the worker was first missed."""
        self._queue = queue
        self._card = card
        self._accept_seconds = accept_seconds
        self._clock = clock
        self._since: dict[Missing, float] = {}
        self._logged: frozenset[Missing] = frozenset()
        self._caretakers: int | None = None

    @property
    def missing(self) -> list[Missing]:
        """What has been missing long enough to be reported."""
        now = self._clock()
        return sorted(one for one, since in self._since.items() if now - since >= SAID_AFTER_SECONDS)

    @property
    def problems(self) -> tuple[str, ...]:
        """Problems for operators, one sentence each."""
        return tuple(one.problem for one in self.missing)

    def takes(self, tool: str, providers: Iterable[str]) -> bool:
        """Whether a new generation may be accepted: a worker that can call one of these is running, or was recently."""
        wanted = (Missing(tool), *(Missing(tool, provider) for provider in providers))
        longest = self._clock() - self._accept_seconds
        the_tool, *any_provider = [self._since.get(one, math.inf) > longest for one in wanted]
        return the_tool and any(any_provider)

    async def check(self) -> None:
        """Check once; log what went missing and what is back."""
        providers = _providers_of(self._card())
        try:
            found = await alive(self._queue.servers, sorted(providers))
        except QueueUnavailable:
            self._since, self._caretakers = {}, None
            return
        now = self._clock()
        self._since = {one: self._since.get(one, now) for one in _missing(found, providers)}
        self._caretakers = found.caretakers
        self._log_changes(frozenset(self.missing))

    async def watch(self) -> None:
        """Check forever."""
        while True:
            await self.check()
            await asyncio.sleep(CHECK_SECONDS)

    def metrics(self) -> Iterator[Metric]:
        """Metrics; nothing while the state is unknown."""
        if self._caretakers is None:
            return
        yield GaugeMetricFamily("farebox_caretakers", "Caretakers seen recently.", value=self._caretakers)
        unserved = GaugeMetricFamily(
            "farebox_unserved",
            (
                "1 for each tool without a worker (provider empty), and each provider that none of the tool's "
                "workers can call."
            ),
            labels=["tool", "provider"],
        )
        for one in self.missing:
            if one.tool:
                unserved.add_metric([one.tool, one.provider], 1)
        yield unserved

    def _log_changes(self, missing: frozenset[Missing]) -> None:
        for one in sorted(missing - self._logged):
            log.warning("NO_WORKER" if one.tool else "NO_CARETAKER", problem=one.problem)
        for one in sorted(self._logged - missing):
            log.info("worker_available_again", tool=one.tool or "caretaker", provider=one.provider)
        self._logged = missing


def _providers_of(card: RateCard) -> dict[str, set[str]]:
    """The tools that have models, each with their providers."""
    providers: defaultdict[str, set[str]] = defaultdict(set)
    for model in card.models.values():
        providers[model.tool].update(model.offers)
    return dict(providers)


def _missing(found: Alive, providers: dict[str, set[str]]) -> Iterator[Missing]:
    if not found.caretakers:
        yield Missing()
    for tool, wanted in providers.items():
        if tool not in found.workers:
            continue  # its own Redis does not respond
        if not found.workers[tool]:
            yield Missing(tool)
        elif tool in found.callable_providers:
            for provider in wanted - found.callable_providers[tool]:
                yield Missing(tool, provider)
