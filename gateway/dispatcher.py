"""Dispatching in the background: whoever moves a generation to `queued` hands its Dispatch over here and goes on.

The outbox (DESIGN section 5): the ledger has set a deadline two seconds ahead. The dispatcher puts the generation into
arq and moves the deadline on. If it dies or Redis gives no answer in between, the deadline passes and the caretaker
dispatches instead; so nothing here ever fails a request, and nothing needs to be kept.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from types import TracebackType
from typing import Self

import structlog

from gateway.cancelling import cancel
from gateway.errors import LedgerUnavailable, QueueUnavailable
from gateway.ledger.ledger import Ledger
from gateway.ledger.outcomes import Dispatch
from gateway.queue import Queue

_CLOSE_SECONDS = 5
_TIMER_SECONDS = 0.005  # an event loop's timers count in milliseconds and may be one early

log = structlog.get_logger(__name__)


class Dispatcher:
    """Collects dispatches and writes them in batches. Use it as an async context manager."""

    def __init__(self, *, ledger: Ledger, queue: Queue) -> None:
        self._ledger = ledger
        self._queue = queue
        self._ready: list[Dispatch] = []
        self._something_ready = asyncio.Event()
        self._pauses: set[asyncio.TimerHandle] = set()
        self._marking: set[asyncio.Task[None]] = set()
        self._closing = False
        self._writer: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._writer = asyncio.create_task(self._write_batches(), name="dispatcher")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Write what is ready. Retries whose pause is not over are left to the caretaker."""
        self._closing = True
        self._something_ready.set()
        for pause in self._pauses:
            pause.cancel()
        tasks = [task for task in (self._writer, *self._marking) if task is not None]
        _, late = await asyncio.wait(tasks, timeout=_CLOSE_SECONDS)
        if self._marking:
            _, still_late = await asyncio.wait(set(self._marking), timeout=_CLOSE_SECONDS)
            late |= still_late
        await cancel(*late)

    def dispatch(self, dispatches: Iterable[Dispatch]) -> None:
        """Dispatch in the background; a retry when its pause is over. Never raises.

        A retry is held back here rather than given a later score in arq: its score is its place among all others, and
        a later one would put it behind everything that arrives in the meantime.
        """
        for dispatch in dispatches:
            pause_seconds = dispatch.not_before / 1000 - time.time()
            if pause_seconds <= 0:
                self._make_ready(dispatch)
            elif not self._closing:
                self._hold_back(dispatch, pause_seconds)

    def _hold_back(self, dispatch: Dispatch, seconds: float) -> None:
        def over() -> None:
            self._pauses.discard(pause)
            self._make_ready(dispatch)

        pause = asyncio.get_running_loop().call_later(seconds + _TIMER_SECONDS, over)
        self._pauses.add(pause)

    def _make_ready(self, dispatch: Dispatch) -> None:
        self._ready.append(dispatch)
        self._something_ready.set()

    async def _write_batches(self) -> None:
        """Write a batch at a time: what comes while one is on its way is the next one."""
        while self._ready or not self._closing:
            await self._something_ready.wait()
            self._something_ready.clear()
            batch, self._ready = self._ready, []
            if batch and await self._put(batch):
                marking = asyncio.create_task(self._mark(batch))
                self._marking.add(marking)
                marking.add_done_callback(self._marking.discard)

    async def _put(self, batch: list[Dispatch]) -> bool:
        try:
            await self._queue.dispatch(batch)
        except QueueUnavailable as error:
            log.warning("dispatch_left_to_caretaker", generations=len(batch), error=str(error))
            return False
        except Exception:
            log.exception("dispatch_left_to_caretaker", generations=len(batch))
            return False
        return True

    async def _mark(self, batch: list[Dispatch]) -> None:
        """Tell the ledger that the batch is in arq; all at once, so that the scripts share a pipeline."""
        answers = await asyncio.gather(
            *(self._ledger.dispatched(generation=one.generation, deadline=one.deadline) for one in batch),
            return_exceptions=True,
        )
        errors = [answer for answer in answers if isinstance(answer, BaseException)]
        if errors:
            # Harmless: the caretaker dispatches them once more, and `begin` lets only one attempt have the lease.
            expected = isinstance(errors[0], LedgerUnavailable)
            log.warning("dispatched_not_recorded", generations=len(errors), error=str(errors[0]), expected=expected)
