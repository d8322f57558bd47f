"""Calls to one Redis or a cluster: scripts and plain commands, sent together when they are made together.

Calls made in the same iteration of the event loop share a pipeline; each gets its own reply. A script unknown to the
server (after a restart or a failover) is sent again with its source. The ledger and the queue both use this class, with
their own error translation and confirmation.
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
from gateway.redis_link.in_flight import InFlightLimit
from gateway.redis_link.scripts import Argument, ScriptFolder, sent_whole

if TYPE_CHECKING:
    from redis.asyncio.cluster import RedisCluster

Reply = list[Any]


class Confirmation(Protocol):
    """What every reply of a batch waits for in addition: a confirmation by replicas."""

    async def ready(self) -> int:
        """Before a batch is sent: the number of the connection that will confirm it."""

    async def confirm(self, connection: int, /) -> None:
        """Return when everything written before this call is confirmed."""


@dataclass(slots=True)
class _Call:
    """What to send, its name in errors, and the future of its reply."""

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
        """`translated` converts redis-py's errors, given the name of the call."""
        self._redis = redis
        self._scripts = scripts
        self._translated = translated
        self._confirmation = confirmation
        self._waiting: list[_Call] = []
        self._in_flight = InFlightLimit(self._flush)

    def run(self, name: str, /, *keys: str, **arguments: Argument | None) -> asyncio.Future[Reply]:
        """Run a script with its arguments by name."""
        return self._call(name, self._scripts.command(name, keys, **arguments))

    def command(self, *words: Word) -> asyncio.Future[Any]:
        """Run a plain command, in the same batch and with the same guarantees as scripts."""
        return self._call(str(words[0]), words)

    def _call(self, name: str, command: Command) -> asyncio.Future[Any]:
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Call(name, command, answer))
        self._in_flight.want()
        return answer

    async def _flush(self) -> None:
        calls, self._waiting = self._waiting, []
        answers: list[Any]
        try:
            answers = await self._answers([call.command for call in calls])
        except BaseException as error:  # noqa: BLE001 - every waiting caller must get it, whatever it is
            answers = [error] * len(calls)
        for call, answer in zip(calls, answers, strict=True):
            if call.answer.done():  # its caller was cancelled
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
    """The reply to each command, in one round trip; an error from Redis is a ResponseError among them."""
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
