"""What workers and caretakers do while the ledger's Redis is full, or lacks the replica that is waited for."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.domain import State
from gateway.errors import QueueUnavailable
from tests.redis_servers import RedisServer
from tests.until import until
from tests.workers.stage import PRICE, Process, Stage, dispatch_of, open_stage


async def test_what_ran_when_the_replica_went_is_settled_once_when_it_is_back(
    own_redis: RedisServer, replica: RedisServer, tmp_path: Path
) -> None:
    """No lease is judged meanwhile either: to a caretaker a ledger that confirms nothing is a ledger that is away."""
    async with open_stage(own_redis.url, tmp_path) as stage:
        generation = await stage.order(await stage.account(), sandbox={"delay_seconds": 5})
        caretaker = stage.caretaker(FAREBOX_WAIT_REPLICAS="1")
        await until(lambda: caretaker.says("caretaker_ready"))
        worker = stage.worker(FAREBOX_WAIT_REPLICAS="1")
        await stage.when(generation, lambda found: found.provider_ref is not None)
        replica.kill()
        await until(lambda: worker.says("0 of 1 replicas confirmed the write"))
        await stage.lapse(generation)
        await until(lambda: lines(caretaker, "partitions_not_reached", at_least=5))
        assert (await stage.generation(generation)).state is State.RUNNING
        caretaker.kill()  # from now on it might judge, and be quicker than the worker
        replica.start()
        ended = await stage.ended(generation)
        assert (ended.state, ended.attempt, ended.failures) == (State.SUCCEEDED, 1, 0)
        assert await stage.spent() == PRICE


async def test_a_full_queue_loses_nothing(own_stage: Stage, own_redis: RedisServer) -> None:
    """With one Redis for both, `maxmemory` stops the queue too: what is queued waits for room, and ends can go on."""
    running = await own_stage.order(sandbox={"delay_seconds": 4})
    worker = own_stage.worker()
    await own_stage.running(1)
    queued = [await own_stage.reserve() for _ in range(20)]
    with own_redis.client() as client:
        client.config_set("maxmemory", 1)
        caretaker = own_stage.caretaker()
        with pytest.raises(QueueUnavailable):
            await own_stage.queue.dispatch([dispatch_of(reserved) for reserved in queued])
        own_stage.dispatcher.dispatch([dispatch_of(reserved) for reserved in queued])
        assert (await own_stage.ended(running)).state is State.SUCCEEDED
        await until(lambda: lines(caretaker, "dispatch_left_to_caretaker", at_least=3))
        client.config_set("maxmemory", 0)
    for reserved in queued:
        assert (await own_stage.ended(reserved.generation.id)).attempt == 1
    assert await own_stage.spent() == 21 * PRICE
    assert not await worker.says("Traceback")


async def lines(process: Process, words: str, *, at_least: int) -> bool:
    return process.log.count(words) >= at_least
