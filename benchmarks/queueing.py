"""How soon a job is begun, and how many are done in a second: Farebox beside SAQ and beside plain arq.

Pick-up is from the call (`reserve`, or SAQ's `enqueue`) to the begin, with arrivals so sparse that the worker idles
between them. The burst is from the first call to the last end. Farebox's jobs are whole generations: reserved,
dispatched, begun, noted, one output of one pixel stored and delivered, settled and hinted; only the provider has
nothing to do. arq's and SAQ's are functions that return. All of them are on one durable Redis each. So is the floor of
pick-up: it waits for the disk as often as Farebox does, which holds credits before a job is queued and takes a lease
before it is begun (SAQ waits once less), and does nothing else.
"""

from __future__ import annotations

import asyncio
import random
import statistics
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from arq import create_pool
from arq.connections import RedisSettings
from arq.constants import default_queue_name
from redis.asyncio import Redis
from saq.queue.redis import RedisQueue

from benchmarks.accounts import Account, make, reserve
from benchmarks.bench import Bench
from benchmarks.result import Result, Target, at_least, at_most
from benchmarks.servers import child, durable_redis, environment, ledger_at
from benchmarks.workers import BEGUN, QUEUED
from gateway.ledger import keys
from gateway.ledger.ledger import Ledger
from gateway.ledger.outcomes import Reserved
from gateway.queue.dispatcher import Dispatcher
from gateway.queue.queue import Queue
from gateway.redis_link.connections import connect_queue

ARRIVALS = 100
ARRIVALS_QUICK = 30
PAUSE_SECONDS = 0.03
JOBS = 5000
JOBS_QUICK = 500
AT_ONCE = 64
WORKERS = 2
PLAN = "creator"  # its accounts may have sixteen images in work

Call = Callable[[], Awaitable[object]]


async def pick_up(bench: Bench) -> Sequence[Result]:
    """Arrivals one by one, each after a pause, to an idle worker."""
    ours: list[list[float]] = []
    theirs: list[list[float]] = []
    least: list[list[float]] = []
    with durable_redis() as redis_socket, durable_redis() as saq_socket, durable_redis() as least_socket:
        async with _gateway_parts(redis_socket) as (ledger, dispatcher):
            accounts = await make(ledger, redis_socket, range(ARRIVALS * 20), plan=PLAN)
            saq = RedisQueue(Redis(unix_socket_path=str(saq_socket)))
            plain = Redis(unix_socket_path=str(least_socket))
            with ExitStack() as working:
                for kind, socket in (("farebox", redis_socket), ("saq", saq_socket), ("least", least_socket)):
                    working.enter_context(_workers(kind, socket, 1, tell=True))
                waiting = iter(accounts)
                post, enqueue = _reserving(ledger, dispatcher, waiting), lambda: saq.enqueue("nothing")
                await _latencies(post, redis_socket, 10)
                await _latencies(enqueue, saq_socket, 10)
                await _latencies(lambda: _two_writes(plain), least_socket, 10)
                arrivals = bench.size(ARRIVALS, ARRIVALS_QUICK)
                for _ in bench.rounds():
                    theirs.append(await _latencies(enqueue, saq_socket, arrivals))
                    ours.append(await _latencies(post, redis_socket, arrivals))
                    least.append(await _latencies(lambda: _two_writes(plain), least_socket, arrivals))
            await plain.aclose()
            await saq.disconnect()
    floor = "its floor: three writes, one after the other"
    return [
        _compared("pick-up, median", ours, theirs, statistics.median, at_most(1.5)),
        _compared(floor, least, theirs, statistics.median),
        _compared("pick-up, p99", ours, theirs, _p99, at_most(2)),
        _compared(floor, least, theirs, _p99),
    ]


async def burst(bench: Bench) -> Sequence[Result]:
    """Very many jobs at once, for two workers that idle."""
    ours, theirs = [], []
    jobs = bench.size(JOBS, JOBS_QUICK)
    with durable_redis() as redis_socket, durable_redis() as arq_socket:
        async with _gateway_parts(redis_socket) as (ledger, dispatcher):
            accounts = await make(ledger, redis_socket, range(jobs // 10), plan=PLAN)
            pool = await create_pool(RedisSettings(unix_socket_path=str(arq_socket)))
            with _workers("farebox", redis_socket, WORKERS), _workers("arq", arq_socket, WORKERS):
                await _idle()

                async def open_generations() -> int:
                    async with ledger.redis.pipeline(transaction=False) as pipeline:
                        for partition in range(ledger.partitions):
                            pipeline.hget(keys.totals(partition), "open")
                        return sum(int(count or 0) for count in await pipeline.execute())

                async def jobs_left() -> int:
                    return int(await pool.zcard(default_queue_name))

                for _ in bench.rounds():
                    theirs.append(jobs / await _seconds(lambda: pool.enqueue_job("nothing"), jobs, jobs_left))
                    post = _reserving(ledger, dispatcher, iter(accounts * 10))
                    ours.append(jobs / await _seconds(post, jobs, open_generations))
            await pool.aclose()
    return [
        Result(
            what=f"burst of {jobs:,}, {WORKERS} workers",
            figures=ours,
            floors=theirs,
            floor="plain arq",
            unit="/s",
            target=at_least(0.5),
        )
    ]


def _compared(
    what: str,
    ours: list[list[float]],
    theirs: list[list[float]],
    of: Callable[[list[float]], float],
    target: Target | None = None,
) -> Result:
    return Result(
        what=what,
        figures=[of(taken) for taken in ours],
        floors=[of(taken) for taken in theirs],
        floor="SAQ",
        unit="ms",
        target=target,
    )


def _p99(taken: list[float]) -> float:
    return sorted(taken)[len(taken) * 99 // 100]


async def _two_writes(redis: Redis) -> None:
    """Before it can be begun: what is held, then the job. The worker's own write is the third."""
    await redis.set("bench:held", 1)
    await redis.lpush(QUEUED, 1)  # type: ignore[misc]  # redis-py types it for both clients


def _reserving(ledger: Ledger, dispatcher: Dispatcher, accounts: Iterator[Account]) -> Call:
    """What the gateway does for a `POST`, without HTTP."""

    async def reserve_next() -> None:
        outcome = await reserve(ledger, next(accounts))
        if not isinstance(outcome, Reserved) or outcome.dispatch is None:
            raise TypeError(f"not reserved and queued: {outcome}")
        dispatcher.dispatch([outcome.dispatch])

    return reserve_next


async def _latencies(call: Call, redis_socket: Path, arrivals: int) -> list[float]:
    """How many milliseconds pass until each call's job is begun."""
    redis = Redis(unix_socket_path=str(redis_socket))
    dice = random.Random(arrivals)
    taken = []
    for _ in range(arrivals):
        await asyncio.sleep(dice.uniform(0.5, 1.5) * PAUSE_SECONDS)
        called_at = time.monotonic_ns()
        await call()
        answer: Any = await redis.blpop([BEGUN], timeout=10)  # type: ignore[misc]  # redis-py types it for both clients
        if answer is None:
            raise TimeoutError("a job was not begun within ten seconds")
        taken.append((int(answer[1]) - called_at) / 1e6)
    await redis.aclose()
    return taken


async def _seconds(call: Call, jobs: int, left: Callable[[], Awaitable[int]]) -> float:
    """How long it takes from the first of so many calls to the end of the last job."""
    numbers = iter(range(jobs))

    async def caller() -> None:
        for _ in numbers:
            await call()

    started_at = time.monotonic()
    await asyncio.gather(*(caller() for _ in range(AT_ONCE)))
    while await left():  # noqa: ASYNC110 - other processes give no event to wait for
        await asyncio.sleep(0.02)
    return time.monotonic() - started_at


async def _idle() -> None:
    """Let workers that were just started come to wait for work."""
    await asyncio.sleep(2)


@contextmanager
def _workers(kind: str, redis_socket: Path, count: int, *, tell: bool = False) -> Iterator[None]:
    command = [sys.executable, "-m", "benchmarks.workers", kind, str(redis_socket), *(["tell"] if tell else [])]
    if count == 0:
        yield
        return
    log = redis_socket.parent / f"{kind}.log"
    with child(command, environment=environment(redis_socket), log=log), _workers(kind, redis_socket, count - 1):
        yield


@asynccontextmanager
async def _gateway_parts(redis_socket: Path) -> AsyncIterator[tuple[Ledger, Dispatcher]]:
    """Of a gateway, what stands behind its HTTP layer."""
    async with ledger_at(redis_socket) as ledger:
        queue = Queue(connect_queue(f"unix://{redis_socket}"))
        async with Dispatcher(ledger=ledger, queue=queue) as dispatcher:
            yield ledger, dispatcher
        await queue.redis.aclose()
