"""Fair scheduling of inspections: which account's file is inspected next.

An inspection may take 20 seconds of a core, and few run at once. First come, first served, two accounts with a 1 MB
file each could block both readers of a gateway for 20 seconds, again and again. So:

- An account gets only some of the readers, never all.
- Among waiting accounts, the one that has recently used the least time is next.
- Every inspection is assumed to be quick at first. Slow ones share all readers but one: without a free one among these,
  a slow inspection is aborted and restarted later. So a reader is free within `QUICK_SECONDS`, whatever is sent.
- Time counts whatever the result, and an account may be limited to a number of seconds per minute.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, TypeVar

from gateway.tasks import cancel

QUICK_SECONDS = 2.0  # an 8K picture takes one, a video of 50 MB half of one
MINUTE = 60.0
_ACCOUNTS_MAX = 10_000  # whose used time is remembered, even if fully recovered

T = TypeVar("T")


def now() -> float:
    """The clock for inspection times."""
    return monotonic()


class TimeUsedUp(Exception):
    """The account has used up its time for this minute; `retry_after_seconds` is when there is some again."""

    def __init__(self, retry_after_seconds: float) -> None:
        super().__init__(f"again in {retry_after_seconds:.0f} seconds")
        self.retry_after_seconds = retry_after_seconds


@dataclass(slots=True, eq=False)
class _Turn:
    account: str
    slow: bool
    begins: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class FairInspections:
    """Schedules inspections: `at_once` in total, `of_one` per account, all but one of them slow ones."""

    def __init__(self, *, at_once: int, of_one: int, seconds_a_minute: float, refuses: bool) -> None:
        """Give each account `seconds_a_minute`; beyond it, refuse if `refuses`, else serve others first."""
        self._at_once, self._of_one, self._refuses = at_once, of_one, refuses
        self._used = _Used(seconds_a_minute)
        self._waiting: list[_Turn] = []
        self._going_on: set[_Turn] = set()

    async def inspect(self, account: str, inspect_file: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Call `inspect_file` in turn and return its result. It may be aborted and called again. TimeUsedUp."""
        if self._refuses:
            self._used.check(account)
        async with self._turn(account, slow=False) as turn:
            going_on = asyncio.create_task(inspect_file())
            try:
                await asyncio.wait({going_on}, timeout=QUICK_SECONDS)
                if going_on.done() or self._may_be_slow(turn):
                    return await going_on
            finally:
                await cancel(going_on)
        async with self._turn(account, slow=True):
            return await inspect_file()

    @contextlib.asynccontextmanager
    async def _turn(self, account: str, *, slow: bool) -> AsyncIterator[_Turn]:
        turn = _Turn(account, slow)
        self._waiting.append(turn)
        self._give_out()
        try:
            await turn.begins
            began_at = now()
            try:
                yield turn
            finally:
                self._used.add(account, now() - began_at)
        finally:
            if turn in self._going_on:
                self._going_on.remove(turn)
            else:
                self._waiting.remove(turn)
            self._give_out()

    def _give_out(self) -> None:
        """Start as many turns as there are free readers."""
        while len(self._going_on) < self._at_once:
            of_account = Counter(turn.account for turn in self._going_on)
            may_begin = [
                turn
                for turn in self._waiting
                if of_account[turn.account] < self._of_one and (not turn.slow or self._has_room_for_slow())
            ]
            if not may_begin:
                return
            turn = min(may_begin, key=lambda one: self._used.seconds(one.account))  # of equals the one that came first
            self._waiting.remove(turn)
            self._going_on.add(turn)
            if not turn.begins.done():
                turn.begins.set_result(None)

    def _may_be_slow(self, turn: _Turn) -> bool:
        """Whether a slow inspection may continue."""
        turn.slow = self._has_room_for_slow()
        return turn.slow

    def _has_room_for_slow(self) -> bool:
        return sum(turn.slow for turn in self._going_on) < self._at_once - 1


class _Used:
    """The time used by each account, which recovers at `seconds_a_minute`."""

    def __init__(self, seconds_a_minute: float) -> None:
        self._a_minute = seconds_a_minute
        self._gone_at: dict[str, float] = {}  # when all of it will have recovered

    def seconds(self, account: str) -> float:
        """The seconds that count as used now."""
        left = self._gone_at.get(account, 0.0) - now()
        return max(0.0, left) * self._a_minute / MINUTE

    def check(self, account: str) -> None:
        """TimeUsedUp if a minute's worth is used up."""
        over = self.seconds(account) - self._a_minute
        if over >= 0:
            raise TimeUsedUp(over * MINUTE / self._a_minute)

    def add(self, account: str, seconds: float) -> None:
        """Add used time."""
        at = now()
        if len(self._gone_at) > _ACCOUNTS_MAX:
            self._gone_at = {name: gone_at for name, gone_at in self._gone_at.items() if gone_at > at}
        self._gone_at[account] = max(at, self._gone_at.get(account, at)) + seconds * MINUTE / self._a_minute
