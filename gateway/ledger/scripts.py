"""Lua scripts: composed from their includes, called by digest, sent together when called together.

Concurrent calls of one event-loop turn travel in one pipeline; each keeps its own answer. A script that the server
does not know (after a restart or a failover) is loaded and called again.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from redis.exceptions import (
    ClusterDownError,
    MasterDownError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
)
from redis.exceptions import (
    ConnectionError as RedisConnectionError,
)
from redis.exceptions import (
    TimeoutError as RedisTimeoutError,
)

from gateway.errors import LedgerBroken, LedgerUnavailable

if TYPE_CHECKING:
    from redis.asyncio import Redis
    from redis.asyncio.cluster import RedisCluster

Argument = str | int
Reply = list[Any]

_INCLUDE = re.compile(r"^--- @include (.+)$", re.MULTILINE)
_OUTAGES = (
    RedisConnectionError,
    RedisTimeoutError,
    ClusterDownError,
    MasterDownError,
    OutOfMemoryError,
    ReadOnlyError,
    OSError,
)
_OUTAGE_WORDS = ("OOM ", "LOADING ", "CLUSTERDOWN", "MASTERDOWN", "READONLY", "MISCONF", "TRYAGAIN", "NOREPLICAS")


@dataclass(frozen=True, slots=True)
class Script:
    """A composed script and the digest that Redis knows it by."""

    name: str
    source: str
    digest: str


@cache
def load(name: str) -> Script:
    """Compose `lua/<name>.lua`: each include once, in order, below the script's own head comment.

    A library may include another, which then stands before it.
    """
    folder = files("gateway.ledger").joinpath("lua")
    included: list[str] = []

    def include(match: re.Match[str]) -> str:
        parts = []
        for library in re.findall(r'"([^"]+)"', match.group(1)):
            if library not in included:
                included.append(library)
                parts.append(_INCLUDE.sub(include, folder.joinpath(f"{library}.lua").read_text()))
        return "\n".join(parts)

    source = _INCLUDE.sub(include, folder.joinpath(f"{name}.lua").read_text())
    return Script(name, source, hashlib.sha1(source.encode()).hexdigest())  # noqa: S324 - Redis names scripts by SHA-1


@dataclass(slots=True)
class _Call:
    script: Script
    key: str
    arguments: tuple[Argument, ...]
    answer: asyncio.Future[Reply]


class Scripts:
    """Runs scripts against one Redis or a cluster."""

    def __init__(self, redis: Redis | RedisCluster, *, wait_replicas: int = 0) -> None:
        """Use `redis`; with `wait_replicas`, an answer waits until so many replicas have it on disk."""
        self._redis = redis
        self._wait_replicas = wait_replicas
        self._waiting: list[_Call] = []
        self._flushes: set[asyncio.Task[None]] = set()

    async def run(self, name: str, key: str, *arguments: Argument) -> Reply:
        """Run a script with one key; LedgerUnavailable if nobody answers, LedgerBroken if it found a contradiction."""
        loop = asyncio.get_running_loop()
        call = _Call(load(name), key, arguments, loop.create_future())
        if not self._waiting:
            loop.call_soon(self._start_flush)
        self._waiting.append(call)
        return await call.answer

    def _start_flush(self) -> None:
        calls, self._waiting = self._waiting, []
        task = asyncio.get_running_loop().create_task(self._flush(calls))
        self._flushes.add(task)
        task.add_done_callback(self._flushes.discard)

    async def _flush(self, calls: list[_Call]) -> None:
        try:
            answers = await self._send(calls, "EVALSHA")
            unknown = [index for index, answer in enumerate(answers) if isinstance(answer, NoScriptError)]
            if unknown:
                again = await self._send([calls[index] for index in unknown], "EVAL")
                for index, answer in zip(unknown, again, strict=True):
                    answers[index] = answer
        except BaseException as error:  # noqa: BLE001 - whoever waits must hear of it, whatever it is
            answers = [error] * len(calls)
        for call, answer in zip(calls, answers, strict=True):
            if call.answer.done():
                continue
            if isinstance(answer, BaseException):
                call.answer.set_exception(translated(answer, call.script.name))
            else:
                call.answer.set_result(answer)

    async def _send(self, calls: list[_Call], command: str) -> list[Any]:
        async with self._redis.pipeline(transaction=False) as pipeline:
            for call in calls:
                body = call.script.digest if command == "EVALSHA" else call.script.source
                pipeline.execute_command(command, body, 1, call.key, *call.arguments)
            if self._wait_replicas:
                pipeline.execute_command("WAITAOF", 1, self._wait_replicas, 5000)
            answers = await pipeline.execute(raise_on_error=False)
        if self._wait_replicas:
            confirmed = answers.pop()
            if isinstance(confirmed, BaseException) or confirmed[1] < self._wait_replicas:
                msg = "too few replicas confirmed the write"
                raise LedgerUnavailable(msg)
        return list(answers)


def translated(error: BaseException, what: str) -> BaseException:
    """Turn what redis-py raises into our words: nobody answered, or the data contradicts itself."""
    if isinstance(error, LedgerUnavailable | asyncio.CancelledError):
        return error
    if isinstance(error, _OUTAGES) or (isinstance(error, ResponseError) and str(error).startswith(_OUTAGE_WORDS)):
        return LedgerUnavailable(f"{what}: {type(error).__name__}: {error}")
    if isinstance(error, RedisError):
        return LedgerBroken(f"{what}: {error}")
    return error
