"""The queue in Redis: what arq's workers read, written in arq's own format; the only place in `gateway` that knows arq.

One queue for each tool. A job carries ids only, as JSON (never pickle: a queue must not be able to run code). Every key
is spelled here, arq's and ours; all are on the queue's Redis, and losing them all costs nothing but time: the ledger
knows what is queued, and the caretaker dispatches it again.

| key | holds |
|---|---|
| `farebox:queue:<tool>` | arq's sorted set: job → score; the lowest runs next, none before its score is past |
| `arq:job:<job>` | arq's job, JSON |
| `arq:in-progress:<job>`, `arq:retry:<job>` | which job is being picked up · arq's counter, unused |
| `farebox:queued:<tool>` | sorted set: job → when its generation came to wait, for the oldest age and the depth |
| `farebox:bell:<tool>` | list: one element a dispatched job, at most 64; idle workers wait on it |
| `farebox:workers:<tool>` | sorted set: worker → when it was last seen (this Redis's clock) |
| `farebox:hints` | channel: which generation has changed, for gateways |
| `farebox:stops` | channel: which running generation was asked to stop, for workers |
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import defaultdict
from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from typing import Any

import structlog
from arq.constants import in_progress_key_prefix, job_key_prefix, retry_key_prefix
from arq.jobs import serialize_job
from redis.asyncio import Redis
from redis.asyncio.client import Pipeline, PubSub
from redis.exceptions import RedisError

from gateway.errors import QueueUnavailable
from gateway.ledger.outcomes import Dispatch

HINTS = "farebox:hints"
STOPS = "farebox:stops"

WORKER_COUNTED_SECONDS = 15
"""A worker that was not seen for so long is not counted: three of its heartbeats."""

# A job may wait in arq as long as its generation may wait in the ledger; no sensible `queue_timeout` is past two days.
_JOB_MS = 48 * 3600 * 1000
# Scores lie an hour in the past, so that a worker whose clock is behind the ledger's does not think a job is not due.
_SKEW_MS = 3600 * 1000
_BELL_MAX = 64  # more idle workers than this on one tool, and some find a job half a second late
_BELL_SECONDS = 3600
_WORKERS_SECONDS = 300
_HINTS_SILENCE_SECONDS = 5.0
_RECONNECT_SECONDS = (0.1, 0.5, 1.0, 2.0)

log = structlog.get_logger(__name__)


def queue_key(tool: str) -> str:
    """Arq's sorted set of a tool's jobs."""
    return f"farebox:queue:{tool}"


def _queued_key(tool: str) -> str:
    return f"farebox:queued:{tool}"


def _bell_key(tool: str) -> str:
    return f"farebox:bell:{tool}"


def _workers_key(tool: str) -> str:
    return f"farebox:workers:{tool}"


def job_id(generation: str, attempt: int) -> str:
    """Arq's id of an attempt. arq deletes by id when a job ends, so each attempt has its own."""
    return f"{generation}:{attempt}"


def dumps(value: Mapping[str, Any]) -> bytes:
    """Arq's serializer. What JSON does not know (an exception as a result) becomes its text."""
    return json.dumps(value, separators=(",", ":"), default=repr).encode()


def loads(data: bytes) -> dict[str, Any]:
    """Arq's deserializer."""
    value: dict[str, Any] = json.loads(data)
    return value


@dataclass(frozen=True, slots=True)
class Depth:
    """One tool's queue. `oldest_ms` is how long the oldest job has waited; None when none waits."""

    tool: str
    queued: int
    oldest_ms: int | None
    workers: int


@dataclass(frozen=True, slots=True)
class Hint:
    """A generation has changed: read it again. `version` is 0 where the sender did not know it."""

    account: str
    generation: str
    version: int


class Queue:
    """Dispatching, picking and watching jobs. Every method raises QueueUnavailable when Redis gives no answer."""

    def __init__(self, redis: Redis) -> None:
        self.redis = redis

    async def ping(self) -> None:
        """Return when the queue's Redis answers."""
        pipe = self._pipeline()
        pipe.ping()
        await _execute(pipe)

    # --- dispatching ------------------------------------------------------------------------------------------------

    async def dispatch(self, dispatches: Sequence[Dispatch]) -> None:
        """Put generations into arq, all in one round trip (arq's own `enqueue_job` takes three for each).

        Dispatching one twice is harmless: it is the same job, and `begin` gives its attempt to one worker only.
        """
        if not dispatches:
            return
        pipe = self._pipeline()
        jobs_by_tool: dict[str, int] = defaultdict(int)
        for dispatch in dispatches:
            job = job_id(dispatch.generation, dispatch.attempt)
            early = dispatch.not_before > _now_ms()  # a retry in its pause; after it, its place is the one it had
            score = dispatch.not_before if early else dispatch.score - _SKEW_MS
            arguments = (dispatch.generation, dispatch.attempt)
            _put_job(pipe, tool=dispatch.tool, job=job, score=score, function="generate", arguments=arguments)
            pipe.zadd(_queued_key(dispatch.tool), {job: dispatch.queued_at})
            jobs_by_tool[dispatch.tool] += 1
        for tool, jobs in jobs_by_tool.items():
            _ring(pipe, tool, jobs)
        await _execute(pipe)

    async def stop(self, *, tool: str, generation: str, ref: str) -> None:
        """Have a worker ask the provider to stop the job `ref` of a generation that has ended (R17)."""
        pipe = self._pipeline()
        # Before every generation: it is short, and saves the provider work. (A score of 0 arq takes for none.)
        _put_job(pipe, tool=tool, job=f"stop:{generation}", score=1, function="stop", arguments=(generation, ref))
        _ring(pipe, tool, 1)
        await _execute(pipe)

    async def take_out(self, tool: str, job: str) -> None:
        """Remove every trace of a job: it has begun (from now on the lease counts) or need not begin any more."""
        pipe = self._pipeline(transaction=True)
        pipe.zrem(queue_key(tool), job)
        pipe.zrem(_queued_key(tool), job)
        pipe.delete(job_key_prefix + job, in_progress_key_prefix + job, retry_key_prefix + job)
        await _execute(pipe)

    # --- picking: what workers call ---------------------------------------------------------------------------------

    async def due(self, tool: str, *, limit: int, offset: int = 0) -> list[str]:
        """Jobs whose time has come, the next one first."""
        pipe = self._pipeline()
        pipe.zrangebyscore(queue_key(tool), "-inf", _now_ms(), start=offset, num=limit)
        (jobs,) = await _execute(pipe)
        return [_text(job) for job in jobs]

    async def claim(self, tool: str, jobs: Sequence[str], *, claim_ms: int) -> list[str]:
        """Claim jobs for `claim_ms`, in one round trip; those that another worker has, or that are gone, are left out.

        The claim covers the moment between picking and `begin`. It is set before the job is looked up again, and
        `take_out` removes both at once, so a job that has begun elsewhere in between is never claimed.
        """
        pipe = self._pipeline()
        for job in jobs:
            pipe.set(in_progress_key_prefix + job, b"1", nx=True, px=claim_ms)
            pipe.zscore(queue_key(tool), job)
        answers = await _execute(pipe)
        claimed: list[str] = []
        gone: list[str] = []
        for job, won, score in zip(jobs, answers[::2], answers[1::2], strict=True):
            if won:
                (gone if score is None else claimed).append(job)
        if gone:
            pipe = self._pipeline()
            pipe.delete(*(in_progress_key_prefix + job for job in gone))
            await _execute(pipe)
        return claimed

    async def wait_for_bell(self, tool: str, *, seconds: float) -> None:
        """Return when a job is dispatched, or after `seconds`."""
        pipe = self._pipeline()
        pipe.execute_command("BLPOP", _bell_key(tool), seconds)
        await _execute(pipe)

    async def worker_seen(self, tool: str, worker: str) -> None:
        """Say that a worker is alive: every few seconds, in the time of the queue's own clock."""
        pipe = self._pipeline()
        pipe.time()
        ((seconds, _),) = await _execute(pipe)
        pipe = self._pipeline()
        pipe.zadd(_workers_key(tool), {worker: int(seconds)})
        pipe.zremrangebyscore(_workers_key(tool), "-inf", int(seconds) - _WORKERS_SECONDS)
        pipe.expire(_workers_key(tool), _WORKERS_SECONDS)
        await _execute(pipe)

    async def worker_gone(self, tool: str, worker: str) -> None:
        """Say that a worker has stopped."""
        pipe = self._pipeline()
        pipe.zrem(_workers_key(tool), worker)
        await _execute(pipe)

    # --- watching ---------------------------------------------------------------------------------------------------

    async def positions(self, jobs: Sequence[tuple[str, str]]) -> list[int | None]:
        """For each (tool, job), how many jobs run before it (0: it is next); None when it is not in the queue."""
        if not jobs:
            return []
        pipe = self._pipeline()
        for tool, job in jobs:
            pipe.zrank(queue_key(tool), job)
        return [None if rank is None else int(rank) for rank in await _execute(pipe)]

    async def depths(self, tools: Iterable[str]) -> list[Depth]:
        """How each tool's queue is, in one round trip."""
        tools = list(tools)
        pipe = self._pipeline()
        pipe.time()
        for tool in tools:
            pipe.zcard(_queued_key(tool))
            pipe.zrange(_queued_key(tool), 0, 0, withscores=True)
            pipe.zrange(_workers_key(tool), 0, -1, withscores=True)
        (seconds, microseconds), *answers = await _execute(pipe)
        now_ms = int(seconds) * 1000 + int(microseconds) // 1000
        depths = []
        for tool, queued, oldest, workers in zip(tools, answers[::3], answers[1::3], answers[2::3], strict=True):
            oldest_ms = max(0, now_ms - int(oldest[0][1])) if oldest else None
            counted = sum(int(seconds) - int(seen) < WORKER_COUNTED_SECONDS for _, seen in workers)
            depths.append(Depth(tool, queued, oldest_ms, counted))
        return depths

    async def hint(self, account: str, generation: str, version: int = 0) -> None:
        """Tell every gateway that a generation has changed. A lost hint costs a watcher five seconds, no more."""
        pipe = self._pipeline()
        pipe.publish(HINTS, dumps({"account": account, "generation": generation, "version": version}))
        await _execute(pipe)

    async def hints(self) -> AsyncGenerator[Hint, None]:
        """Every hint from now on, for ever: a lost connection is made again. Close it with `aclosing`."""
        async with aclosing(self._messages(HINTS)) as messages:
            async for message in messages:
                yield Hint(**message)

    async def ask_to_stop(self, generation: str) -> None:
        """Tell the worker of a running generation to ask the ledger now. Lost, it costs a third of a lease, no more."""
        pipe = self._pipeline()
        pipe.publish(STOPS, dumps({"generation": generation}))
        await _execute(pipe)

    async def stops(self) -> AsyncGenerator[str, None]:
        """The ids of running generations that are asked to stop, from now on. Close it with `aclosing`."""
        async with aclosing(self._messages(STOPS)) as messages:
            async for message in messages:
                yield message["generation"]

    async def _messages(self, channel: str) -> AsyncGenerator[dict[str, Any], None]:
        failures = 0
        while True:
            try:
                async with aclosing(self._messages_of_one_connection(channel)) as messages:
                    async for message in messages:
                        failures = 0
                        yield message
            except QueueUnavailable as error:
                pause = _RECONNECT_SECONDS[min(failures, len(_RECONNECT_SECONDS) - 1)]
                log.warning("listening_interrupted", channel=channel, error=str(error), again_in_seconds=pause)
                failures += 1
                await asyncio.sleep(pause)

    async def _messages_of_one_connection(self, channel: str) -> AsyncGenerator[dict[str, Any], None]:
        pubsub = self.redis.pubsub()
        try:
            with _answering():
                await pubsub.subscribe(channel)
            silent = False
            while True:
                message = await _next_message(pubsub)
                if message is None and silent:
                    raise QueueUnavailable(f"no answer on the channel {channel}")
                silent = message is None
                if message is None:
                    with _answering():
                        await pubsub.ping()
                elif message["type"] == "message":
                    yield loads(message["data"])
        finally:
            await pubsub.aclose()  # type: ignore[no-untyped-call]  # redis-py leaves it untyped

    def _pipeline(self, *, transaction: bool = False) -> Pipeline:
        return self.redis.pipeline(transaction=transaction)


def _put_job(pipe: Pipeline, *, tool: str, job: str, score: int, function: str, arguments: tuple[Any, ...]) -> None:
    """Write a job as arq's `enqueue_job` would, but with a score of ours and without looking first.

    The job's key comes before its place in the queue: a worker never finds a place without a job.
    """
    data = serialize_job(function, arguments, {}, None, _now_ms(), serializer=dumps)
    pipe.psetex(job_key_prefix + job, _JOB_MS, data)
    pipe.zadd(queue_key(tool), {job: score})


def _ring(pipe: Pipeline, tool: str, times: int) -> None:
    """Ring a tool's bell once for each job, so that as many idle workers wake as there are jobs."""
    bell = _bell_key(tool)
    pipe.lpush(bell, *[b"1"] * min(times, _BELL_MAX))
    pipe.ltrim(bell, 0, _BELL_MAX - 1)
    pipe.expire(bell, _BELL_SECONDS)


async def _next_message(pubsub: PubSub) -> dict[str, Any] | None:
    with _answering():
        message: dict[str, Any] | None = await pubsub.get_message(
            ignore_subscribe_messages=True, timeout=_HINTS_SILENCE_SECONDS
        )
    return message


async def _execute(pipe: Pipeline) -> list[Any]:
    with _answering():
        async with pipe:
            return await pipe.execute()


@contextmanager
def _answering() -> Iterator[None]:
    """Turn every kind of no answer into QueueUnavailable."""
    try:
        yield
    except (RedisError, OSError) as error:
        raise QueueUnavailable(f"the queue's Redis did not answer: {type(error).__name__}: {error}") from error


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value
