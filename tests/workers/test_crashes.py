"""Workers killed, frozen and cut off in the middle of their work: nothing stays held, nothing is charged twice."""

from __future__ import annotations

import asyncio
import signal
from functools import partial
from typing import Any

import pytest

from gateway.domain import FailureCode, State, partition_of_generation
from gateway.ledger import keys
from gateway.metering import MILLIONTHS, Meter, Metering, Unit
from tests.redis_servers import RedisServer
from tests.until import until
from tests.workers.stage import PRICE, Stage, due

VIDEO: dict[str, Any] = {"tool": "video", "settings": {"size": "64x64", "duration": 2}}


async def test_a_video_whose_worker_is_killed_is_finished_by_another_and_charged_once(stage: Stage) -> None:
    stage.caretaker()
    first = stage.worker("video")
    generation = await stage.order(sandbox={"hang": True}, **VIDEO)
    await stage.running(1, "video")
    first.kill()
    await stage.let_go(generation)
    await stage.lapse(generation)
    stage.worker("video")
    ended = await stage.ended(generation)
    assert (ended.state, ended.attempt, ended.failures) == (State.SUCCEEDED, 2, 1)
    assert [output.content_type for output in ended.outputs] == ["video/mp4"]
    assert await stage.spent() == PRICE


async def test_a_generation_whose_every_worker_dies_is_refunded_after_the_last_attempt(stage: Stage) -> None:
    stage.caretaker()
    generation = await stage.order(sandbox={"delay_seconds": 600}, terms={"attempts_max": 2})
    for attempt in (1, 2):
        worker = stage.worker()
        await until(partial(_runs, stage, generation, attempt))
        worker.kill()
        await stage.lapse(generation)
    ended = await stage.ended(generation)
    assert (ended.state, ended.error, ended.attempt) == (State.FAILED, FailureCode.WORKER_LOST, 2)
    assert await stage.spent() == 0


async def _runs(stage: Stage, generation: str, attempt: int) -> bool:
    found = await stage.generation(generation)
    return found.state is State.RUNNING and found.attempt == attempt


async def test_what_was_delivered_before_the_crash_is_not_made_again(stage: Stage) -> None:
    stage.caretaker()
    first = stage.worker()
    figures = {"gpu_seconds": [3, 4.5, 5]}
    metering = Metering(0, (Meter(Unit.GPU_SECONDS, 10**9, 10 * MILLIONTHS, 10 * MILLIONTHS),), 0)  # a credit a second
    generation = await stage.order(
        outputs=3, sandbox={"deliver": 2, "hang": True, "reported": figures}, metering=metering
    )
    await stage.when(generation, lambda found: len(found.outputs) == 2)
    first.kill()
    await stage.lapse(generation)
    delivered = (await stage.generation(generation)).outputs
    await stage.when(generation, lambda found: found.state is State.QUEUED)
    stage.worker()
    await stage.when(generation, lambda found: found.state is State.RUNNING)
    await stage.cancel(generation)
    ended = await stage.generation(generation)
    assert ended.outputs == delivered
    assert await stage.spent() == 7_500, "R29: what the first worker reported stands"


async def test_the_word_of_a_worker_that_was_frozen_longer_than_its_lease_does_not_count(stage: Stage) -> None:
    stage.caretaker()
    frozen = stage.worker()
    generation = await stage.order(sandbox={"delay_seconds": 8})
    await stage.running(1)
    frozen.send(signal.SIGSTOP)
    await stage.lapse(generation)
    stage.worker()
    ended = await stage.ended(generation)
    assert (ended.state, ended.attempt, ended.failures) == (State.SUCCEEDED, 2, 1)
    frozen.send(signal.SIGCONT)
    await until(lambda: frozen.says('"ending":"stale"'))
    found = await stage.generation(generation)
    assert found == ended
    assert [output.object_key.rsplit("/", 1)[1] for output in found.outputs] == ["2-0.png"]
    assert await stage.spent() == PRICE


@pytest.mark.short_lease
async def test_an_outage_longer_than_a_lease_loses_nothing_and_charges_once(
    own_redis: RedisServer, own_stage: Stage
) -> None:
    """R16. That no live worker is judged too soon afterwards is `test_caretaker`'s to show, which has no clock."""
    stage = own_stage
    worker = stage.worker()
    caretakers = [stage.caretaker(), stage.caretaker()]
    for caretaker in caretakers:
        await until(partial(caretaker.says, "caretaker_ready"))
    generations = [await stage.order(sandbox={"delay_seconds": 3}) for _ in range(10)]
    await stage.running(3)  # on a busy machine the first may have ended before the last begins
    own_redis.kill()
    await until(lambda: worker.says("ledger_unavailable"))
    await until(lambda: caretakers[0].says("partitions_not_reached"))
    await asyncio.sleep(stage.lease_seconds)
    own_redis.start()
    ended = await asyncio.gather(*(stage.ended(generation) for generation in generations))
    assert {one.state for one in ended} == {State.SUCCEEDED}
    assert await stage.spent() == 10 * PRICE
    assert (await stage.ended(await stage.order())).state is State.SUCCEEDED


async def test_what_a_gateway_did_not_live_to_dispatch_is_dispatched_once_by_two_caretakers(stage: Stage) -> None:
    reserved = [await stage.reserve() for _ in range(20)]
    stage.worker()
    stage.caretaker()
    stage.caretaker()
    ended = await asyncio.gather(*(stage.ended(one.generation.id) for one in reserved))
    assert {(one.state, one.attempt) for one in ended} == {(State.SUCCEEDED, 1)}
    assert await stage.spent() == 20 * PRICE


async def test_two_caretakers_rescue_each_generation_of_a_dead_worker_once(stage: Stage) -> None:
    first = stage.worker()
    generations = [await stage.order(sandbox={"hang": True}) for _ in range(20)]
    await stage.running(20)
    first.kill()
    await stage.let_go(*generations)
    await stage.lapse(*generations)
    stage.caretaker()
    stage.caretaker()
    stage.worker()
    ended = await asyncio.gather(*(stage.ended(generation) for generation in generations))
    assert {(one.state, one.attempt, one.failures) for one in ended} == {(State.SUCCEEDED, 2, 1)}
    assert (await stage.totals()).rescues["retried"] == 20
    assert await stage.spent() == 20 * PRICE


async def test_a_queue_that_lost_everything_is_filled_again_from_the_ledger(stage: Stage) -> None:
    generation = await stage.order()
    await until(lambda: _is_due(stage))
    for key in [*await stage.queue.redis.keys("arq:*"), *await stage.queue.redis.keys("farebox:*")]:
        await stage.queue.redis.delete(key)
    # The ledger looks at a dispatched one again after a minute; let that minute be over.
    await stage.ledger.redis.zadd(keys.deadlines(partition_of_generation(generation)), {generation: 1})
    stage.caretaker()
    stage.worker()
    assert (await stage.ended(generation)).state is State.SUCCEEDED


async def _is_due(stage: Stage) -> bool:
    return bool(await due(stage.queue))
