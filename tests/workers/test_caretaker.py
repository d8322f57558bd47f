"""The caretaker's judgement."""

from __future__ import annotations

import time

from gateway.domain import FailureCode, State, operation_id
from gateway.ledger.outcomes import Begun, Renewed
from tests.redis_servers import RedisServer
from tests.until import until
from tests.workers.stage import Stage, caretaker_in, due, open_place
from workers.care.caretaker import PartitionHealth
from workers.context import WorkerContext

LEASE = 30.0


def health() -> PartitionHealth:
    return PartitionHealth(LEASE, gap_seconds=11)


def visited(*seconds: float) -> PartitionHealth:
    found = health()
    for second in seconds:
        found.answered(second, second + 0.01)
    return found


def test_leases_are_judged_after_one_whole_lease_of_answers() -> None:
    found = visited(0, 10, 20, 30)
    assert not found.may_judge(30)
    assert found.may_judge(30.01)


def test_a_caretaker_that_has_just_started_judges_no_lease() -> None:
    assert not health().may_judge(1_000_000)
    assert not visited(100).may_judge(100.02)


def test_an_error_restarts_the_lease() -> None:
    found = visited(0, 10, 20, 30)
    found.lost()
    assert not found.may_judge(40)
    found.answered(41, 41.01)
    assert not found.may_judge(70)


def test_a_response_later_than_a_third_of_the_lease_restarts_it() -> None:
    found = visited(0, 10, 20)
    found.answered(30, 40.1)
    assert not found.may_judge(70)
    assert found.may_judge(71)


def test_a_frozen_caretaker_restarts_the_lease() -> None:
    """It cannot know whether the ledger answered others in the meantime."""
    found = visited(0, 10, 20, 32)
    assert not found.may_judge(50)


async def test_a_dead_worker_is_not_judged_in_the_first_round_and_is_after_a_lease(
    stage: Stage, place: WorkerContext
) -> None:
    reserved = await stage.reserve()
    generation = reserved.generation.id
    begun = await stage.ledger.begin(generation=generation, attempt=1, operation=operation_id())
    assert isinstance(begun, Begun)
    await stage.lapse(generation)
    caretaker = caretaker_in(place)
    await caretaker.make_round()
    assert (await stage.generation(generation)).state is State.RUNNING

    async def judged() -> bool:
        await caretaker.make_round()
        return (await stage.generation(generation)).state is State.QUEUED

    await until(judged)
    assert (await stage.generation(generation)).failures == 1


async def _overdue(stage: Stage) -> bool:
    return (await stage.totals()).overdue == 1


async def test_a_generation_past_its_queue_timeout_is_refunded(stage: Stage, place: WorkerContext) -> None:
    reserved = await stage.reserve(terms={"queue_timeout_ms": 1})
    caretaker = caretaker_in(place)

    async def ended() -> bool:
        await caretaker.make_round()
        return (await stage.generation(reserved.generation.id)).state is State.FAILED

    await until(ended)
    assert (await stage.generation(reserved.generation.id)).error is FailureCode.QUEUE_TIMEOUT
    assert await stage.spent() == 0


async def test_a_round_without_a_ledger_raises_nothing_and_the_next_one_works(
    own_redis: RedisServer, own_stage: Stage
) -> None:
    stage = own_stage
    reserved = await stage.reserve()
    async with open_place(stage) as place:
        caretaker = caretaker_in(place)
        own_redis.kill()
        await caretaker.make_round()
        own_redis.start()

        async def dispatched() -> bool:
            await caretaker.make_round()
            return bool(await due(stage.queue))

        await until(dispatched)
    assert (await stage.generation(reserved.generation.id)).state is State.QUEUED


async def test_after_an_outage_no_lease_is_judged_at_once_and_a_late_renewal_counts(
    own_redis: RedisServer, own_stage: Stage
) -> None:
    stage = own_stage
    generation = (await stage.reserve()).generation.id
    await stage.ledger.begin(generation=generation, attempt=1, operation=operation_id())
    async with open_place(stage) as place:
        caretaker = caretaker_in(place)

        async def may_judge_all() -> bool:
            await caretaker.make_round()
            await stage.ledger.renew(generation=generation, attempt=1)
            return all(one.may_judge(time.monotonic()) for one in caretaker.healths)

        await until(may_judge_all)
        await stage.lapse(generation)
        own_redis.kill()
        await caretaker.make_round()
        own_redis.start()
        await until(lambda: _overdue(stage))
        await caretaker.make_round()
        renewed = await stage.ledger.renew(generation=generation, attempt=1)
    assert isinstance(renewed, Renewed)
    found = await stage.generation(generation)
    assert (found.state, found.attempt, found.failures) == (State.RUNNING, 1, 0)
