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

from gateway.redis_link.connections import server_of

Word = str | bytes | int | float
Command = tuple[Word, ...]


async def send(redis: Redis, commands: Sequence[Command], servers: set[str | None] | None = None) -> list[Any]:
    """Send commands; returns the reply to each. An error from Redis is returned as a ResponseError.

    `servers` gets the id of the process that answered.

    Raises redis-py's errors if Redis is unavailable; any of the commands may have run then, and after a lost connection
    they were sent again.
    """
    packed = b"".join(pack_command(command) for command in commands)  # type: ignore[arg-type]  # it knows 1 word only
    connection = await redis.connection_pool.get_connection()
    try:
        answers = await connection.retry.call_with_retry(
            lambda: _exchange(connection, packed, len(commands)), lambda _: connection.disconnect()
        )
        if servers is not None:
            servers.add(server_of(connection))
    finally:
        await redis.connection_pool.release(connection)
    return [_read(redis, command, answer) for command, answer in zip(commands, answers, strict=True)]


async def _exchange(connection: AbstractConnection, packed: bytes, count: int) -> list[Any]:
    await connection.connect()  # type: ignore[no-untyped-call]  # redis-py leaves it untyped
    # The connection's own timeout is per reply, and costs a task and as many timers.
    limit, connection.socket_timeout = connection.socket_timeout, None
    try:
        async with asyncio.timeout(limit):
            await connection.send_packed_command(packed)
            return [await _answer(connection) for _ in range(count)]
    except TimeoutError:
        raise RedisTimeoutError(f"no answer to {count} commands within {limit:g} seconds") from None
    finally:
        connection.socket_timeout = limit


async def _answer(connection: AbstractConnection) -> Any:
    try:
        return await connection.read_response()
    except ResponseError as error:
        return error


def _read(redis: Redis, command: Command, answer: Any) -> Any:
    """The reply in redis-py's form: a hash as a dict, OK as True."""
    read = redis.response_callbacks.get(str(command[0]))
    return answer if read is None or isinstance(answer, ResponseError) else read(answer)
