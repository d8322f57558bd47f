"""Limits how many batches are in flight: two, unless they take long.

A batch costs the gateway 200 µs besides its contents: a task, a connection, a write, a wait, a read. If one were sent
in every iteration of the event loop, batches would be smallest just when there is most to do. While two are in flight
(one that Redis is processing, and one that it will find afterwards), further calls make the next batch larger. That
does not delay them, because Redis processes one at a time.

That is so while a batch takes a millisecond. A disk that takes several makes Redis wait for it after each batch, and
answer meanwhile to nobody: what has reached it by then is in the next batch, what is still here only in the one after.
So up to two more are sent while the first two wait for the disk.

A batch that is large enough need not wait for anything: see `Lane`, which writes it at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine

_IN_FLIGHT_MAX = 2
_SLOW_SECONDS = 0.005  # more than two batches take on a disk of its own
_SLOW_MAX = 4
_LATE_SECONDS = 0.02  # a hung connection delays the others no longer than this


def run_surely(tasks: set[asyncio.Task[None]], work: Callable[[], Coroutine[None, None, None]]) -> None:
    """Run `work`, which never raises, as one of `tasks`; also if it is cancelled before it begins.

    A loop that shuts down cancels every task, and whoever waits for the outcome would wait for ever.
    """
    begun = False

    async def run() -> None:
        nonlocal begun
        begun = True
        await work()

    def ended(task: asyncio.Task[None]) -> None:
        tasks.discard(task)
        if not begun:
            run_surely(tasks, work)

    task = asyncio.get_running_loop().create_task(run())
    tasks.add(task)
    task.add_done_callback(ended)


class InFlightLimit:
    """Runs `send`, which takes everything pending when it begins and never raises, while anything is pending."""

    def __init__(
        self,
        send: Callable[[], Coroutine[None, None, None]],
        *,
        slow_seconds: float = _SLOW_SECONDS,
        late_seconds: float = _LATE_SECONDS,
    ) -> None:
        self._send = send
        self._slow_seconds = slow_seconds
        self._late_seconds = late_seconds
        self._tasks: set[asyncio.Task[None]] = set()
        self._starting = False
        self._wanted = False
        self._late: asyncio.TimerHandle | None = None

    def want(self) -> None:
        """There is something to send."""
        if self._starting or self._wanted:
            return
        if len(self._tasks) < _IN_FLIGHT_MAX:
            self._start()
        else:
            self._wanted = True
            patience = self._slow_seconds if len(self._tasks) < _SLOW_MAX else self._late_seconds
            self._late = asyncio.get_running_loop().call_later(patience, self._start)

    def _start(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None
        self._wanted, self._starting = False, True
        task = asyncio.get_running_loop().create_task(self._begin())
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    async def _begin(self) -> None:
        self._starting = False
        await self._send()

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        # Cancelled before its first step, as when a loop shuts down: what is pending must still be sent.
        never_begun = self._starting and task.cancelled()
        if self._wanted or never_begun:
            self._start()
