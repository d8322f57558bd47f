"""Everything a ledger holds, read key by key with plain commands: what tests compare and check.

Nothing here knows the scripts or `gateway.ledger`, so that a fault in those cannot hide itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.cluster import RedisCluster

STANDING_CLOCK = "clock{"  # what `patched.py` has the scripts read instead of the time: no part of the ledger
Value = str | dict[str, str] | list[str] | dict[str, float]


@dataclass(frozen=True, slots=True)
class Stored:
    """One key: its type, its value, and when it expires (ms since the epoch; -1: never)."""

    kind: str
    value: Any
    expires_at: int


Contents = dict[str, Stored]
"""Every key of a ledger."""


async def read_contents(redis: Redis | RedisCluster, prefix: str = "") -> Contents:
    """All keys that start with `prefix`, with their values."""
    everywhere = {"target_nodes": RedisCluster.PRIMARIES} if isinstance(redis, RedisCluster) else {}
    names = sorted(name.decode() for name in await redis.keys("*", **everywhere))
    wanted = [name for name in names if name.startswith(prefix) and not name.startswith(STANDING_CLOCK)]
    if not wanted:
        return {}
    async with redis.pipeline(transaction=False) as asking:
        for name in wanted:
            asking.type(name)
            asking.pexpiretime(name)
        answers = await asking.execute()
    kinds = [answer.decode() for answer in answers[::2]]
    async with redis.pipeline(transaction=False) as asking:
        for name, kind in zip(wanted, kinds, strict=True):
            _ask(asking, name, kind)
        values = await asking.execute()
    return {
        name: Stored(kind, _text(value), expires_at)
        for name, kind, value, expires_at in zip(wanted, kinds, values, answers[1::2], strict=True)
        if value not in (None, {}, [])  # it expired while this read
    }


def _ask(asking: Any, name: str, kind: str) -> None:
    match kind:
        case "hash":
            asking.hgetall(name)
        case "list":
            asking.lrange(name, 0, -1)
        case "zset":
            asking.zrange(name, 0, -1, withscores=True)
        case "stream":
            asking.xrange(name)
        case _:
            asking.get(name)


def _text(value: Any) -> Any:
    match value:
        case bytes():
            return value.decode()
        case dict():
            return {name.decode(): text.decode() for name, text in value.items()}
        case list() if value and isinstance(value[0], tuple | list):  # a sorted set, or a stream
            return {name.decode(): _text(held) if isinstance(held, dict) else held for name, held in value}
        case list():
            return [item.decode() for item in value]
    raise TypeError(value)
