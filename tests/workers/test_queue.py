"""The queue on a real Redis, and arq's own worker reading what we wrote."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable
from contextlib import aclosing
from typing import Any, cast

import pytest
from arq.connections import ArqRedis
from arq.typing import WorkerCoroutine
from arq.worker import Worker, func

from gateway.errors import QueueUnavailable
from gateway.ledger.outcomes import Dispatch
from gateway.queue.heartbeats import worker_gone, worker_seen
from gateway.queue.jobs import ClaimedJob, attempt_of, dumps, job_id, loads
from gateway.queue.keys import CHANGES_CHANNEL, queue_key
from gateway.queue.messages import ChangeNotice, SubscriptionState
from gateway.queue.queue import Queue
from gateway.redis_link.connections import connect_queue
from tests.redis_servers import RedisServer
from tests.until import until
from tests.workers.stage import due

GENERATION = "gen_00" + "a" * 24
HOUR_MS = 3_600_000


@pytest.fixture
async def queue(redis_url: str) -> AsyncIterator[Queue]:
    queue = Queue(connect_queue(redis_url))
    yield queue
    await queue.redis.aclose()


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def dispatch(generation: str = GENERATION, **changes: Any) -> Dispatch:
    facts: dict[str, Any] = {
        "generation": generation,
        "tool": "image",
        "attempt": 1,
        "score": now_ms(),
        "queued_at": now_ms(),
        "not_before": 0,
        "deadline": now_ms() + 2000,
    }
    return Dispatch(**(facts | changes))


async def claim(queue: Queue, *, limit: int, wait_seconds: float = 0) -> list[str]:
    """The ids of the jobs that are claimed."""
    claimed = await queue.claim("image", limit=limit, claim_ms=10_000, wait_seconds=wait_seconds)
    return [job.id for job in claimed]


async def keys_of(queue: Queue) -> set[bytes]:
    return set(await queue.redis.keys("*"))


async def test_arqs_own_worker_runs_what_was_dispatched(queue: Queue) -> None:
    ran: list[tuple[str, int, str]] = []

    async def generate(_: dict[Any, Any], generation: str, attempt: int, provider: str = "unsaid") -> None:
        ran.append((generation, attempt, provider))

    await queue.dispatch([dispatch(), dispatch("gen_00" + "b" * 24, attempt=7, provider="box")])
    pool = ArqRedis(queue.redis.connection_pool)
    worker = Worker(
        functions=[func(cast("WorkerCoroutine", generate), name="generate")],
        queue_name=queue_key("image"),
        redis_pool=pool,
        burst=True,
        poll_delay=0,
        handle_signals=False,
        job_serializer=dumps,
        job_deserializer=loads,
    )
    await worker.async_run()
    assert ran == [(GENERATION, 1, "unsaid"), ("gen_00" + "b" * 24, 7, "box")]
    assert worker.jobs_failed == 0


async def test_a_job_is_json_and_holds_ids_only(queue: Queue) -> None:
    await queue.dispatch([dispatch(provider="box")])
    job = loads(await queue.redis.get(f"arq:job:{GENERATION}:1"))
    assert job.pop("et") > 0
    assert job == {"t": None, "f": "generate", "a": [GENERATION, 1], "k": {"provider": "box"}}


async def test_a_claimed_job_says_its_provider(queue: Queue) -> None:
    await queue.dispatch([dispatch(provider="box")])
    assert await queue.claim("image", limit=1, claim_ms=10_000) == [ClaimedJob(job_id(GENERATION, 1), "box")]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(b'{"t":null,"f":"generate","a":["gen_x",1],"k":{},"et":1}', id="of the version before"),
        pytest.param(b'{"t":null,"f":"generate","a":["gen_x",1],"k":{"provider":7},"et":1}', id="not a name"),
        pytest.param(b'{"t":null,"f":"generate","a":["gen_x",1],"k":["provider"],"et":1}', id="no names"),
        pytest.param(b"[1]", id="another thing"),
        pytest.param(b"\xff{", id="no JSON"),
        pytest.param(None, id="lost"),
    ],
)
async def test_a_job_that_names_no_provider_is_claimed_all_the_same(queue: Queue, text: bytes | None) -> None:
    await queue.dispatch([dispatch(provider="box")])
    key = f"arq:job:{GENERATION}:1"
    await (queue.redis.delete(key) if text is None else queue.redis.set(key, text))
    assert await queue.claim("image", limit=1, claim_ms=10_000) == [ClaimedJob(job_id(GENERATION, 1), None)]


async def test_a_text_of_another_type_keeps_no_other_job_from_its_worker(queue: Queue) -> None:
    """Reading it failed the claim, after others had been claimed: nobody was given any job of the tool any more."""
    other = "gen_00" + "b" * 24
    await queue.dispatch([dispatch(), dispatch(other, provider="box")])
    key = f"arq:job:{GENERATION}:1"
    await queue.redis.delete(key)
    await queue.redis.zadd(key, {"no text": 1})
    claimed = await queue.claim("image", limit=10, claim_ms=60_000)
    assert {(job.id, job.provider) for job in claimed} == {(job_id(GENERATION, 1), None), (job_id(other, 1), "box")}


async def test_dispatching_twice_is_one_job(queue: Queue) -> None:
    await queue.dispatch([dispatch()])
    await queue.dispatch([dispatch()])
    assert await due(queue) == [job_id(GENERATION, 1)]
    assert (await queue.depths(["image"]))[0].queued == 1


async def test_the_lowest_score_is_due_first(queue: Queue) -> None:
    """A head start is a lower score (R15)."""
    later, sooner = "gen_00" + "b" * 24, "gen_00" + "c" * 24
    await queue.dispatch([dispatch(later), dispatch(sooner, score=now_ms() - 600_000)])
    assert await due(queue) == [job_id(sooner, 1), job_id(later, 1)]
    assert await queue.position("image", job_id(later, 1)) == 1
    assert await queue.position("image", job_id(sooner, 1)) == 0
    assert await queue.position("video", "none") is None


async def test_places_that_are_asked_for_in_one_turn_are_one_question(queue: Queue) -> None:
    """Each read of a queued generation asked by itself, on a connection of its own: half of its cost."""
    jobs = [job_id(f"gen_00{number:024}", 1) for number in range(40)]
    await queue.dispatch([dispatch(job.partition(":")[0], score=now_ms() + place) for place, job in enumerate(jobs)])
    before = (await queue.redis.info("stats"))["total_connections_received"]
    answers = await asyncio.gather(*(queue.position("image", job) for job in jobs), queue.position("video", "none"))
    assert answers == [*range(40), None]
    assert (await queue.redis.info("stats"))["total_connections_received"] - before <= 1


async def test_an_abandoned_position_query_does_not_fail_the_others(queue: Queue) -> None:
    await queue.dispatch([dispatch()])
    gone, stays = queue.position("image", "none"), queue.position("image", job_id(GENERATION, 1))
    await asyncio.sleep(0)
    gone.cancel()
    assert await stays == 0
    assert gone.cancelled()


async def test_scripts_that_the_server_forgot_are_sent_whole(queue: Queue) -> None:
    """After a restart or a failover; the bell that was heard with the claim is not asked for again."""
    await queue.dispatch([dispatch()])
    await queue.redis.script_flush()
    assert await claim(queue, limit=1, wait_seconds=4) == [job_id(GENERATION, 1)]
    await queue.redis.script_flush()
    await queue.reroute("image", "box", job_id(GENERATION, 1))
    assert await queue.rerouted_position("image", "box", job_id(GENERATION, 1)) == 0


async def test_a_failing_position_query_does_not_fail_the_others(queue: Queue) -> None:
    """All that were asked for in one turn failed with it."""
    await queue.dispatch([dispatch()])
    await queue.redis.set(queue_key("video"), "no sorted set")
    asked = [queue.position(tool, job_id(GENERATION, 1)) for tool in ("image", "video")]
    found, refused = await asyncio.gather(*asked, return_exceptions=True)
    assert found == 0
    assert isinstance(refused, QueueUnavailable)


async def test_a_worker_whose_clock_is_half_an_hour_behind_still_sees_the_job(queue: Queue) -> None:
    await queue.dispatch([dispatch(score=now_ms() + HOUR_MS // 2)])
    assert await due(queue) == [job_id(GENERATION, 1)]


async def test_a_retry_is_not_due_before_its_pause_is_over(queue: Queue) -> None:
    pause_over = now_ms() + 60_000
    await queue.dispatch([dispatch(not_before=pause_over)])
    assert await due(queue) == []
    assert await queue.redis.zscore(queue_key("image"), job_id(GENERATION, 1)) == pause_over


async def test_only_one_of_two_workers_claims_a_job(queue: Queue) -> None:
    await queue.dispatch([dispatch()])
    claims = await asyncio.gather(*(claim(queue, limit=1) for _ in range(20)))
    assert sorted(map(len, claims)) == [0] * 19 + [1]


async def test_a_job_that_was_given_back_can_be_claimed_again(queue: Queue) -> None:
    await queue.dispatch([dispatch()])
    (job,) = await claim(queue, limit=1)
    await queue.give_back("image", job)
    assert await claim(queue, limit=1) == [job]


async def test_a_claim_skips_jobs_claimed_by_others(queue: Queue) -> None:
    jobs = [dispatch(f"gen_00{index:024d}", score=now_ms() + index) for index in range(10)]
    await queue.dispatch(jobs)
    names = [job_id(job.generation, 1) for job in jobs]
    assert await claim(queue, limit=7) == names[:7]
    assert await claim(queue, limit=2) == names[7:9]
    assert await claim(queue, limit=2) == names[9:]
    assert await rings(queue) == 0, "the bell has nothing more to ring for"


async def test_a_removed_job_cannot_be_claimed_and_leaves_only_its_wake_up(queue: Queue) -> None:
    await queue.dispatch([dispatch()])
    job = job_id(GENERATION, 1)
    assert await claim(queue, limit=1) == [job]
    await queue.take_out("image", job)
    assert await claim(queue, limit=1) == []
    assert await keys_of(queue) == {b"farebox:bell:image"}
    assert await queue.redis.ttl("farebox:bell:image") > 0


async def test_the_wake_up_list_is_capped_however_many_jobs_come(queue: Queue) -> None:
    await queue.dispatch([dispatch(f"gen_00{index:024d}") for index in range(300)])
    assert await rings(queue) == 64
    assert (await queue.depths(["image"]))[0].queued == 300


async def test_a_dispatch_is_claimed_by_a_worker_blocked_on_the_wake_up_list(queue: Queue) -> None:
    waiting = asyncio.create_task(claim(queue, limit=1, wait_seconds=4))
    await until(lambda: somebody_waits(queue))
    await queue.dispatch([dispatch()])
    assert await waiting == [job_id(GENERATION, 1)]
    assert await rings(queue) == 0  # it was woken by the bell, not by the time


async def somebody_waits(queue: Queue) -> bool:
    return bool((await queue.redis.info("clients"))["blocked_clients"] == 1)


async def rings(queue: Queue) -> int:
    return len(await cast("Awaitable[list[bytes]]", queue.redis.lrange("farebox:bell:image", 0, -1)))


async def test_depths_say_how_long_the_oldest_waits_and_who_works(queue: Queue) -> None:
    await queue.dispatch([dispatch(queued_at=now_ms() - 90_000), dispatch("gen_00" + "b" * 24)])
    await worker_seen(queue.redis, "image", "alive")
    seconds, _ = await queue.redis.time()
    await queue.redis.zadd("farebox:workers:image", {"dead for 20 seconds": seconds - 20})
    image, video = await queue.depths(["image", "video"])
    assert (image.queued, image.workers) == (2, 1)
    assert image.oldest_ms is not None
    assert image.oldest_ms >= 90_000
    assert (video.queued, video.oldest_ms, video.workers) == (0, None, 0)
    await worker_gone(queue.redis, "image", "alive")
    assert (await queue.depths(["image"]))[0].workers == 0


async def test_a_stop_runs_before_every_generation_and_is_not_counted_as_one(queue: Queue) -> None:
    await queue.dispatch([dispatch()])
    await queue.stop(tool="image", generation=GENERATION, ref="vendor-1")
    assert (await due(queue))[0] == f"stop:{GENERATION}"
    assert (await queue.depths(["image"]))[0].queued == 1


async def test_notices_go_on_after_redis_was_killed_and_started_again(own_redis: RedisServer) -> None:
    queue = Queue(connect_queue(own_redis.url))
    heard: list[ChangeNotice | SubscriptionState] = []

    async def listen() -> None:
        async with aclosing(queue.change_notices()) as notices:
            async for notice in notices:
                heard.append(notice)  # noqa: PERF401 - the list is read while it grows

    async def hint_until_heard(version: int) -> None:
        while ChangeNotice("acme", GENERATION, version) not in heard:
            await queue.dispatch([], [ChangeNotice("acme", GENERATION, version)])
            await asyncio.sleep(0.02)

    listening = asyncio.create_task(listen())
    await hint_until_heard(1)
    own_redis.kill()
    with pytest.raises(QueueUnavailable):
        await queue.dispatch([], [ChangeNotice("acme", GENERATION, 2)])
    own_redis.start()
    await hint_until_heard(3)
    found = [one for one in heard if isinstance(one, SubscriptionState)]
    assert found[0] is SubscriptionState.MADE
    assert SubscriptionState.LOST in found
    assert found[-1] is SubscriptionState.MADE, "whoever listens knows that something may have been missed"
    listening.cancel()
    await asyncio.gather(listening, return_exceptions=True)
    await queue.redis.aclose()


async def test_messages_that_nobody_wants_are_not_read(queue: Queue) -> None:
    """Each gateway gets every notice of all, and most of the time nobody streams from it."""
    wanted = iter([False, False, True])
    unwanted, notice = ChangeNotice("acme", GENERATION, 1), ChangeNotice("acme", GENERATION, 2)
    async with aclosing(queue.change_notices(wanted=lambda: next(wanted))) as notices:
        assert await anext(notices) is SubscriptionState.MADE
        await queue.redis.publish(CHANGES_CHANNEL, "not a message")
        await queue.dispatch([], [unwanted])
        await queue.dispatch([], [notice])
        assert await anext(notices) == notice
    assert not queue.unreadable.total()


async def test_every_call_says_so_when_redis_is_gone(own_redis: RedisServer) -> None:
    queue = Queue(connect_queue(own_redis.url))
    own_redis.kill()
    calls = [
        queue.dispatch([dispatch()]),
        queue.take_out("image", "job"),
        queue.claim("image", limit=1, claim_ms=1),
        queue.claim("image", limit=1, claim_ms=1, wait_seconds=0.1),
        queue.give_back("image", "job"),
        worker_seen(queue.redis, "image", "worker"),
        queue.position("image", "job"),
        queue.depths(["image"]),
        queue.dispatch([], [ChangeNotice("acme", GENERATION, 1)]),
        queue.stop(tool="image", generation=GENERATION, ref="ref"),
    ]
    answers = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(answer) for answer in answers] == [QueueUnavailable] * len(calls)
    await queue.redis.aclose()


async def test_a_job_with_an_unreadable_id_is_dropped_without_delaying_others(queue: Queue) -> None:
    """A worker of the tool ended at it, was started again, and ended again."""
    await queue.redis.zadd(queue_key("image"), {b"\xff\xfe:1": 0})
    await queue.dispatch([dispatch()])
    assert await claim(queue, limit=10) == [job_id(GENERATION, 1)]
    assert await queue.redis.zscore(queue_key("image"), b"\xff\xfe:1") is None


@pytest.mark.parametrize(
    "job", ["", ":", "gen_zz:1", f"{GENERATION}:x", f"{GENERATION}:1:2", f"{GENERATION}:", "stop:x"]
)
def test_a_job_of_another_kind_is_no_attempt(job: str) -> None:
    assert attempt_of(job) is None
