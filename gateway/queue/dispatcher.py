"""Dispatching in the background: code that moves a generation to `queued` passes its Dispatch here and continues.

The outbox (docs/design.md, section 5): the ledger has set a deadline two seconds ahead. The dispatcher puts the
job into arq and moves the deadline on. If the process dies or Redis is down in between, the deadline passes and a
caretaker dispatches instead. So nothing here ever fails a request, and nothing needs to be persisted.

Hints for the watchers go the same way, in the same round trips: a new generation costs one for both.

While the queue's Redis hangs, both pile up, so only the latest of each are kept. Dropped dispatches are left to a
caretaker, after their deadline; streams read again every five seconds anyway.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Self, TypeVar

import structlog
from redis.asyncio import Redis

from gateway.clock import now_seconds
from gateway.errors import FareboxError, LedgerUnavailable, QueueUnavailable
from gateway.ledger.ledger import Ledger
from gateway.ledger.outcomes import Dispatch
from gateway.queue.messages import ChangeNotice
from gateway.queue.queue import Queue
from gateway.tasks import Tasks, cancel

_CLOSE_SECONDS = 5
_TIMER_SECONDS = 0.005  # an event loop's timers count in milliseconds and may be one early
KEPT_MAX = 10_000  # of dispatches, and of notices: some 6 MB together, many times what a burst needs
_BATCH_MAX = 64  # packing these blocks the event loop for 1 ms

# The ledger learns what is in arq twice a second, well before the deadline: one script per partition. Most generations
# have started by then, so there is nothing to write.
_MARK_SECONDS_MAX = 0.5
_MARKS_A_DEADLINE = 4

T = TypeVar("T")

log = structlog.get_logger(__name__)


class Dispatcher:
    """Collects dispatches and notices and writes them in batches. Use it as an async context manager.

    Each of the queue's servers has batches of its own, so one that hangs delays no other tool's generations.
    """

    def __init__(self, *, ledger: Ledger, queue: Queue, tasks: Tasks | None = None) -> None:
        self._tasks = Tasks() if tasks is None else tasks
        self._ledger = ledger
        self._queue = queue
        self._outboxes = {server: _Outbox(queue, server, self._note_in_arq) for server in queue.servers.all}
        self._one_server = len(self._outboxes) == 1
        self._pauses: set[asyncio.TimerHandle] = set()
        self._in_arq: list[Dispatch] = []
        self._mark_seconds = min(_MARK_SECONDS_MAX, ledger.dispatch_ms / 1000 / _MARKS_A_DEADLINE)
        self._marking: set[asyncio.Task[None]] = set()
        self._closing = False
        self._writers: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        self._writers = [self._tasks.keep("dispatcher", outbox.write_batches) for outbox in self._outboxes.values()]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Write what is ready. Retries that are still pausing are left to the caretaker."""
        self._closing = True
        for outbox in self._outboxes.values():
            outbox.close()
        for pause in self._pauses:
            pause.cancel()
        tasks = [*self._writers, *self._marking]
        _, late = await asyncio.wait(tasks, timeout=_CLOSE_SECONDS)
        self._start_marking()
        if self._marking:
            _, still_late = await asyncio.wait(set(self._marking), timeout=_CLOSE_SECONDS)
            late |= still_late
        await cancel(*late)

    def dispatch(self, dispatches: Iterable[Dispatch | None], notices: Iterable[ChangeNotice] = ()) -> None:
        """Dispatch and notify in the next batch; a retry when its pause is over. None, of one that waits, is skipped.

        Never raises. If too many are kept, the oldest are dropped, which is logged once per outage. A lost notice
        delays a stream by five seconds at most.

        A retry is held back here instead of getting a later score in arq: the score is its place in the queue, and a
        later one would put it behind everything that arrives in the meantime.
        """
        shared: list[Dispatch] = []
        for dispatch in dispatches:
            if dispatch is None:
                continue
            pause_seconds = dispatch.not_before / 1000 - now_seconds() if dispatch.not_before else 0.0
            if pause_seconds <= 0:
                shared.append(dispatch) if self._one_server else self._outbox_of(dispatch).add([dispatch])
            elif not self._closing:
                self._hold_back(dispatch, pause_seconds)
        self._outboxes[self._queue.redis].add(shared, notices)

    def _outbox_of(self, dispatch: Dispatch) -> _Outbox:
        return self._outboxes[self._queue.servers.of(dispatch.tool)]

    def _hold_back(self, dispatch: Dispatch, seconds: float) -> None:
        def over() -> None:
            self._pauses.discard(pause)
            self._outbox_of(dispatch).add([dispatch])

        pause = asyncio.get_running_loop().call_later(seconds + _TIMER_SECONDS, over)
        self._pauses.add(pause)

    def _note_in_arq(self, batch: list[Dispatch]) -> None:
        if not self._in_arq and not self._closing:
            asyncio.get_running_loop().call_later(self._mark_seconds, self._start_marking)
        self._in_arq += batch

    def _start_marking(self) -> None:
        batch, self._in_arq = self._in_arq, []
        if batch:
            marking = self._tasks.start(self._mark(batch), "mark dispatched")
            self._marking.add(marking)
            marking.add_done_callback(self._marking.discard)

    async def _mark(self, batch: list[Dispatch]) -> None:
        """Record in the ledger that the batch is in arq."""
        try:
            await self._ledger.dispatched({dispatch.generation: dispatch.deadline for dispatch in batch})
        except FareboxError as error:
            # Harmless: the caretaker dispatches them again, and `begin` gives only one attempt the lease.
            expected = isinstance(error, LedgerUnavailable)
            log.warning("dispatched_not_recorded", generations=len(batch), error=str(error), expected=expected)


class _Outbox:
    """What is to be written to one server: the latest dispatches and notices."""

    def __init__(self, queue: Queue, server: Redis, written: Callable[[list[Dispatch]], None]) -> None:
        self._queue = queue
        self._server = server
        self._written = written
        self._ready: deque[Dispatch] = deque(maxlen=KEPT_MAX)
        self._notices: deque[ChangeNotice] = deque(maxlen=KEPT_MAX)
        self._drops = False
        self._something_ready = asyncio.Event()
        self._closing = False

    def add(self, dispatches: Iterable[Dispatch], notices: Iterable[ChangeNotice] = ()) -> None:
        self._ready.extend(dispatches)
        self._notices.extend(notices)
        if not self._drops and KEPT_MAX in {len(self._ready), len(self._notices)}:
            self._drops = True
            log.warning(
                "dispatcher_full", kept=KEPT_MAX, consequence="left to the caretaker, and to watchers' own reads"
            )
        if self._ready or self._notices:
            self._something_ready.set()

    def close(self) -> None:
        self._closing = True
        self._something_ready.set()

    async def write_batches(self) -> None:
        """Write one batch at a time; what arrives in the meantime is the next one. Returns once closed and empty."""
        while self._ready or self._notices or not self._closing:
            await self._something_ready.wait()
            batch, notices = _first(self._ready), _first(self._notices)
            if not self._ready and not self._notices:
                self._drops = False
                if not self._closing:
                    self._something_ready.clear()
            if await self._put(batch, notices) and batch:
                self._written(batch)

    async def _put(self, batch: list[Dispatch], notices: list[ChangeNotice]) -> bool:
        try:
            await self._queue.dispatch(batch, notices, server=self._server)
        except QueueUnavailable as error:
            if batch:
                log.warning("dispatch_left_to_caretaker", generations=len(batch), error=str(error))
            log.debug("change_notices_lost", notices=len(notices), error=str(error))
            return False
        except Exception:
            log.exception("dispatch_left_to_caretaker", generations=len(batch))
            return False
        return True


def _first(kept: deque[T]) -> list[T]:
    """Take the next batch out."""
    return [kept.popleft() for _ in range(min(_BATCH_MAX, len(kept)))]
