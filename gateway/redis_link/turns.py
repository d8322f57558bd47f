"""When a batch may go: at once, but not while two are on their way, unless these are late.

A batch costs the gateway 200 µs beside what is in it: a task, a connection, a write, a wait, a read. Sent in every turn
of the event loop, batches are small just when there is most to do. What comes while two are on their way (one that
Redis works on, and one that it finds when it is through) makes the next one larger, and waits no longer for that:
Redis does one thing at a time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine

_ON_THEIR_WAY = 2
_LATE_SECONDS = 0.02  # a connection that hangs holds nothing else up for longer


class Turns:
    """Runs `send`, which takes all that waits when it begins and never raises, as often as something waits."""

    def __init__(self, send: Callable[[], Coroutine[None, None, None]]) -> None:
        self._send = send
        self._tasks: set[asyncio.Task[None]] = set()
        self._about_to = False
        self._wanted = False
        self._late: asyncio.TimerHandle | None = None

    def want(self) -> None:
        """Something waits."""
        if self._about_to or self._wanted:
            return
        if len(self._tasks) < _ON_THEIR_WAY:
            self._start()
        else:
            self._wanted = True
            self._late = asyncio.get_running_loop().call_later(_LATE_SECONDS, self._start)

    def _start(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None
        self._wanted, self._about_to = False, True
        task = asyncio.get_running_loop().create_task(self._begin())
        self._tasks.add(task)
        task.add_done_callback(self._back)

    async def _begin(self) -> None:
        self._about_to = False
        await self._send()

    def _back(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        # Cancelled before its first step, as a loop that ends does to all: what waits for it, waits still.
        never_begun = self._about_to and task.cancelled()
        if self._wanted or never_begun:
            self._start()
