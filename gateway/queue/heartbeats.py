"""Which workers and caretakers are alive, and which providers workers can call: each says so every few seconds.

All in the time of the queue's own clock. A process that was not seen for fifteen seconds, three of its heartbeats, is
not counted. Workers of earlier versions do not say which providers they can call: then nobody knows.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from redis.asyncio import Redis

from gateway.queue.keys import CARETAKERS, callable_key, workers_key
from gateway.queue.redis_calls import execute
from gateway.redis_link.batches import Command

SEEN_EVERY_SECONDS = 5
COUNTED_SECONDS = 15
KEPT_SECONDS = 300
"""Who is silent is shown to operators for so long."""


@dataclass(frozen=True, slots=True)
class Alive:
    """Who was seen lately. `callable_providers` has no entry for a tool of which no worker says what it can call."""

    workers: Mapping[str, int]
    callable_providers: Mapping[str, frozenset[str]]
    caretakers: int


async def worker_seen(redis: Redis, tool: str, worker: str, providers: Iterable[str] = ()) -> None:
    """Say that a worker is alive, and which providers it can call."""
    seconds = await _now(redis)
    commands = _seen(workers_key(tool), [worker], seconds)
    await execute(redis, *commands, *_seen(callable_key(tool), list(providers), seconds))


async def worker_gone(redis: Redis, tool: str, worker: str) -> None:
    """Say that a worker has stopped."""
    await execute(redis, ("ZREM", workers_key(tool), worker))


async def caretaker_seen(redis: Redis, caretaker: str) -> None:
    """Say that a caretaker is alive."""
    await execute(redis, *_seen(CARETAKERS, [caretaker], await _now(redis)))


async def caretaker_gone(redis: Redis, caretaker: str) -> None:
    """Say that a caretaker has stopped."""
    await execute(redis, ("ZREM", CARETAKERS, caretaker))


async def alive(redis: Redis, tools: Collection[str]) -> Alive:
    """Who is alive, in one round trip and the one for the time."""
    since = await _now(redis) - COUNTED_SECONDS
    commands: list[Command] = [("ZCOUNT", CARETAKERS, f"({since}", "+inf")]
    for tool in tools:
        commands += [
            ("ZCOUNT", workers_key(tool), f"({since}", "+inf"),
            ("ZRANGEBYSCORE", callable_key(tool), f"({since}", "+inf"),
        ]
    caretakers, *answers = await execute(redis, *commands)
    said = {tool: frozenset(name.decode() for name in names) for tool, names in zip(tools, answers[1::2], strict=True)}
    return Alive(
        workers=dict(zip(tools, answers[::2], strict=True)),
        callable_providers={tool: names for tool, names in said.items() if names},
        caretakers=caretakers,
    )


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
