"""Pipelines to one Redis server, used by the ledger's scripts and the queue.

redis-py's pipelines do the same, but encode arguments in Python one by one (19 µs for one `reserve`) and use one timer
per reply. hiredis, which parses the replies anyway, encodes them in 2 µs, and one timer serves the batch. Connections,
retries and exceptions are redis-py's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from hiredis import pack_command
from redis.asyncio import Redis
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from gateway.redis_link.open_connections import has_idle, server_of, take_idle, write_at_once

Word = str | bytes | int | float
Command = tuple[Word, ...]


async def taken(redis: Redis, commands: Sequence[Command]) -> Batch:
    """A batch with a connection, not written yet. Raises redis-py's errors if Redis is unavailable."""
    packed = _packed(commands)
    return Batch(redis, await redis.connection_pool.get_connection(), commands, packed)


def write(redis: Redis, commands: Sequence[Command]) -> Batch | None:
    """Write a batch before the event loop goes on, to a connection that is open and idle; None if none is.

    Whoever gets it must wait for its replies: they return the connection.
    """
    if not has_idle(redis.connection_pool):
        return None
    packed = _packed(commands)
    batch = Batch(redis, take_idle(redis.connection_pool), commands, packed)
    batch.write()
    return batch


class Batch:
    """Commands for a connection that was taken from the pool, and goes back there with the last reply."""

    def __init__(
        self, redis: Redis, connection: AbstractConnection, commands: Sequence[Command], packed: bytes
    ) -> None:
        self._redis = redis
        self._connection = connection
        self._commands = commands
        self._packed = packed
        self._written = False

    def write(self) -> None:
        """Write the commands at once."""
        write_at_once(self._connection, self._packed)
        self._written = True

    async def replies(self, servers: set[str | None] | None = None) -> list[Any]:
        """The reply to each command. An error from Redis is returned as a ResponseError.

        `servers` gets the id of the process that answered.

        Raises redis-py's errors if Redis is unavailable; any of the commands may have run then, and after a lost
        connection they were sent again.
        """
        connection = self._connection
        try:
            answers = await connection.retry.call_with_retry(self._exchange, lambda _: connection.disconnect())
            if servers is not None:
                servers.add(server_of(connection))
        finally:
            await self._redis.connection_pool.release(connection)
        return [_read(self._redis, command, answer) for command, answer in zip(self._commands, answers, strict=True)]

    async def _exchange(self) -> list[Any]:
        connection, count = self._connection, len(self._commands)
        self._written &= connection.is_connected  # else it was closed meanwhile
        await connection.connect()  # type: ignore[no-untyped-call]  # redis-py leaves it untyped
        # The connection's own timeout is per reply, and costs a task and as many timers.
        limit, connection.socket_timeout = connection.socket_timeout, None
        try:
            async with asyncio.timeout(limit):
                if not self._written:
                    await connection.send_packed_command(self._packed)
                self._written = False  # if the connection is lost, they are sent again
                return [await _answer(connection) for _ in range(count)]
        except TimeoutError:
            raise RedisTimeoutError(f"no answer to {count} commands within {limit:g} seconds") from None
        finally:
            connection.socket_timeout = limit


def _packed(commands: Sequence[Command]) -> bytes:
    return b"".join(pack_command(command) for command in commands)  # type: ignore[arg-type]  # it knows 1 word only


async def _answer(connection: AbstractConnection) -> Any:
    try:
        return await connection.read_response()
    except ResponseError as error:
        return error


def _read(redis: Redis, command: Command, answer: Any) -> Any:
    """The reply in redis-py's form: a hash as a dict, OK as True."""
    read = redis.response_callbacks.get(str(command[0]))
    return answer if read is None or isinstance(answer, ResponseError) else read(answer)
