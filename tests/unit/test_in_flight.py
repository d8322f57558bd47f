"""Batches to Redis: as many as there is need for, as large as they can be, and none is held up by one that hangs."""

from __future__ import annotations

import asyncio
from itertools import count

from gateway.redis_link.in_flight import InFlightLimit, run_surely

PATIENCE_SECONDS = 30  # nothing here takes so long: it only ends a test that would hang


class Sender:
    """Takes what waits, and comes back when it is told to."""

    def __init__(self, **patience: float) -> None:
        self.waiting: list[int] = []
        self.sent: list[list[int]] = []
        self.back: list[asyncio.Event] = []
        self.limit = InFlightLimit(self._send, **patience)
        self._numbers = count()

    def ask(self, times: int = 1) -> None:
        for _ in range(times):
            self.waiting.append(next(self._numbers))
            self.limit.want()

    async def _send(self) -> None:
        batch, self.waiting = self.waiting, []
        self.sent.append(batch)
        self.back.append(asyncio.Event())
        await self.back[-1].wait()

    async def until_sent(self, batches: int) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while len(self.sent) < batches:
                await asyncio.sleep(0)

    def all_back(self) -> None:
        for event in self.back:
            event.set()


async def test_what_is_asked_in_one_turn_is_one_batch() -> None:
    sender = Sender()
    sender.ask(3)
    await sender.until_sent(1)
    sender.ask(2)
    await sender.until_sent(2)
    assert sender.sent == [[0, 1, 2], [3, 4]]
    sender.all_back()


async def test_while_two_are_on_their_way_the_third_grows_until_one_is_back() -> None:
    """Each turn's requests once made a batch of their own, and with 64 clients it held five."""
    sender = Sender(slow_seconds=PATIENCE_SECONDS)
    for batches in (1, 2):
        sender.ask()
        await sender.until_sent(batches)
    for _ in range(4):
        sender.ask()
        await asyncio.sleep(0)
    assert sender.sent == [[0], [1]]
    sender.back[1].set()
    await sender.until_sent(3)
    assert sender.sent == [[0], [1], [2, 3, 4, 5]]
    sender.all_back()


async def test_on_a_slow_disk_two_more_follow_and_no_others() -> None:
    """Redis answers nobody while it waits for the disk: what reaches it meanwhile is in its next batch."""
    sender = Sender(slow_seconds=0, late_seconds=PATIENCE_SECONDS)
    for batches in (1, 2, 3, 4):
        sender.ask(batches)
        await sender.until_sent(batches)
    sender.ask(2)
    for _ in range(5):
        await asyncio.sleep(0.001)
    assert sender.sent == [[0], [1, 2], [3, 4, 5], [6, 7, 8, 9]]
    sender.back[0].set()
    await sender.until_sent(5)
    assert sender.sent[4] == [10, 11]
    sender.all_back()


async def test_two_that_hang_do_not_keep_the_others() -> None:
    """A connection that the network holds, for as long as its time limit lasts."""
    sender = Sender()
    for batches in (1, 2, 3, 4):
        sender.ask(batches)
        await sender.until_sent(batches)
    assert sender.sent == [[0], [1, 2], [3, 4, 5], [6, 7, 8, 9]]
    sender.all_back()


async def test_after_the_last_nothing_is_sent() -> None:
    sender = Sender()
    for batches in (1, 2):
        sender.ask()
        await sender.until_sent(batches)
    sender.ask()
    sender.all_back()
    await sender.until_sent(3)
    sender.all_back()
    for _ in range(5):
        await asyncio.sleep(0)
    assert sender.sent == [[0], [1], [2]]
    sender.ask()
    await sender.until_sent(4)
    assert sender.sent[3] == [3]
    sender.all_back()


async def test_a_batch_that_is_cancelled_before_it_begins_is_sent_all_the_same() -> None:
    """A loop that ends cancels every task: whoever then asked while cleaning up waited for ever, the loop with it."""
    sender = Sender()
    before = asyncio.all_tasks()
    sender.ask()
    for task in asyncio.all_tasks() - before:
        task.cancel()
    sender.ask()
    await sender.until_sent(1)
    assert sender.sent == [[0, 1]]
    sender.all_back()
    await asyncio.sleep(0)
    sender.ask()
    await sender.until_sent(2)
    assert sender.sent == [[0, 1], [2]]
    sender.all_back()


async def test_what_must_run_runs_although_it_was_cancelled_before_it_began() -> None:
    tasks: set[asyncio.Task[None]] = set()
    ran: list[str] = []

    async def work() -> None:
        ran.append("once")

    run_surely(tasks, work)
    for task in list(tasks):
        task.cancel()
    async with asyncio.timeout(PATIENCE_SECONDS):
        while tasks:
            await asyncio.sleep(0)
    assert ran == ["once"]
