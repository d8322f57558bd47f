"""However many workers race for a provider's slots: it never has more in work than its limit, and all get one."""

from __future__ import annotations

import asyncio
import random
from contextlib import AsyncExitStack

import pytest

from gateway.ledger.outcomes import Dispatch
from gateway.queue.queue import Queue
from gateway.queue.slots import Limits, Slots
from gateway.redis_link.connections import connect_queue

WORKERS = 8
LIMIT = 3
GENERATIONS = 60


class Work:
    """Workers that take what is dispatched; a provider that counts what it has in work."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.queue: asyncio.Queue[Dispatch] = asyncio.Queue()
        self.inside: set[str] = set()
        self.most = 0
        self.done: set[str] = set()
        self.waiting_for_slot = 0

    def dispatch(self, dispatches: object) -> None:
        assert isinstance(dispatches, list)
        for dispatch in dispatches:
            self.queue.put_nowait(dispatch)

    async def work(self, slots: Slots) -> None:
        while True:
            dispatch = await self.queue.get()
            await self._one(slots, dispatch)
            self.queue.task_done()

    async def _one(self, slots: Slots, dispatch: Dispatch) -> None:
        name = dispatch.generation
        if name in self.done:
            return
        entry = await slots.acquire("box", Limits(LIMIT), name)
        self.dispatch(entry.dispatches)
        if not entry.acquired:
            self.waiting_for_slot += 1
            self.dispatch(await slots.enqueue("box", Limits(LIMIT), dispatch))
            return
        assert name not in self.inside
        self.inside.add(name)
        self.most = max(self.most, len(self.inside))
        await asyncio.sleep(self.chance.random() / 500)
        if self.chance.random() < 0.3:
            await slots.hold("box", name)
        self.inside.discard(name)
        self.done.add(name)
        self.dispatch(await slots.release("box", Limits(LIMIT), name))


@pytest.mark.parametrize("seed", range(3))
async def test_never_more_than_the_limit_and_none_is_forgotten(redis_url: str, seed: int) -> None:
    work = Work(random.Random(seed))
    async with AsyncExitStack() as stack:
        queues = [Queue(connect_queue(redis_url)) for _ in range(WORKERS)]
        for queue in queues:
            stack.push_async_callback(queue.redis.aclose)
        each = [Slots(queue, lease_ms=60_000) for queue in queues]
        workers = [asyncio.create_task(work.work(slots)) for slots in each]
        for number in range(GENERATIONS):
            work.queue.put_nowait(Dispatch(f"g{number}", "image", 1, work.chance.randrange(1000), 0, 0, 0))
        while len(work.done) < GENERATIONS:
            await work.queue.join()
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
        state = (await each[0].states(["box"]))["box"]
    assert work.most == LIMIT
    assert work.waiting_for_slot > 0
    assert (state.in_work, state.queued) == (0, 0)
