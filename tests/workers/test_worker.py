"""Real workers on a real queue: picking, room, stopping, cancelling."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from urllib.request import urlopen

from gateway.domain import State
from gateway.queue.jobs import job_id
from gateway.queue.keys import CHECKS_CHANNEL
from tests.free_ports import free_port
from tests.redis_servers import RedisServer
from tests.until import until
from tests.workers.stage import PRICE, Stage, dispatch_of, due, open_stage, policy

LONG = {"delay_seconds": 600}


async def test_three_hundred_run_at_once_on_two_workers_and_the_next_starts_when_one_ends(stage: Stage) -> None:
    """arq alone stops at about a hundred: it leaves running jobs in its set and reads only the first of them."""
    stage.worker()
    stage.worker()
    running = [await stage.order(sandbox=LONG) for _ in range(300)]
    await stage.running(300)
    next_one = await stage.order()
    await until(lambda: _depth_is(stage, 1))
    assert (await stage.generation(next_one)).state is State.QUEUED
    assert await stage.queue.position("image", job_id(next_one, 1)) == 0

    await stage.cancel(running[0])
    assert (await stage.ended(next_one)).state is State.SUCCEEDED
    assert (await stage.totals()).running["image"] == 299

    await stage.cancel(*running[1:])
    assert await stage.spent() == PRICE


async def _depth_is(stage: Stage, queued: int) -> bool:
    (depth,) = await stage.queue.depths(["image"])
    return depth.queued == queued and depth.workers == 2


async def test_a_running_job_leaves_nothing_in_the_queue(stage: Stage) -> None:
    stage.worker()
    generation = await stage.order(sandbox=LONG)
    await stage.running(1)
    await until(lambda: _nothing_in_arq(stage))
    await stage.cancel(generation)
    assert (await stage.generation(generation)).state is State.CANCELLED


async def _nothing_in_arq(stage: Stage) -> bool:
    keys = set(await stage.queue.redis.keys("arq:*")) | set(await stage.queue.redis.keys("farebox:*"))
    known = {b"farebox:workers:image", b"farebox:callable:image", b"farebox:bell:image", b"farebox:waits:image"}
    return keys <= known


async def test_a_job_whose_wake_up_was_lost_is_still_found(stage: Stage) -> None:
    worker = stage.worker()
    await stage.ended(await stage.order())
    worker.send(signal.SIGSTOP)
    reserved = await stage.reserve()
    await stage.queue.dispatch([dispatch_of(reserved)])
    await stage.queue.redis.delete("farebox:bell:image")
    worker.send(signal.SIGCONT)
    assert (await stage.ended(reserved.generation.id)).state is State.SUCCEEDED


async def test_a_job_claimed_by_a_dead_worker_does_not_stand_in_the_way_of_the_next(stage: Stage) -> None:
    first = await stage.reserve()
    await stage.queue.dispatch([dispatch_of(first)])
    claimed = await stage.queue.claim("image", limit=1, claim_ms=3_600_000)
    assert [job.id for job in claimed] == [job_id(first.generation.id, 1)]
    second = await stage.reserve()
    await stage.queue.dispatch([dispatch_of(second)])
    stage.worker("image", "--jobs", "1")
    assert (await stage.ended(second.generation.id)).state is State.SUCCEEDED
    assert (await stage.generation(first.generation.id)).state is State.QUEUED


async def test_an_account_over_its_concurrency_never_has_more_in_work_and_all_of_it_finishes(stage: Stage) -> None:
    await stage.ledger.publish(policy(image=3))
    stage.worker()
    generations = [await stage.order(sandbox={"delay_seconds": 0.2}) for _ in range(12)]
    assert [(await stage.generation(generation)).state for generation in generations][-1] is State.WAITING
    most = 0
    ending = asyncio.gather(*(stage.ended(generation) for generation in generations))
    while not ending.done():
        totals = await stage.totals()
        most = max(most, totals.running.get("image", 0) + totals.queued.get("image", 0))
        await asyncio.sleep(0.01)
    assert [ended.state for ended in await ending] == [State.SUCCEEDED] * 12
    assert most == 3
    assert await stage.spent() == 12 * PRICE


async def test_sigterm_hands_back_and_another_worker_goes_on_with_the_same_provider_job(stage: Stage) -> None:
    first = stage.worker(FAREBOX_GRACE_SECONDS="0")
    generation = await stage.order(sandbox={"delay_seconds": 6})
    ref = (await stage.when(generation, lambda found: found.provider_ref is not None)).provider_ref
    first.send(signal.SIGTERM)
    assert await first.wait() == 0
    handed_back = await stage.generation(generation)
    assert (handed_back.state, handed_back.provider_ref) == (State.QUEUED, ref)
    stage.worker()
    ended = await stage.ended(generation)
    assert (ended.state, ended.attempt, ended.failures) == (State.SUCCEEDED, 2, 0)
    assert await stage.spent() == PRICE


async def test_sigterm_lets_a_job_finish_within_the_grace_and_picks_no_other(stage: Stage) -> None:
    worker = stage.worker(FAREBOX_GRACE_SECONDS="600")
    running = await stage.order(sandbox={"delay_seconds": 3})
    await stage.running(1)
    worker.send(signal.SIGTERM)
    await until(lambda: worker.says("worker_stopping"))
    left = await stage.order()
    assert await worker.wait() == 0
    assert (await stage.generation(running)).state is State.SUCCEEDED
    assert (await stage.generation(left)).state is State.QUEUED
    assert (await stage.queue.depths(["image"]))[0].workers == 0


async def test_a_second_sigterm_hands_back_at_once(stage: Stage) -> None:
    worker = stage.worker(FAREBOX_GRACE_SECONDS="600")
    generation = await stage.order(sandbox=LONG)
    await stage.running(1)
    worker.send(signal.SIGTERM)
    await until(lambda: worker.says("worker_stopping"))
    worker.send(signal.SIGTERM)
    assert await worker.wait() == 0
    found = await stage.generation(generation)
    assert (found.state, found.attempt) == (State.QUEUED, 1)
    assert await due(stage.queue) == [job_id(generation, 2)]


async def test_a_cancel_while_running_pays_for_what_was_delivered_and_refunds_the_rest(stage: Stage) -> None:
    stage.worker()
    generation = await stage.order(outputs=4, sandbox={"deliver": 1, "hang": True})
    await stage.when(generation, lambda found: len(found.outputs) == 1)
    await stage.cancel(generation)
    ended = await stage.generation(generation)
    assert (ended.state, len(ended.outputs)) == (State.CANCELLED, 1)
    assert await stage.spent() == PRICE


async def test_a_cancel_is_heard_at_once_and_not_only_at_the_next_renewal(redis_url: str, tmp_path: Path) -> None:
    """A third of this lease is longer than any test may take: only the word on the channel can end it in time.

    A cancelled generation that makes no progress went on for a third of its lease, ten seconds by default.
    """
    async with open_stage(redis_url, tmp_path, lease_seconds=3600) as stage:
        await stage.account()
        stage.worker()
        generation = await stage.order(sandbox={"hang": True})
        await stage.running(1)
        await until(lambda: _heeds_stops(stage))
        await stage.ledger.cancel(generation=generation)
        await stage.queue.request_check(generation)
        assert (await stage.ended(generation)).state is State.CANCELLED


async def _heeds_stops(stage: Stage) -> bool:
    ((_, listeners),) = await stage.queue.redis.pubsub_numsub(CHECKS_CHANNEL)
    return bool(listeners == 1)


async def test_a_provider_that_fails_once_is_tried_again_after_the_pause(stage: Stage) -> None:
    stage.worker()
    stage.caretaker()
    generation = await stage.order(sandbox={"fail": "provider_failed", "fail_attempts": 1})
    ended = await stage.ended(generation)
    assert (ended.state, ended.attempt, ended.failures) == (State.SUCCEEDED, 2, 1)
    assert await stage.spent() == PRICE


async def test_a_worker_may_be_started_before_redis(own_redis: RedisServer, tmp_path: Path) -> None:
    async with open_stage(own_redis.url, tmp_path) as stage:
        await stage.account()
        own_redis.kill()
        worker = stage.worker()
        await until(lambda: worker.says("ledger_unavailable"))
        own_redis.start()
        assert (await stage.ended(await stage.order())).state is State.SUCCEEDED


async def test_a_tool_that_the_rate_card_does_not_have_is_refused_with_those_it_has(stage: Stage) -> None:
    worker = stage.worker("imgae")
    assert await worker.wait() == 2
    assert "the rate card has no tool 'imgae'; it has audio, image, text, video" in worker.log


async def test_a_worker_serves_its_own_figures(stage: Stage) -> None:
    port = free_port()
    stage.worker("image", "--metrics-port", str(port))
    await stage.ended(await stage.order())

    def figures() -> str:
        with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60) as answer:
            text: str = answer.read().decode()
            return text

    async def counted() -> bool:
        text = await asyncio.to_thread(figures)
        return 'farebox_attempt_seconds_count{ending="succeeded",model="nano-banana-2",tool="image"} 1.0' in text

    await until(counted)
    assert 'farebox_transition_seconds_count{outcome="begun",transition="begin"} 1.0' in figures()
