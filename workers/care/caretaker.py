"""The caretaker: visits every overdue deadline once a second, so that nothing stays open for want of someone to end it.

Any number may run: a rescue is compare-and-set, so of two that see the same deadline one does the work. What it finds
is the same for every kind of crash; `workers/README.md` has the table.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field

import structlog

from gateway.cancelling import cancel
from gateway.errors import FareboxError, LedgerUnavailable
from gateway.ledger.outcomes import Ended, NotDue, Overdue, Requeued
from workers.metrics import RESCUES
from workers.workplace import Workplace

_ROUND_SECONDS = 1.0
_OVERDUE_LIMIT = 100

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Reach:
    """Since when a partition has answered without an error, a late answer or a gap (R16).

    A lease that ran out says that its worker is dead only if the worker could have renewed it. So leases are judged
    when the ledger was seen to answer for one whole lease; the first answer after a start counts as the beginning.
    """

    lease_seconds: float
    gap_seconds: float
    since: float | None = None
    last: float | None = None

    def answered(self, asked_at: float, now: float) -> None:
        """Note an answer; a late one, or the first after a gap, starts the lease anew."""
        late = now - asked_at > self.lease_seconds / 3
        gap = self.last is not None and asked_at - self.last > self.gap_seconds
        if late or gap or self.since is None:
            self.since = now
        self.last = now

    def lost(self) -> None:
        """Note an error."""
        self.since = self.last = None

    def may_judge(self, now: float) -> bool:
        """Whether a lapsed lease means a dead worker."""
        return self.since is not None and now - self.since >= self.lease_seconds


@dataclass(slots=True)
class Caretaker:
    """Rounds over all partitions, for ever. `round_seconds` is shortened when the lease is very short.

    A round does nothing but visit: whatever else a caretaker does has a task of its own (`workers/caretaking.py`), so
    that no store, provider or webhook can keep it from the deadlines. Nor can a partition keep it from the others.
    """

    place: Workplace
    lease_seconds: float
    round_seconds: float = field(init=False)
    reaches: list[Reach] = field(init=False)
    _visits: dict[int, asyncio.Task[None]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.round_seconds = min(_ROUND_SECONDS, self.lease_seconds / 3)
        gap_seconds = self.round_seconds + self.lease_seconds / 3
        self.reaches = [Reach(self.lease_seconds, gap_seconds) for _ in range(self.place.ledger.partitions)]

    async def run(self) -> None:
        """Make rounds for ever."""
        try:
            while True:
                started_at = time.monotonic()
                await self.make_round()
                await asyncio.sleep(max(0, started_at + self.round_seconds - time.monotonic()))
        finally:
            await cancel(*self._visits.values())

    async def make_round(self) -> None:
        """Visit every partition, all at once so that they share a pipeline; none stops the others.

        One that has not answered within a round is waited for beside the next ones.
        """
        for partition in range(len(self.reaches)):
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
        reach = self.reaches[partition]
        asked_at = time.monotonic()
        try:
            overdue = await self.place.ledger.overdue(partition=partition, limit=_OVERDUE_LIMIT)
            reach.answered(asked_at, time.monotonic())
            judge_leases = reach.may_judge(time.monotonic())
            rescued = await asyncio.gather(
                *(self._rescue(one, judge_leases=judge_leases) for one in overdue), return_exceptions=True
            )
        except FareboxError:
            reach.lost()
            raise
        for error in rescued:  # after all of them: one generation that cannot be read keeps no other from its rescue
            if isinstance(error, FareboxError):
                reach.lost()
            if isinstance(error, BaseException):
                raise error

    async def _rescue(self, overdue: Overdue, *, judge_leases: bool) -> None:
        generation = overdue.generation
        outcome = await self.place.ledger.rescue(
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
