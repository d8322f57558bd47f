"""The caretaker: handles every overdue deadline once a second, so that no generation stays open after a crash.

Any number may run: a rescue is compare-and-set, so of two caretakers that see the same deadline one does the work.
`workers/README.md` has a table of crashes and what repairs each.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field

import structlog

from gateway.errors import FareboxError, LedgerUnavailable
from gateway.ledger.care import Overdue
from gateway.ledger.outcomes import Ended, NotDue, Requeued
from gateway.tasks import cancel
from workers.context import WorkerContext
from workers.metrics import RESCUES

_ROUND_SECONDS = 1.0
_OVERDUE_LIMIT = 100

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class PartitionHealth:
    """Since when a partition has responded without errors, timeouts or gaps (R16).

    An expired lease means a dead worker only if the worker could have renewed it. So leases are judged only after the
    ledger has been seen to respond for one full lease, counted from the first response after a start.
    """

    lease_seconds: float
    gap_seconds: float
    since: float | None = None
    last: float | None = None

    def answered(self, asked_at: float, now: float) -> None:
        """Record a response; a late one, or the first after a gap, restarts the count."""
        late = now - asked_at > self.lease_seconds / 3
        gap = self.last is not None and asked_at - self.last > self.gap_seconds
        if late or gap or self.since is None:
            self.since = now
        self.last = now

    def lost(self) -> None:
        """Record an error."""
        self.since = self.last = None

    def may_judge(self, now: float) -> bool:
        """Whether an expired lease means a dead worker."""
        return self.since is not None and now - self.since >= self.lease_seconds


@dataclass(slots=True)
class Caretaker:
    """Polls all partitions for overdue deadlines, forever. `round_seconds` is shorter when the lease is very short.

    A round does nothing else: every other task of a caretaker runs beside it (`caretaking` in `workers/settings.py`),
    so that no store, provider or webhook delays a rescue. Nor does one partition delay the others.
    """

    context: WorkerContext
    lease_seconds: float
    round_seconds: float = field(init=False)
    healths: list[PartitionHealth] = field(init=False)
    _visits: dict[int, asyncio.Task[None]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.round_seconds = min(_ROUND_SECONDS, self.lease_seconds / 3)
        gap_seconds = self.round_seconds + self.lease_seconds / 3
        self.healths = [PartitionHealth(self.lease_seconds, gap_seconds) for _ in range(self.context.ledger.partitions)]

    async def run(self) -> None:
        """Poll forever."""
        try:
            while True:
                started_at = time.monotonic()
                await self.make_round()
                await asyncio.sleep(max(0, started_at + self.round_seconds - time.monotonic()))
        finally:
            await cancel(*self._visits.values())

    async def make_round(self) -> None:
        """Visit all partitions at once, so that they share a pipeline; an error in one does not stop the others.

        A partition that has not answered within a round is awaited alongside the next rounds.
        """
        for partition in range(len(self.healths)):
            if partition not in self._visits:
                self._visits[partition] = asyncio.create_task(self._visit(partition), name=f"visit {partition}")
        ended, _ = await asyncio.wait(self._visits.values(), timeout=self.round_seconds)
        self._visits = {partition: visit for partition, visit in self._visits.items() if visit not in ended}
        errors = [error for visit in ended if (error := visit.exception()) is not None]
        if errors:
            unexpected = [error for error in errors if not isinstance(error, LedgerUnavailable)]
            error = (unexpected or errors)[0]
            log.warning(
                "partitions_not_reached", partitions=len(errors), error=str(error), exc_info=bool(unexpected) and error
            )

    async def _visit(self, partition: int) -> None:
        health = self.healths[partition]
        asked_at = time.monotonic()
        try:
            overdue = await self.context.ledger.overdue(partition=partition, limit=_OVERDUE_LIMIT)
            health.answered(asked_at, time.monotonic())
            judge_leases = health.may_judge(time.monotonic())
            rescued = await asyncio.gather(
                *(self._rescue(one, judge_leases=judge_leases) for one in overdue), return_exceptions=True
            )
        except FareboxError:
            health.lost()
            raise
        for error in rescued:  # after all of them: an unreadable generation must not block the others' rescue
            if isinstance(error, FareboxError):
                health.lost()
            if isinstance(error, BaseException):
                raise error

    async def _rescue(self, overdue: Overdue, *, judge_leases: bool) -> None:
        generation = overdue.generation
        outcome = await self.context.ledger.rescue(
            generation=generation, deadline=overdue.deadline, judge_leases=judge_leases
        )
        match outcome:
            case NotDue():
                return
            case Requeued(dispatch):
                action = "retried" if dispatch.not_before > overdue.deadline else "dispatched"
                log.info("rescued", generation=generation, action=action, attempt=dispatch.attempt)
            case Ended(ended):
                action = str(ended.error or ended.state)
                log.info("rescued", generation=generation, action=action, account=ended.account)
        RESCUES.labels(action).inc()
