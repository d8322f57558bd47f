"""Lua scripts: composed from their includes, called by digest, sent together when called together.

Concurrent calls of one event-loop turn travel in one pipeline; each keeps its own answer. A script that the server
does not know (after a restart or a failover) is loaded and called again. Plain commands that acknowledge something go
the same way, so that one promise covers all.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from redis.asyncio import Redis
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

from gateway.errors import LedgerBroken, LedgerFull, LedgerUnavailable
from gateway.ledger.replicas import Replicas
from gateway.redis_link import batches
from gateway.redis_link.connections import is_closed_transport
from gateway.redis_link.turns import Turns

if TYPE_CHECKING:
    from collections.abc import Mapping

    from redis.asyncio.cluster import RedisCluster

LUA = files("gateway.ledger").joinpath("lua")
_INCLUDE = re.compile(r"^--- @include (.+)$", re.MULTILINE)
_ARGUMENTS = re.compile(r"^local\s([\w\s,]+)= unpack\(ARGV\)", re.MULTILINE)
_REMARK = re.compile(r"--[^\n]*")

Argument = str | int
Reply = list[Any]

_OUTAGES = (
    RedisConnectionError,
    RedisTimeoutError,
    ClusterDownError,
    MasterDownError,
    ReadOnlyError,
    OSError,
)
_OUTAGE_WORDS = ("LOADING ", "CLUSTERDOWN", "MASTERDOWN", "READONLY", "MISCONF", "TRYAGAIN", "NOREPLICAS")


@dataclass(frozen=True, slots=True)
class Script:
    """A composed script, the digest that Redis knows it by, and its arguments as its first line of code names them."""

    name: str
    source: str
    digest: str
    arguments: tuple[str, ...]

    def in_order(self, given: Mapping[str, Argument | None]) -> list[Argument]:
        """The arguments in the script's order. What is None is sent as ""; True and False as 1 and 0."""
        if len(given) != len(self.arguments) or not all(name in given for name in self.arguments):
            msg = f"{self.name}.lua takes {', '.join(self.arguments)}; it was given {', '.join(given)}"
            raise TypeError(msg)
        return [_sent(given[name]) for name in self.arguments]


def _sent(value: Argument | None) -> Argument:
    if value is None:
        return ""
    return int(value) if isinstance(value, bool) else value


def compose(text: str) -> str:
    """A script with its libraries in the place of its includes: each once, and what a library includes before it."""
    included: set[str] = set()

    def libraries(include: re.Match[str]) -> str:
        names: list[str] = re.findall(r'"([^"]+)"', include[1])
        return "\n".join(library(name) for name in names if name not in included)

    def library(name: str) -> str:
        included.add(name)
        return _INCLUDE.sub(libraries, LUA.joinpath(f"{name}.lua").read_text())

    return _INCLUDE.sub(libraries, text)


@cache
def load(name: str) -> Script:
    """`lua/<name>.lua` with its libraries below its head comment."""
    text = LUA.joinpath(f"{name}.lua").read_text()
    source = compose(text)
    digest = hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()  # Redis names scripts so
    return Script(name, source, digest, arguments_of(text))


def arguments_of(text: str) -> tuple[str, ...]:
    """The names that a script gives to its arguments, in order: `local attempt, operation = unpack(ARGV)`."""
    named = _ARGUMENTS.search(_REMARK.sub("", text))
    return tuple(re.findall(r"\w+", named[1])) if named else ()


@dataclass(slots=True)
class _Call:
    """What to send, and who waits for its answer. `script`: what EVALSHA names, to be sent whole if it is not known."""

    what: str
    words: tuple[Argument, ...]
    answer: asyncio.Future[Any]
    script: Script | None = None

    def sent_whole(self) -> _Call:
        """The same call for a server that does not know its script."""
        assert self.script is not None, "only a script can be unknown"  # noqa: S101 - for the type checker
        return replace(self, words=("EVAL", self.script.source, *self.words[2:]))


class Scripts:
    """Runs scripts and plain commands against one Redis or a cluster."""

    def __init__(self, redis: Redis | RedisCluster, *, wait_replicas: int = 0) -> None:
        """Use `redis`; with `wait_replicas`, an answer waits until so many replicas have it on disk."""
        self.replicas = Replicas(redis, wait_replicas)
        self._redis = redis
        self._waiting: list[_Call] = []
        self._turns = Turns(self._flush)

    def run(self, name: str, key: str, /, **arguments: Argument | None) -> asyncio.Future[Reply]:
        """Run a script with one key and its arguments by name, whose order the script itself says.

        LedgerUnavailable if nobody answers, LedgerBroken if it found a contradiction.
        """
        script = load(name)
        return self._answer(name, ("EVALSHA", script.digest, 1, key, *script.in_order(arguments)), script)

    def command(self, *words: Argument) -> asyncio.Future[Any]:
        """Run a plain command with one key, in the same batch and under the same promise as scripts."""
        return self._answer(str(words[0]), words)

    def _answer(self, what: str, words: tuple[Argument, ...], script: Script | None = None) -> asyncio.Future[Any]:
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Call(what, words, answer, script))
        self._turns.want()
        return answer

    async def _flush(self) -> None:
        calls, self._waiting = self._waiting, []
        answers: list[Any]
        try:
            confirms = await self.replicas.ready()
            answers = await self._send(calls)
            unknown = [index for index, answer in enumerate(answers) if isinstance(answer, NoScriptError)]
            if unknown:
                again = await self._send([calls[index].sent_whole() for index in unknown])
                for index, answer in zip(unknown, again, strict=True):
                    answers[index] = answer
            await self.replicas.confirm(confirms)
        except BaseException as error:  # noqa: BLE001 - whoever waits must hear of it, whatever it is
            answers = [error] * len(calls)
        for call, answer in zip(calls, answers, strict=True):
            if call.answer.done():
                continue
            if isinstance(answer, BaseException):
                call.answer.set_exception(translated(answer, call.what))
            else:
                call.answer.set_result(answer)

    async def _send(self, calls: list[_Call]) -> list[Any]:
        if isinstance(self._redis, Redis):
            return await batches.send(self._redis, [call.words for call in calls])
        async with self._redis.pipeline(transaction=False) as pipeline:
            for call in calls:
                pipeline.execute_command(*call.words)
            return list(await pipeline.execute(raise_on_error=False))


def translated(error: BaseException, what: str) -> BaseException:
    """Turn what redis-py raises into our words: nobody answered, or the data contradicts itself."""
    if isinstance(error, LedgerUnavailable | asyncio.CancelledError):
        return error
    if isinstance(error, OutOfMemoryError) or (isinstance(error, ResponseError) and str(error).startswith("OOM ")):
        return LedgerFull(f"{what}: {error}")
    outage_words = isinstance(error, ResponseError) and str(error).startswith(_OUTAGE_WORDS)
    if isinstance(error, _OUTAGES) or outage_words or is_closed_transport(error):
        return LedgerUnavailable(f"{what}: {type(error).__name__}: {error}")
    if isinstance(error, RedisError):
        return LedgerBroken(f"{what}: {error}")
    return error
