"""One attempt's slot at its provider (`gateway.queue.slots`), and what operators are told of how the provider did.

Only providers that the rate card has a table of have slots, and a limit only if the table says one: it is read anew
each time, so a changed card is followed. Nothing here ever fails an attempt: without the queue's Redis a slot lapses,
and somebody may be let go on who should have waited; that is seen to when it is back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import structlog

from gateway.clock import now_ms
from gateway.errors import QueueUnavailable
from gateway.ledger.outcomes import Dispatch, Generation
from workers.context import WorkerContext

# What a parked one keeps beyond its next look: until it is dispatched, picked up and begun.
_POLL_MARGIN_MS = 60_000
_FILL_EVERY_SECONDS = 1.0

log = structlog.get_logger(__name__)


async def keep_filling_slots(context: WorkerContext) -> None:
    """Fill slots once a second, for ever."""
    while True:
        await fill_slots(context)
        await asyncio.sleep(_FILL_EVERY_SECONDS)


async def fill_slots(context: WorkerContext) -> None:
    """Give the slots that have lapsed, were lost or are new to those that wait in a provider's queue (R16)."""
    limits = {name: table.max_in_work for name, table in context.providers.card.providers.items()}
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
    def _limit(self) -> int | None:
        table = self._context.providers.card.providers.get(self._provider)
        return None if table is None else table.max_in_work

    async def acquire(self) -> bool:
        """Whether the provider has room for one more job. For a job that it has already there always is."""
        if self._limit is None or self._generation.provider_ref is not None:
            return True
        found = await self._context.slots.acquire(self._provider, self._limit, self._generation.id)
        self._context.dispatcher.dispatch(found.dispatches)
        return found.acquired

    def begin(self) -> None:
        """Have a slot for an attempt that did not have to ask for one."""
        if self._limit is None or self._generation.provider_ref is not None:
            self.hold()

    async def enqueue(self, dispatch: Dispatch) -> None:
        """Wait in the provider's queue; should room have come meanwhile, go on at once."""
        try:
            self._context.dispatcher.dispatch(await self._context.slots.enqueue(self._provider, self._limit, dispatch))
        except QueueUnavailable as error:
            log.warning(
                "not_in_provider_queue", generation=self._generation.id, error=str(error), looked_at="in a minute"
            )

    def hold(self, until_ms: int | None = None) -> None:
        """Keep the slot for a lease, or until a parked one is looked at; if need be beyond the limit."""
        if not self._is_counted:
            return
        for_ms = None
        if until_ms is not None:
            for_ms = max(0, until_ms - now_ms()) + _POLL_MARGIN_MS
        self._aside(self._context.slots.hold(self._provider, self._generation.id, for_ms=for_ms))

    def release(self) -> None:
        """Give the slot up: the provider works on the job no more."""
        self._context.follow_ups.leave_slot(self._provider, self._generation.id)

    def note(self, outcome: str) -> None:
        """Count what the provider did."""
        if self._is_counted:
            self._aside(self._context.slots.note(self._provider, outcome))

    def _aside(self, work: Coroutine[Any, Any, None]) -> None:
        self._context.run_in_background(self._survive(work), "slot")

    async def _survive(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except QueueUnavailable as error:
            log.debug("slot_not_kept", generation=self._generation.id, error=str(error))
