"""The queue in Redis: jobs in arq's own format, and the pub/sub channels for changes and check requests.

One queue for each tool. Its keys are on the queue's Redis or the tool's own (`servers.py`, `keys.py`, `jobs.py`; see
the README). Losing them costs only time: the ledger knows what is queued, and a caretaker dispatches it again.
"""

from __future__ import annotations

import asyncio
import hashlib
from asyncio import Future
from collections import Counter, defaultdict
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from itertools import chain
from typing import Any, TypeVar

import structlog
from redis.asyncio import Redis

from gateway.errors import QueueUnavailable
from gateway.ledger.ledger import Ledger
from gateway.ledger.outcomes import Dispatch
from gateway.queue.heartbeats import COUNTED_SECONDS, alive, worker_gone, worker_seen
from gateway.queue.jobs import (
    CLAIM_PREFIX,
    JOB_MS,
    JOB_PREFIX,
    ClaimedJob,
    Job,
    claim_key,
    dumps,
    generate_job,
    job_key,
    job_keys,
    provider_in,
    stop_job,
)
from gateway.queue.keys import (
    CHANGES_CHANNEL,
    CHECKS_CHANNEL,
    queue_key,
    queued_key,
    rerouted_key,
    rerouted_wakeup_key,
    stray_key,
    waits_key,
    wakeup_key,
    workers_key,
)
from gateway.queue.messages import ChangeNotice, SubscriptionState, change_message, change_notices_in, check_requests_in
from gateway.queue.redis_calls import execute, listen, translated
from gateway.queue.servers import QueueServers
from gateway.queue.wait_times import class_of
from gateway.redis_link.batches import Command, Word
from gateway.redis_link.calls import Calls
from gateway.redis_link.scripts import ScriptFolder

SCRIPTS = ScriptFolder("gateway.queue")

_WAKEUPS_MAX = 64  # with more idle workers of one tool, some find a job half a second late
_WAKEUPS_SECONDS = 3600
_WAITS_SECONDS = 7 * 86_400
_STRAY_SECONDS = 86_400  # longer than any provider keeps calling back about a job

T = TypeVar("T")

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Depth:
    """One tool's queue. `oldest_ms` is how long the oldest job has waited; None if the queue is empty.

    `silent_ms` is how long ago each worker was last seen; `workers` of them count as alive.
    """

    tool: str
    queued: int
    oldest_ms: int | None
    workers: int
    silent_ms: Mapping[str, int]


class Queue:
    """Dispatches, claims and monitors jobs. Every method raises QueueUnavailable when Redis is unavailable."""

    def __init__(self, redis: Redis | QueueServers, *, beside: Ledger | None = None) -> None:
        """`beside`: the ledger, if it is on the queue's own server. Dispatches and reads then travel in its batches.

        A batch costs the gateway and Redis as much as a create: a write, a read, a wait for the disk.
        """
        self.servers = redis if isinstance(redis, QueueServers) else QueueServers(redis)
        self.redis = self.servers.shared
        self.unreadable: Counter[str] = Counter()
        """The number of invalid entries per channel."""
        self._calls = {server: Calls(server, SCRIPTS, translated) for server in self.servers.all}
        self._is_beside = beside is not None
        if beside is not None:
            self._calls[self.redis] = beside.calls_beside(translated)

    async def aclose(self) -> None:
        """Close all connections."""
        await self.servers.aclose()

    # --- dispatching ------------------------------------------------------------------------------------------------

    async def dispatch(
        self, dispatches: Sequence[Dispatch], notices: Sequence[ChangeNotice] = (), *, server: Redis | None = None
    ) -> None:
        """Put generations into arq and notify streams, all in one round trip (arq's `enqueue_job` takes three per job).

        Dispatching one twice is harmless: it is the same job, and `begin` gives its attempt to one worker only. A lost
        notice delays a stream by five seconds at most. `server` has the jobs of all these tools; by default the
        queue's.
        """
        by_tool: defaultdict[str, list[Job]] = defaultdict(list)
        for dispatch in dispatches:
            by_tool[dispatch.tool].append(generate_job(dispatch))
        commands = [command for tool, jobs in by_tool.items() for command in _put(tool, jobs)]
        if notices:  # one message: every gateway receives it, and each message costs it 50 µs
            commands.append(("PUBLISH", CHANGES_CHANNEL, dumps(change_message(notices))))
        if not commands:
            return
        if self._is_beside and server in {None, self.redis}:
            await self.ask(*commands)
        else:
            await execute(server or self.redis, *commands)

    async def stop(self, *, tool: str, generation: str, ref: str) -> None:
        """Queue a job that asks the provider to stop the job `ref` of a generation that has ended (R17)."""
        await self._send(tool, *_put(tool, [stop_job(generation, ref)]))

    async def stop_elsewhere(self, *, tool: str, provider: str, generation: str, ref: str, left: bool) -> None:
        """Queue the same for workers that can call the provider, because this one cannot.

        `left`: it may not be the one that the generation has now.
        """
        job = stop_job(generation, ref, _digest(ref), provider, at=provider if left else "")
        await self._send(tool, *_put(tool, [job], provider), ("EXPIRE", rerouted_key(tool, provider), JOB_MS // 1000))

    async def stop_stray(self, *, tool: str, generation: str, ref: str, provider: str = "") -> None:
        """Queue a stop for a provider job without a generation; only once per job.

        `provider` has it, if that may not be the one that the generation has now.
        """
        digest = _digest(f"{generation}\n{ref}")
        (first,) = await execute(self.redis, ("SET", stray_key(digest), 1, "NX", "EX", _STRAY_SECONDS))
        if first:
            await self._send(tool, *_put(tool, [stop_job(generation, ref, digest, at=provider)]))

    async def take_out(self, tool: str, job: str, *, provider: str | None = None, waited_ms: int | None = None) -> None:
        """Remove a job completely: it has started (from now on the lease counts) or need not start anymore.

        It leaves the queue before its claim is deleted, so that no worker can claim it in between. With `provider` it
        also leaves the rerouted jobs of that provider; a claimed job is back in the queue and does not need this.
        `waited_ms` is how long its generation was queued, if that should be counted.
        """
        commands: list[Command] = [
            ("ZREM", queue_key(tool), job),
            *([] if provider is None else [("ZREM", rerouted_key(tool, provider), job)]),
            ("ZREM", queued_key(tool), job),
            ("DEL", *job_keys(job)),
        ]
        if waited_ms is not None:
            commands += [
                ("HINCRBY", waits_key(tool), class_of(waited_ms), 1),
                ("EXPIRE", waits_key(tool), _WAITS_SECONDS),
            ]
        await self._send(tool, *commands)

    # --- claiming: what workers call -------------------------------------------------------------------------------

    async def claim(
        self, tool: str, *, limit: int, claim_ms: int, wait_seconds: float = 0, providers: Sequence[str] = ()
    ) -> list[ClaimedJob]:
        """Claim up to `limit` due jobs for `claim_ms`, in order, except those claimed by others.

        With `wait_seconds` it first waits that long for a wake-up, in the same round trip, so an idle worker claims a
        job as soon as it is dispatched. The claim covers the time until `begin`. Jobs rerouted to workers of these
        `providers` are claimed too.
        """
        places = _places(tool, providers)
        wait: list[Command] = [("BLPOP", *(wakeup for _, wakeup in places), wait_seconds)] if wait_seconds else []
        keys = list(chain(*places))
        claim = SCRIPTS.command(
            "claim", keys, claim_prefix=CLAIM_PREFIX, job_prefix=JOB_PREFIX, limit=limit, claim_ms=claim_ms
        )
        *_, claimed = await self._send(tool, *wait, claim)
        found = list(zip(claimed[::2], claimed[1::2], strict=True))
        odd = [job for job, _ in found if not _is_text(job)]
        if odd:  # not an id of ours: no worker could run it, or pass it to arq
            log.warning("invalid_jobs_dropped", tool=tool, jobs=len(odd))
            await self._send(tool, ("ZREM", queue_key(tool), *odd))
        return [ClaimedJob(job.decode(), provider_in(text)) for job, text in found if _is_text(job)]

    async def read_job(self, tool: str, job: str) -> str | None:
        """A claimed job's text, as arq stores it; None if it has expired."""
        (text,) = await self._send(tool, ("GET", job_key(job)))
        return None if text is None else text.decode()

    async def give_back(self, tool: str, job: str) -> None:
        """Release the claim of a job, for any worker."""
        await self._send(tool, ("DEL", claim_key(job)))

    async def reroute(self, tool: str, provider: str, job: str) -> None:
        """Move a claimed job to the queue of workers that can call its provider."""
        keys = (queue_key(tool), rerouted_key(tool, provider), rerouted_wakeup_key(tool, provider))
        command = SCRIPTS.command(
            "reroute",
            keys,
            claim_key=claim_key(job),
            job=job,
            kept_seconds=JOB_MS // 1000,
            wakeups_max=_WAKEUPS_MAX,
            wakeups_seconds=_WAKEUPS_SECONDS,
        )
        await self._send(tool, command)

    # --- heartbeats -------------------------------------------------------------------------------------------------

    async def worker_seen(self, tool: str, worker: str, providers: Sequence[str]) -> None:
        """Record a heartbeat of a worker, with the providers it can call."""
        await worker_seen(self.servers.of(tool), tool, worker, providers)

    async def worker_gone(self, tool: str, worker: str) -> None:
        """Record that a worker has stopped."""
        await worker_gone(self.servers.of(tool), tool, worker)

    async def callable_providers(self, tool: str) -> frozenset[str]:
        """The providers that workers of a tool can call; none if they do not report it."""
        found = await alive(self.servers, [tool])
        if tool not in found.workers:
            raise QueueUnavailable(f"the Redis with the jobs of {tool} is not responding")
        return found.callable_providers.get(tool, frozenset())

    # --- monitoring ---------------------------------------------------------------------------------------------------

    def position(self, tool: str, job: str) -> Future[int | None]:
        """How many jobs run before it (0: it is next); None if it is not queued. It is asked before it is awaited.

        What concurrent requests ask shares round trips: one per request would cost more than the rest of it.
        """
        return self._calls[self.servers.of(tool)].command("ZRANK", queue_key(tool), job)

    def rerouted_position(self, tool: str, provider: str, job: str) -> Future[int | None]:
        """How many rerouted jobs run before it; None if it was not rerouted."""
        return self._calls[self.servers.of(tool)].command("ZRANK", rerouted_key(tool, provider), job)

    def ask(self, *commands: Command) -> Future[list[Any]]:
        """Run plain commands on the queue's Redis, in one round trip with all that is asked before it is awaited."""
        return asyncio.gather(*self._calls[self.redis].commands(commands))

    def command(self, *words: Word) -> Future[Any]:
        """Run one."""
        return self._calls[self.redis].command(*words)

    async def depths(self, tools: Iterable[str]) -> list[Depth]:
        """The state of each tool's queue, in one round trip to each server; without those whose server is away.

        QueueUnavailable if none responds.
        """
        tools = list(tools)
        found = await _of_those_that_respond(self._depths(*some) for some in self.servers.sharing(tools))
        depths = {depth.tool: depth for answer in found for depth in answer or ()}
        return [depths[tool] for tool in tools if tool in depths]

    async def waits(self, tools: Iterable[str]) -> dict[str, dict[int, int]]:
        """How many generations of each tool were queued how long (classes of `wait_times.py`) before their start."""
        waits: dict[str, dict[int, int]] = {}
        for server, some in self.servers.sharing(tools):
            hashes = await execute(server, *(("HGETALL", waits_key(tool)) for tool in some))
            waits |= {tool: _classes(found) for tool, found in zip(some, hashes, strict=True)}
        return waits

    async def _depths(self, server: Redis, tools: Sequence[str]) -> list[Depth]:
        asked: list[Command] = [("TIME",)]
        for tool in tools:
            asked += [
                ("ZCARD", queued_key(tool)),
                ("ZRANGE", queued_key(tool), 0, 0, "WITHSCORES"),
                ("ZRANGE", workers_key(tool), 0, -1, "WITHSCORES"),
            ]
        (seconds, microseconds), *answers = await execute(server, *asked)
        now_ms = seconds * 1000 + microseconds // 1000
        depths = []
        for tool, queued, oldest, workers in zip(tools, answers[::3], answers[1::3], answers[2::3], strict=True):
            oldest_ms = max(0, now_ms - int(oldest[1])) if oldest else None
            seen = {name.decode(): int(at) for name, at in zip(workers[::2], workers[1::2], strict=True)}
            silent = {name: max(0, now_ms - at * 1000) for name, at in seen.items()}
            counted = sum(seconds - at < COUNTED_SECONDS for at in seen.values())
            depths.append(Depth(tool, queued, oldest_ms, counted, silent))
        return depths

    async def now(self) -> int:
        """The queue's clock, in milliseconds."""
        ((seconds, microseconds),) = await execute(self.redis, ("TIME",))
        return int(seconds) * 1000 + int(microseconds) // 1000

    async def change_notices(
        self, *, wanted: Callable[[], bool] = lambda: True
    ) -> AsyncGenerator[ChangeNotice | SubscriptionState, None]:
        """Every notice from now on, forever, and when the subscription is lost and made. Close it with `aclosing`.

        Messages that arrive while nothing is `wanted` are not read: a gateway without streams gets as many.
        """

        def read(message: bytes) -> tuple[Sequence[ChangeNotice], int]:
            return change_notices_in(message) if wanted() else ((), 0)

        async with aclosing(self._messages_of(CHANGES_CHANNEL, read)) as entries:
            async for one in entries:
                yield one

    async def request_check(self, generation: str) -> None:
        """Ask the worker of a running generation to check it now: a cancel was requested, or its provider called back.

        If the message is lost, the next renewal (a third of a lease) or the next poll notices.
        """
        await execute(self.redis, ("PUBLISH", CHECKS_CHANNEL, dumps([generation])))

    async def check_requests(self) -> AsyncGenerator[str | None, None]:
        """The ids of running generations to check, from now on; None means all of them."""
        lost = False
        async with aclosing(self._messages_of(CHECKS_CHANNEL, check_requests_in)) as entries:
            async for one in entries:
                if isinstance(one, str):
                    yield one
                elif lost and one is SubscriptionState.MADE:
                    yield None
                lost = one is SubscriptionState.LOST

    async def _messages_of(
        self, channel: str, read: Callable[[bytes], tuple[Sequence[T], int]]
    ) -> AsyncGenerator[T | SubscriptionState, None]:
        """The messages of a channel. Invalid entries are counted, and logged only once: there may be thousands."""
        async with aclosing(listen(self.redis, channel)) as messages:
            async for message in messages:
                if isinstance(message, SubscriptionState):
                    yield message
                    continue
                entries, odd = read(message)
                if odd and not self.unreadable[channel]:
                    log.warning("invalid_message_dropped", channel=channel, bytes=len(message), said="once")
                self.unreadable[channel] += odd
                for one in entries:
                    yield one

    async def _send(self, tool: str, *commands: Command) -> list[Any]:
        """Send commands to a tool's server in one round trip; QueueUnavailable if one fails."""
        return await execute(self.servers.of(tool), *commands)


async def _of_those_that_respond(asked: Iterable[Awaitable[T]]) -> list[T | None]:
    """The answers; None from servers that do not respond. QueueUnavailable if none does."""
    found = await asyncio.gather(*asked, return_exceptions=True)
    errors = [answer for answer in found if isinstance(answer, BaseException)]
    unexpected = [error for error in errors if not isinstance(error, QueueUnavailable)]
    if unexpected or (errors and len(errors) == len(found)):
        raise (unexpected or errors)[0]
    return [None if isinstance(answer, BaseException) else answer for answer in found]


def _places(tool: str, providers: Sequence[str]) -> list[tuple[str, str]]:
    """The keys of a tool's queue and wake-up list, then those of its rerouted jobs for each of these providers."""
    rerouted = [(rerouted_key(tool, provider), rerouted_wakeup_key(tool, provider)) for provider in providers]
    return [(queue_key(tool), wakeup_key(tool)), *rerouted]


def _put(tool: str, jobs: Sequence[Job], provider: str | None = None) -> Iterator[Command]:
    """Write jobs as arq's `enqueue_job` would, but with our scores and no check first; then wake workers.

    Jobs are written before their queue entries, so that a worker never finds an entry without a job. Each job wakes one
    idle worker. With `provider`, the jobs are for workers that can call it.
    """
    queue, wakeup = _places(tool, [] if provider is None else [provider])[-1]
    for job in jobs:
        yield "PSETEX", job_key(job.id), JOB_MS, job.encoded()
    yield "ZADD", queue, *(word for job in jobs for word in (job.score, job.id))
    waiting = [word for job in jobs if job.queued_at is not None for word in (job.queued_at, job.id)]
    if waiting:
        yield "ZADD", queued_key(tool), *waiting
    yield "LPUSH", wakeup, *[1] * min(len(jobs), _WAKEUPS_MAX)
    yield "LTRIM", wakeup, 0, _WAKEUPS_MAX - 1
    yield "EXPIRE", wakeup, _WAKEUPS_SECONDS


def _classes(found: Mapping[bytes, bytes]) -> dict[int, int]:
    return {int(class_): int(count) for class_, count in found.items()}


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _is_text(job: bytes) -> bool:
    return job.decode(errors="replace").encode() == job
