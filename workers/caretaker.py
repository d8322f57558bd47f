"""The caretaker: visits every overdue deadline once a second, so that nothing stays open for want of someone to end it.

Any number may run: a rescue is compare-and-set, so of two that see the same deadline one does the work. What it finds
is the same for every kind of crash; `workers/README.md` has the table.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field

import structlog

from gateway.errors import FareboxError, LedgerUnavailable, QueueUnavailable
from gateway.ledger.outcomes import Ended, NotDue, Overdue, Requeued
from gateway.outputs import hour
from workers.metrics import OUTPUTS_DELETED, RESCUES, UPLOADS_DELETED
from workers.workplace import Workplace

_ROUND_SECONDS = 1.0
_OUTPUTS_EVERY_SECONDS = 60.0
_OVERDUE_LIMIT = 100
_UPLOADS_AT_MOST = 1000  # of a minute: more would keep the round from the deadlines for seconds

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
    """Rounds over all partitions, for ever. `round_seconds` is shortened when the lease is very short."""

    place: Workplace
    lease_seconds: float
    round_seconds: float = field(init=False)
    reaches: list[Reach] = field(init=False)
    outputs_due_at: float = 0.0

    def __post_init__(self) -> None:
        self.round_seconds = min(_ROUND_SECONDS, self.lease_seconds / 3)
        gap_seconds = self.round_seconds + self.lease_seconds / 3
        self.reaches = [Reach(self.lease_seconds, gap_seconds) for _ in range(self.place.ledger.partitions)]

    async def run(self, stopping: asyncio.Event) -> None:
        """Make rounds until `stopping` is set."""
        while not stopping.is_set():
            started_at = time.monotonic()
            await self.make_round()
            rest = started_at + self.round_seconds - time.monotonic()
            try:
                await asyncio.wait_for(stopping.wait(), max(0, rest))
            except TimeoutError:
                continue

    async def make_round(self) -> None:
        """Visit every partition, all at once so that they share a pipeline; none stops the others."""
        partitions = range(len(self.reaches))
        answers = await asyncio.gather(*map(self._visit, partitions), return_exceptions=True)
        errors = [answer for answer in answers if isinstance(answer, BaseException)]
        unexpected = [error for error in errors if not isinstance(error, LedgerUnavailable)]
        if errors:
            error = (unexpected or errors)[0]
            log.warning(
                "partitions_not_reached", partitions=len(errors), error=str(error), exc_info=bool(unexpected) and error
            )
        elif time.monotonic() >= self.outputs_due_at:
            self.outputs_due_at = time.monotonic() + _OUTPUTS_EVERY_SECONDS
            await self._delete_expired_outputs()
            await self._delete_expired_uploads()
        await self._fill_slots()

    async def _visit(self, partition: int) -> None:
        reach = self.reaches[partition]
        asked_at = time.monotonic()
        try:
            overdue = await self.place.ledger.overdue(partition=partition, limit=_OVERDUE_LIMIT)
            reach.answered(asked_at, time.monotonic())
            judge_leases = reach.may_judge(time.monotonic())
            await asyncio.gather(*(self._rescue(one, judge_leases=judge_leases) for one in overdue))
        except FareboxError:
            reach.lost()
            raise

    async def _rescue(self, overdue: Overdue, *, judge_leases: bool) -> None:
        generation = overdue.generation
        outcome = await self.place.ledger.rescue(
            generation=generation, deadline=overdue.deadline, judge_leases=judge_leases
        )
        match outcome:
            case NotDue():
                return
            case Requeued(dispatch, promoted):
                action = "retried" if dispatch.not_before > overdue.deadline else "dispatched"
                log.info("rescued", generation=generation, action=action, attempt=dispatch.attempt)
                self.place.dispatcher.dispatch([dispatch, *promoted])
            case Ended(ended):
                action = str(ended.error or ended.state)
                log.info("rescued", generation=generation, action=action, account=ended.account)
                self.place.after_end(outcome, stop_provider=True)
        RESCUES.labels(action).inc()

    async def _fill_slots(self) -> None:
        """Let those go on who stand in a provider's line for a slot that has lapsed, was lost, or is new (R16)."""
        limits = {name: table.max_in_work for name, table in self.place.desk.card.providers.items()}
        try:
            self.place.dispatcher.dispatch(await self.place.slots.fill(limits))
        except QueueUnavailable as error:
            log.debug("slots_not_filled", error=str(error))

    async def _delete_expired_outputs(self) -> None:
        """Delete what has been kept long enough; what cannot be deleted now is found again in the next minute."""
        for partition in range(len(self.reaches)):
            try:
                expired = await self.place.ledger.expired_outputs(partition=partition)
                for generation in expired:
                    await self.place.outputs.delete_generation(generation)
                    await self.place.ledger.outputs_deleted(generation=generation)
                    log.info("outputs_deleted", generation=generation)
                    OUTPUTS_DELETED.inc()
            except Exception as error:  # noqa: BLE001 - an object store may raise anything; the next round tries again
                log.warning("outputs_not_deleted", partition=partition, error=f"{type(error).__name__}: {error}")

    async def _delete_expired_uploads(self) -> None:
        """Delete uploads that nobody can use any more. Whatever was made of them has its own copy."""
        try:
            deleted = await self.place.outputs.delete_uploads(before=hour(time.time()), at_most=_UPLOADS_AT_MOST)
        except Exception as error:  # noqa: BLE001 - an object store may raise anything; the next round tries again
            log.warning("uploads_not_deleted", error=f"{type(error).__name__}: {error}")
            return
        if deleted:
            log.info("uploads_deleted", uploads=deleted)
            UPLOADS_DELETED.inc(deleted)
