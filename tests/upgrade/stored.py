"""A whole Redis as a file of JSON: taken from one version of Farebox, put back for another as if no time had passed.

Every instant in it is moved by as much as has passed since; only so can what was open then go on now.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

Redis = Any
"""A client. Any: redis-py's types promise both an answer and a promise."""

_INSTANT = re.compile(r"(?<!\d)(10)?(1[6-9]\d{11})(?!\d)")
"""Milliseconds between 2020 and 2033; those of a paused webhook's deliveries are 10^14 later."""

_SECONDS = re.compile(r"(?<!\d)(1[6-9]\d{8}\.\d+)(?!\d)")
_UNMOVED = re.compile(r"^\{fb..\}:policy$")  # a time zone's changes are when they are


@dataclass(frozen=True, slots=True)
class Stored:
    """What was taken. `told`: what the test has to know of it, such as the keys that were given out."""

    commit: str
    taken_at: int
    keys: dict[str, dict[str, Any]]
    told: dict[str, Any]

    @classmethod
    def read(cls, path: Path) -> Stored:
        return cls(**json.loads(path.read_text()))

    def save(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self), indent=0, sort_keys=True, ensure_ascii=False) + "\n")


async def now_ms(redis: Redis) -> int:
    """Redis's own clock."""
    seconds, microseconds = (await redis.time())[:2]
    return int(seconds) * 1000 + int(microseconds) // 1000


async def take(redis: Redis) -> dict[str, dict[str, Any]]:
    """Every key with its type, its value as text, and how long it lives (-1: for ever)."""
    found = {}
    for name in sorted(await redis.keys("*")):
        kind = (await redis.type(name)).decode()
        reading: dict[str, Any] = {
            "hash": lambda name=name: redis.hgetall(name),
            "list": lambda name=name: redis.lrange(name, 0, -1),
            "zset": lambda name=name: redis.zrange(name, 0, -1, withscores=True),
            "string": lambda name=name: redis.get(name),
        }
        found[name.decode()] = {
            "kind": kind, "value": _text(await reading[kind]()), "lives_ms": await redis.pttl(name),
        }  # fmt: skip
    return found


async def put(redis: Redis, stored: Stored, changes: dict[str, str]) -> int:
    """Write every key, with all instants moved to now and `changes` made in all texts; by how much they were moved."""
    passed = await now_ms(redis) - stored.taken_at

    def moved(text: str) -> str:
        for was, becomes in changes.items():
            text = text.replace(was, becomes)
        text = _INSTANT.sub(lambda match: (match[1] or "") + str(int(match[2]) + passed), text)
        return _SECONDS.sub(lambda match: str(float(match[1]) + passed / 1000), text)

    for name, key in stored.keys.items():
        change = str if _UNMOVED.match(name) else moved
        match key["kind"], key["value"]:
            case "hash", value:
                await redis.hset(name, mapping={field: change(text) for field, text in value.items()})
            case "list", value:
                await redis.rpush(name, *map(change, value))
            case "zset", value:
                await redis.zadd(name, {change(member): float(change(f"{score:.0f}")) for member, score in value})
            case _, value:
                await redis.set(name, change(value))
        if key["lives_ms"] >= 0:
            await redis.pexpire(name, key["lives_ms"])
    return passed


def _text(value: Any) -> Any:
    match value:
        case bytes():
            return value.decode()
        case dict():
            return {field.decode(): text.decode() for field, text in value.items()}
        case list() if value and isinstance(value[0], tuple | list):
            return [[member.decode(), score] for member, score in value]
        case _:
            return [item.decode() for item in value]
