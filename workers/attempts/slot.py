"""One attempt's slot at its provider (`gateway.queue.slots`), and the provider's results for operators.

Only providers with a table on the rate card have slots, and limits only if the table sets some. The table is read each
time, so card changes apply. Nothing here ever fails an attempt: without the queue's Redis a slot lapses, and a
generation may start that should have waited, until that Redis is back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import structlog

from gateway.clock import now_ms
from gateway.errors import QueueUnavailable
from gateway.ledger.outcomes import Dispatch, Generation
from gateway.queue.slots import Limits, Refusal
from workers.context import WorkerContext
from workers.metrics import BREAKER_MOVES

# A parked job holds its slot this long beyond its next poll: until it is dispatched, claimed and begun.
_POLL_MARGIN_MS = 60_000
_FILL_EVERY_SECONDS = 1.0

log = structlog.get_logger(__name__)


async def keep_filling_slots(context: WorkerContext) -> None:
    """Fill slots once a second, forever."""
    while True:
        await fill_slots(context)
        await asyncio.sleep(_FILL_EVERY_SECONDS)


async def fill_slots(context: WorkerContext) -> None:
    """Give lapsed, lost and new slots to generations in the provider's queue (R16)."""
    limits = {name: Limits.of(table) for name, table in context.providers.card.providers.items()}
    try:
        context.dispatcher.dispatch(await context.slots.fill(limits))
    except QueueUnavailable as error:
        log.debug("slots_not_filled", error=str(error))


class Slot:
    """The slot of one generation."""

    def __init__(self, context: WorkerContext, generation: Generation) -> None:
        self._context = context
        self._provider = generation.request.provider
        self._generation = generation

    @property
    def _is_counted(self) -> bool:
        return self._provider in self._context.providers.card.providers

    @property
    def limits(self) -> Limits:
        """When the provider takes another job."""
        table = self._context.providers.card.providers.get(self._provider)
        return Limits() if table is None else Limits.of(table)

    async def acquire(self) -> Refusal | None:
        """Take a slot; or why the provider has none. A job it already has always gets one."""
        if not self.limits.limited or self._generation.provider_ref is not None:
            return None
        found = await self._context.slots.acquire(self._provider, self.limits, self._generation.id)
        self._context.dispatcher.dispatch(found.dispatches)
        return found.refusal

    def begin(self) -> None:
        """Hold a slot for an attempt that did not need to acquire one."""
        new = self._generation.provider_ref is None
        if self._is_counted and not (new and self.limits.limited):
            self._in_background(self._context.slots.hold(self._provider, self._generation.id, new=new))

    async def enqueue(self, dispatch: Dispatch) -> None:
        """Join the provider's queue; if a slot has become free meanwhile, continue at once."""
        try:
            self._context.dispatcher.dispatch(await self._context.slots.enqueue(self._provider, self.limits, dispatch))
        except QueueUnavailable as error:
            log.warning(
                "not_in_provider_queue", generation=self._generation.id, error=str(error), looked_at="in a minute"
            )

    def hold(self, until_ms: int | None = None) -> None:
        """Hold the slot for a lease, or until a parked job is polled; even beyond the limit."""
        if not self._is_counted:
            return
        for_ms = None
        if until_ms is not None:
            for_ms = max(0, until_ms - now_ms()) + _POLL_MARGIN_MS
        self._in_background(self._context.slots.hold(self._provider, self._generation.id, for_ms=for_ms))

    def release(self) -> None:
        """Release the slot: the provider no longer works on the job."""
        self._context.follow_ups.leave_slot(self._provider, self._generation.id)

    def note(self, outcome: str, detail: str = "") -> None:
        """Count the provider's result; `detail` says more of a failure."""
        if self._is_counted:
            self._in_background(self._note(outcome, detail))

    async def _note(self, outcome: str, detail: str) -> None:
        slots, limits = self._context.slots, self.limits
        await slots.note(self._provider, outcome, detail)
        if (moved := await slots.note_of(self._generation.id, self._provider, limits, outcome)) != "unchanged":
            say = log.warning if moved == "opened" else log.info
            say(f"provider_{moved}", provider=self._provider, outcome=outcome, detail=detail)
            BREAKER_MOVES.labels(self._provider, moved).inc()

    def _in_background(self, work: Coroutine[Any, Any, None]) -> None:
        self._context.run_in_background(self._survive(work), "slot")

    async def _survive(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except QueueUnavailable as error:
            log.debug("slot_not_kept", generation=self._generation.id, error=str(error))
