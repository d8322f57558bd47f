"""Which workers and caretakers are alive, and which providers workers can call, by their heartbeats.

Times are by the queue's clock. A process that misses three heartbeats (fifteen seconds) is not counted. Workers of
earlier versions do not report which providers they can call; for their tools that is unknown.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from redis.asyncio import Redis

from gateway.errors import QueueUnavailable
from gateway.queue.keys import CARETAKERS, callable_key, workers_key
from gateway.queue.redis_calls import execute
from gateway.queue.servers import QueueServers
from gateway.redis_link.batches import Command

SEEN_EVERY_SECONDS = 5
COUNTED_SECONDS = 15
KEPT_SECONDS = 300
"""Silent processes are shown to operators for this long."""


@dataclass(frozen=True, slots=True)
class Alive:
    """The processes seen recently. `workers` has no entry for a tool of which nothing is known.

    `callable_providers` has none either, nor for one whose workers do not report it.
    """

    workers: Mapping[str, int]
    callable_providers: Mapping[str, frozenset[str]]
    caretakers: int


async def worker_seen(redis: Redis, tool: str, worker: str, providers: Iterable[str] = ()) -> None:
    """Record a heartbeat of a worker, with the providers it can call."""
    seconds = await _now(redis)
    commands = _seen(workers_key(tool), [worker], seconds)
    await execute(redis, *commands, *_seen(callable_key(tool), list(providers), seconds))


async def worker_gone(redis: Redis, tool: str, worker: str) -> None:
    """Record that a worker has stopped."""
    await execute(redis, ("ZREM", workers_key(tool), worker))


async def caretaker_seen(redis: Redis, caretaker: str) -> None:
    """Record a heartbeat of a caretaker."""
    await execute(redis, *_seen(CARETAKERS, [caretaker], await _now(redis)))


async def caretaker_gone(redis: Redis, caretaker: str) -> None:
    """Record that a caretaker has stopped."""
    await execute(redis, ("ZREM", CARETAKERS, caretaker))


async def alive(servers: QueueServers, tools: Collection[str]) -> Alive:
    """The processes alive: in one round trip to each server, plus one for the time.

    Of tools whose own server does not respond nothing is known. QueueUnavailable if the shared one does not.
    """
    groups: dict[Redis, list[str]] = {servers.shared: [], **dict(servers.sharing(tools))}
    answers = await asyncio.gather(*(_alive_at(*group) for group in groups.items()), return_exceptions=True)
    found = Alive({}, {}, 0)
    for server, answer in zip(groups, answers, strict=True):
        if isinstance(answer, Alive):
            found = Alive(
                {**found.workers, **answer.workers},
                {**found.callable_providers, **answer.callable_providers},
                found.caretakers + answer.caretakers,  # on the shared one only
            )
        elif server is servers.shared or not isinstance(answer, QueueUnavailable):
            raise answer
    return found


async def _alive_at(server: Redis, tools: list[str]) -> Alive:
    since = await _now(server) - COUNTED_SECONDS
    commands: list[Command] = [("ZCOUNT", CARETAKERS, f"({since}", "+inf")]
    for tool in tools:
        commands += [
            ("ZCOUNT", workers_key(tool), f"({since}", "+inf"),
            ("ZRANGEBYSCORE", callable_key(tool), f"({since}", "+inf"),
        ]
    caretakers, *answers = await execute(server, *commands)
    said = {tool: frozenset(name.decode() for name in names) for tool, names in zip(tools, answers[1::2], strict=True)}
    workers = dict(zip(tools, answers[::2], strict=True))
    return Alive(workers, {tool: names for tool, names in said.items() if names}, caretakers)


async def _now(redis: Redis) -> int:
    ((seconds, _),) = await execute(redis, ("TIME",))
    return int(seconds)


def _seen(key: str, names: list[str], seconds: int) -> list[Command]:
    if not names:
        return []
    return [
        ("ZADD", key, *(word for name in names for word in (seconds, name))),
        ("ZREMRANGEBYSCORE", key, "-inf", seconds - KEPT_SECONDS),
        ("EXPIRE", key, KEPT_SECONDS),
    ]
