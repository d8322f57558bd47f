"""Samples of the past: one a slot whoever takes it, coarser ones in time; gaps stay gaps. Time is moved by hand."""

from __future__ import annotations

import asyncio

import pytest

from gateway.domain import FailureCode, operation_id
from gateway.errors import QueueUnavailable
from gateway.ledger.outcomes import Begun
from gateway.queue.heartbeats import worker_seen
from gateway.queue.keys import SERIES_LAST, series_key, waits_key
from gateway.queue.queue import Queue
from gateway.queue.series import STEPS, Sample, Series
from gateway.queue.wait_times import class_of, end_of, quantile
from gateway.redis_link.connections import connect_queue
from tests.redis_servers import RedisServer
from tests.until import until
from tests.workers.stage import Stage
from workers.care.sampler import Sampler

START = 1_795_305_600_000  # 2026-11-22T00:00:00Z
SECOND = 1000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR


@pytest.fixture
def sampler(stage: Stage) -> Sampler:
    return Sampler(stage.ledger, stage.queue)


async def samples(sampler: Sampler, first: int, last: int) -> list[Sample | None]:
    return list((await sampler.series.read(first, last, last)).samples)


async def fail(stage: Stage, generation: str) -> None:
    operation = operation_id()
    begun = await stage.ledger.begin(generation=generation, attempt=1, operation=operation)
    assert isinstance(begun, Begun)
    code = FailureCode.PROVIDER_REJECTED
    await stage.ledger.settle(generation=generation, attempt=1, operation=operation_id(), failure=code)


async def test_a_sample_says_how_everything_was(stage: Stage, sampler: Sampler) -> None:
    await stage.order()
    await stage.order(outputs=2)
    await until(lambda: _queued(stage, 2))
    await until(lambda: _nothing_is_overdue(stage))  # what is queued is so until the ledger has heard of it
    await worker_seen(stage.queue.redis, "image", "w1")
    await sampler.take(START)
    (seen,) = await samples(sampler, START, START + 9 * SECOND)
    assert seen is not None
    assert (seen.at, seen.open, seen.overdue, seen.held_millicredits) == (START, 2, 0, 30_000)
    image = seen.tools["image"]
    assert (image.depth, image.waiting, image.running, image.workers) == (2, 0, 0, 1)
    assert image.oldest_ms > 0


async def _queued(stage: Stage, count: int) -> bool:
    (depth,) = await stage.queue.depths(["image"])
    return depth.queued == count


async def _nothing_is_overdue(stage: Stage) -> bool:
    return (await stage.totals()).overdue == 0


async def test_of_several_caretakers_one_takes_the_sample_of_a_slot(stage: Stage) -> None:
    samplers = [Sampler(stage.ledger, stage.queue) for _ in range(5)]
    for slot in range(3):
        taken = await asyncio.gather(*(one.take(START + slot * 10 * SECOND + 700) for one in samplers))
        assert len([one for one in taken if one is not None]) == 1
    assert await samplers[0].take(START) is None, "a caretaker that was slow comes too late"
    assert await stage.queue.redis.xlen(series_key(10_000)) == 3


async def test_what_ended_is_counted_once_and_the_first_sample_does_not_guess(stage: Stage, sampler: Sampler) -> None:
    await fail(stage, await stage.order())
    await sampler.take(START)
    for _ in range(2):
        await fail(stage, await stage.order())
    await sampler.take(START + 10 * SECOND)
    await sampler.take(START + 20 * SECOND)
    first, second, third = await samples(sampler, START, START + 20 * SECOND)
    assert first is not None
    assert first.ended is None, "nobody knows since when"
    assert second is not None
    assert second.ended == {("image", "nano-banana-2", "failed", "provider_rejected"): 2}
    assert third is not None
    assert third.ended == {}


async def test_a_slot_without_a_sample_is_a_gap_and_what_ended_in_it_is_not_lost(
    stage: Stage, sampler: Sampler
) -> None:
    await sampler.take(START)
    await fail(stage, await stage.order())
    await sampler.take(START + 40 * SECOND)
    found = await samples(sampler, START, START + 49 * SECOND)
    assert [one is None for one in found] == [False, True, True, True, False]
    last = found[-1]
    assert last is not None
    assert last.ended is not None
    assert sum(last.ended.values()) == 1


async def test_reset_counts_are_unknown_not_negative(stage: Stage, sampler: Sampler) -> None:
    """A ledger restored from a backup has counted less than the last sample knew."""
    await fail(stage, await stage.order())
    await sampler.take(START)
    await stage.ledger.redis.flushdb()
    await stage.ledger.start()
    await sampler.take(START + 10 * SECOND)
    await sampler.take(START + 20 * SECOND)
    _, second, third = await samples(sampler, START, START + 20 * SECOND)
    assert second is not None
    assert second.ended is None
    assert third is not None
    assert third.ended == {}


async def test_a_coarser_sample_is_the_worst_of_the_finer_ones_and_the_sum_of_what_ended(
    stage: Stage, sampler: Sampler
) -> None:
    await sampler.take(START)
    order = await stage.order()
    await until(lambda: _queued(stage, 1))
    await sampler.take(START + 10 * SECOND)
    await fail(stage, order)
    await stage.queue.take_out("image", f"{order}:1", waited_ms=250)
    await sampler.take(START + 20 * SECOND)
    await worker_seen(stage.queue.redis, "image", "w1")
    await sampler.take(START + MINUTE)
    past = await sampler.series.read(START - 2 * HOUR, START + MINUTE, START + MINUTE)
    assert past.step_ms == MINUTE
    minute, so_far = past.samples[-2:]
    assert minute is not None
    assert so_far is not None, "what is not condensed yet is shown all the same"
    assert (minute.tools["image"].depth, minute.open, minute.held_millicredits) == (1, 1, 10_000)
    assert (minute.tools["image"].workers, so_far.tools["image"].workers) == (0, 1)
    assert minute.ended == {("image", "nano-banana-2", "failed", "provider_rejected"): 1}
    assert minute.waits == {"image": {class_of(250): 1}}
    assert all(one is None for one in past.samples[:-2])


async def test_an_hour_a_day_and_a_week_are_kept_and_no_more(stage: Stage, sampler: Sampler) -> None:
    """Eight days, sampled every hour: every step has what it should, in bounded streams that lapse by themselves."""
    end = START + 8 * DAY
    totals, depths = await stage.totals(), await stage.queue.depths(["image", "video"])
    for moment in range(START, end + 1, HOUR):
        await sampler.series.add(moment, totals, depths)
        await sampler.series.condense(moment)
    for step in STEPS:
        kept = await stage.queue.redis.xrange(series_key(step.ms))
        oldest = int(kept[0][0].split(b"-")[0])
        assert end - step.kept_ms - HOUR <= oldest <= end - step.kept_ms
        assert 0 < await stage.queue.redis.pttl(series_key(step.ms)) <= step.kept_ms + 5 * MINUTE
    assert 0 < await stage.queue.redis.pttl(SERIES_LAST) <= 7 * DAY
    for back, step_ms, count in ((HOUR, 10_000, 361), (DAY, 60_000, 1441), (7 * DAY, 600_000, 1009)):
        past = await sampler.series.read(end - back, end, end)
        assert (past.step_ms, len(past.samples)) == (step_ms, count)
        assert past.samples[0] is not None
        assert past.samples[-1] is not None


async def test_a_full_hour_takes_little_memory(stage: Stage, sampler: Sampler) -> None:
    await fail(stage, await stage.order())
    totals, depths = await stage.totals(), await stage.queue.depths(["image", "video"])
    for slot in range(500):
        await sampler.series.add(START + slot * 10 * SECOND, totals, depths)
    assert await stage.queue.redis.xlen(series_key(10_000)) == 391, "an hour, and five minutes for who asks late"
    assert await stage.queue.redis.memory_usage(series_key(10_000)) < 300_000


async def test_samples_survive_a_restart_of_caretaker_and_redis(own_redis: RedisServer, own_stage: Stage) -> None:
    stage = own_stage
    await Sampler(stage.ledger, stage.queue).take(START)
    await fail(stage, await stage.order())
    own_redis.kill()
    with pytest.raises(QueueUnavailable):
        await Series(stage.queue).read(START, START, START)
    own_redis.start()
    queue = Queue(connect_queue(own_redis.url))
    again = Sampler(stage.ledger, queue)

    async def sampled() -> bool:
        return await again.take(START + 10 * SECOND) is not None

    await until(sampled)
    first, second = await samples(again, START, START + 10 * SECOND)
    assert first is not None
    assert second is not None
    assert second.ended is not None
    assert sum(second.ended.values()) == 1
    await queue.redis.aclose()


async def test_a_running_caretaker_samples_and_a_worker_notes_the_wait(stage: Stage) -> None:
    stage.worker()
    await stage.ended(await stage.order())
    counts: list[bytes] = await stage.queue.redis.execute_command("HVALS", waits_key("image"))  # type: ignore[no-untyped-call]
    assert [int(count) for count in counts] == [1]
    stage.caretaker()

    async def sampled() -> bool:
        return bool(await stage.queue.redis.xlen(series_key(10_000)))

    await until(sampled)
    now = await stage.queue.now()
    past = await Series(stage.queue).read(now - MINUTE, now, now)
    seen = next(one for one in past.samples if one is not None)
    assert seen.tools["image"].workers == 1


def test_a_wait_is_read_at_most_a_fifth_too_long_and_never_too_short() -> None:
    for wait in (0, 1, 9, 10, 11, 99, 250, 1_000, 61_234, 3_600_000, 604_800_000):
        end = end_of(class_of(wait))
        assert wait <= end + 1  # to the millisecond that it is rounded to
        assert end <= max(10, 1.19 * wait + 1)


def test_quantiles_are_of_all_that_was_counted() -> None:
    assert quantile({}, 50) is None
    counts = {class_of(20): 50, class_of(100): 45, class_of(5_000): 5}
    assert quantile(counts, 50) == end_of(class_of(20))
    assert quantile(counts, 51) == end_of(class_of(100))
    assert quantile(counts, 95) == end_of(class_of(100))
    assert quantile(counts, 96) == end_of(class_of(5_000))
