"""Dispatching in the background: in batches, retries in their time, and never a word to whoever asked."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest
import structlog

from gateway.errors import QueueUnavailable
from gateway.ledger.ledger import Ledger
from gateway.ledger.outcomes import Dispatch
from gateway.queue import dispatcher as dispatching
from gateway.queue.dispatcher import Dispatcher
from gateway.queue.jobs import job_id
from gateway.queue.keys import queue_key
from gateway.queue.messages import ChangeNotice
from gateway.queue.queue import Queue
from gateway.redis_link.connections import connect_ledger, connect_queue
from tests.free_ports import free_port
from tests.redis_servers import RedisServer
from tests.until import until
from tests.workers.stage import Stage, dispatch_of, due


async def test_what_was_dispatched_is_due_and_its_deadline_has_moved_on(stage: Stage) -> None:
    reserved = await stage.reserve()
    stage.dispatcher.dispatch([dispatch_of(reserved)])
    await until(lambda: _due(stage, job_id(reserved.generation.id, 1)))
    await until(lambda: _deadline_is_after(stage, reserved.generation.id, dispatch_of(reserved).deadline))


async def _due(stage: Stage, job: str) -> bool:
    return job in await due(stage.queue)


async def _deadline_is_after(stage: Stage, generation: str, deadline: int) -> bool:
    moved = await stage.ledger.redis.zscore(f"{{fb{generation[4:6]}}}:deadlines", generation)
    return bool(moved > deadline + 30_000)


async def test_closing_writes_what_is_ready(stage: Stage) -> None:
    reserved = [await stage.reserve() for _ in range(50)]
    async with Dispatcher(ledger=stage.ledger, queue=stage.queue) as dispatcher:
        dispatcher.dispatch(dispatch_of(one) for one in reserved)
    assert len(await due(stage.queue)) == 50


async def test_beside_the_ledger_dispatches_travel_in_its_batches(stage: Stage) -> None:
    """The queue's own connection leads nowhere here, and is not needed."""
    reserved = await stage.reserve()
    queue = Queue(connect_queue(f"redis://127.0.0.1:{free_port()}"), beside=stage.ledger)
    async with Dispatcher(ledger=stage.ledger, queue=queue) as dispatcher:
        dispatcher.dispatch([dispatch_of(reserved)], [ChangeNotice("ann", reserved.generation.id, 1)])
    assert job_id(reserved.generation.id, 1) in await due(stage.queue)
    await queue.aclose()


async def test_beside_a_ledger_that_is_away_a_dispatch_is_left_to_the_caretaker(stage: Stage) -> None:
    reserved = await stage.reserve()
    away = Ledger(connect_ledger(f"redis://127.0.0.1:{free_port()}"))
    queue = Queue(stage.queue.servers, beside=away)
    with pytest.raises(QueueUnavailable):
        await queue.dispatch([dispatch_of(reserved)])
    assert not await due(stage.queue)
    await away.close()


async def test_a_retry_comes_when_its_pause_is_over_and_keeps_its_place(stage: Stage) -> None:
    """A score of arq's own making, the time it is due, would put it behind all that arrived in the last hour."""
    reserved = await stage.reserve()
    retry = replace(dispatch_of(reserved), not_before=time.time_ns() // 1_000_000 + 500)
    stage.dispatcher.dispatch([retry])
    job = job_id(retry.generation, retry.attempt)
    await until(lambda: _due(stage, job))
    assert time.time_ns() // 1_000_000 >= retry.not_before
    assert await stage.queue.redis.zscore(queue_key("image"), job) == retry.score - 3_600_000


async def test_an_outage_raises_nothing_and_later_dispatches_go_through(
    own_redis: RedisServer, own_stage: Stage
) -> None:
    stage = own_stage
    lost, later = await stage.reserve(), await stage.reserve()
    own_redis.kill()
    stage.dispatcher.dispatch([dispatch_of(lost)])
    own_redis.start()

    async def through() -> bool:
        stage.dispatcher.dispatch([dispatch_of(later)])
        return await _due(stage, job_id(later.generation.id, 1))

    await until(through)


class HangingQueue(Queue):
    """A queue whose Redis has stopped without hanging up, until `go_on` is set."""

    def __init__(self, redis: Any) -> None:
        super().__init__(redis)
        self.hangs, self.go_on = asyncio.Event(), asyncio.Event()
        self.written: list[str] = []
        self.told: list[int] = []

    async def dispatch(
        self, dispatches: Iterable[Dispatch], notices: Iterable[ChangeNotice] = (), *, server: Any = None
    ) -> None:
        assert server is self.redis
        self.hangs.set()
        await self.go_on.wait()
        self.written += [each.generation for each in dispatches]
        self.told += [notice.version for notice in notices]


async def test_what_piles_up_while_the_queue_hangs_is_bounded_and_the_latest_is_kept(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was kept without a bound: a gateway that went on reading and answering grew with every notice of an outage.

    What is dropped is only in the ledger then, and a caretaker dispatches it when its deadline has passed.
    """
    monkeypatch.setattr(dispatching, "KEPT_MAX", 100)
    one = dispatch_of(await stage.reserve())
    queue = HangingQueue(stage.queue.redis)

    def named(number: int) -> str:
        return f"{one.generation[:-4]}{number:04}"

    with structlog.testing.capture_logs() as lines:
        async with Dispatcher(ledger=stage.ledger, queue=queue) as dispatcher:
            for _ in range(2):
                queue.hangs.clear()
                queue.go_on.clear()
                dispatcher.dispatch([one])
                await queue.hangs.wait()
                for number in range(1, 1001):
                    notice = ChangeNotice("acme", one.generation, number)
                    dispatcher.dispatch([replace(one, generation=named(number))], [notice])
                queue.go_on.set()
                await until(lambda: _is_last(queue, named(1000)))
                assert queue.written == [one.generation, *map(named, range(901, 1001))]
                assert queue.told == list(range(901, 1001))
                queue.written, queue.told = [], []
    assert [line["event"] for line in lines if line["log_level"] == "warning"] == ["dispatcher_full"] * 2


async def _is_last(queue: HangingQueue, generation: str) -> bool:
    return queue.written[-1:] == [generation]
