"""Calls to one Redis or a cluster: scripts and plain commands, sent together when they are made together.

Concurrent calls of one turn of the event loop travel in one pipeline; each keeps its own answer. A script that the
server does not know (after a restart or a failover) is sent again, whole. The ledger's calls and the queue's are of one
class; what they are translated to when nobody answers, and what an answer waits for, they say themselves.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from redis.asyncio import Redis
from redis.exceptions import NoScriptError

from gateway.redis_link import batches
from gateway.redis_link.batches import Command, Word
from gateway.redis_link.scripts import Argument, ScriptFolder, sent_whole
from gateway.redis_link.turns import Turns

if TYPE_CHECKING:
    from redis.asyncio.cluster import RedisCluster

Reply = list[Any]


class Confirmation(Protocol):
    """What every answer of a batch waits for besides the server's own."""

    async def ready(self) -> int:
        """Before a batch is sent: which connection will confirm it."""

    async def confirm(self, connection: int, /) -> None:
        """Return when all that was written before this call is confirmed."""


@dataclass(slots=True)
class _Call:
    """What to send, its name in errors, and who waits for its answer."""

    name: str
    command: Command
    answer: asyncio.Future[Any]


class Calls:
    """Runs the scripts of one folder, and plain commands."""

    def __init__(
        self,
        redis: Redis | RedisCluster,
        scripts: ScriptFolder,
        translated: Callable[[BaseException, str], BaseException],
        *,
        confirmation: Confirmation | None = None,
    ) -> None:
        """`translated` turns what redis-py raises into our words, given what was called."""
        self._redis = redis
        self._scripts = scripts
        self._translated = translated
        self._confirmation = confirmation
        self._waiting: list[_Call] = []
        self._turns = Turns(self._flush)

    def run(self, name: str, /, *keys: str, **arguments: Argument | None) -> asyncio.Future[Reply]:
        """Run a script with its arguments by name."""
        return self._call(name, self._scripts.command(name, keys, **arguments))

    def command(self, *words: Word) -> asyncio.Future[Any]:
        """Run a plain command, in the same batch and under the same promise as scripts."""
        return self._call(str(words[0]), words)

    def _call(self, name: str, command: Command) -> asyncio.Future[Any]:
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Call(name, command, answer))
        self._turns.want()
        return answer

    async def _flush(self) -> None:
        calls, self._waiting = self._waiting, []
        answers: list[Any]
        try:
            answers = await self._answers([call.command for call in calls])
        except BaseException as error:  # noqa: BLE001 - whoever waits must hear of it, whatever it is
            answers = [error] * len(calls)
        for call, answer in zip(calls, answers, strict=True):
            if call.answer.done():  # nobody waits for it any more
                continue
            if isinstance(answer, BaseException):
                call.answer.set_exception(self._translated(answer, call.name))
            else:
                call.answer.set_result(answer)

    async def _answers(self, commands: Sequence[Command]) -> list[Any]:
        if self._confirmation is None:
            return await exchange(self._redis, commands)
        connection = await self._confirmation.ready()
        answers = await exchange(self._redis, commands)
        await self._confirmation.confirm(connection)
        return answers


async def exchange(redis: Redis | RedisCluster, commands: Sequence[Command]) -> list[Any]:
    """What each command was answered, in one round trip; a refusal of Redis is a ResponseError among the answers."""
    answers = await _send(redis, commands)
    unknown = [index for index, answer in enumerate(answers) if isinstance(answer, NoScriptError)]
    if unknown:
        again = await _send(redis, [sent_whole(commands[index]) for index in unknown])
        for index, answer in zip(unknown, again, strict=True):
            answers[index] = answer
    return answers


async def _send(redis: Redis | RedisCluster, commands: Sequence[Command]) -> list[Any]:
    if isinstance(redis, Redis):
        return await batches.send(redis, commands)
    async with redis.pipeline(transaction=False) as pipeline:
        for command in commands:
            pipeline.execute_command(*command)
        return list(await pipeline.execute(raise_on_error=False))
