"""What redis-py's pools do not offer: to close connections that are in use, and to write to an open one at once."""

from __future__ import annotations

import contextlib
from typing import Any

from redis.asyncio import ConnectionPool
from redis.asyncio.connection import AbstractConnection


async def abandon(pool: ConnectionPool) -> None:
    """Close all connections to a server that has been replaced; whoever waits for an answer gets a ConnectionError.

    redis-py's own `disconnect` takes the streams away from those who are about to use them.
    """
    in_use: Any = pool._in_use_connections  # noqa: SLF001 - redis-py tells nobody which these are
    for connection in list(in_use):
        abort(connection)
    await close_idle(pool)


async def close_idle(pool: ConnectionPool) -> None:
    """Close the connections that nobody uses.

    redis-py's own `disconnect` waits for the end of each, and the pool hands it out meanwhile: it was taken from under
    whoever had it by then.
    """
    idle: Any = pool._available_connections  # noqa: SLF001 - as above
    for connection in list(idle):
        await connection.disconnect(nowait=True)  # done before anybody else has a turn


def abort(connection: AbstractConnection) -> None:
    """Close a connection at once, also while somebody waits for its answer."""
    writer = connection._writer  # noqa: SLF001 - as above
    if writer is not None:
        writer.transport.abort()


def has_idle(pool: ConnectionPool) -> bool:
    """Whether `take_idle` has a connection."""
    idle: Any = pool._available_connections  # noqa: SLF001 - as above
    return bool(idle) and _is_ready(idle[-1]) and leads_to_master(pool, idle[-1])


def take_idle(pool: ConnectionPool) -> AbstractConnection:
    """Take a connection from the pool that can be written to at once, if there is one; it must be released."""
    connection: AbstractConnection = pool.get_available_connection()  # type: ignore[no-untyped-call]
    return connection


def write_at_once(connection: AbstractConnection, data: bytes) -> None:
    """Write before the event loop goes on; uvloop would write when all else of its turn is done.

    A connection that was lost meanwhile says so to whoever reads from it.
    """
    transport: Any = connection._writer.transport  # type: ignore[union-attr]  # noqa: SLF001 - as above
    transport.set_write_buffer_limits(high=0)
    with contextlib.suppress(RuntimeError):  # `is_closed_transport`
        transport.write(data)


def _is_ready(connection: AbstractConnection) -> bool:
    """As the pool looks at a connection before it hands one out: open, and nothing in it to be read."""
    reader: Any = connection._reader  # noqa: SLF001 - as above
    writer = connection._writer  # noqa: SLF001 - as above
    if reader is None or writer is None or writer.is_closing():
        return False
    return not (reader.at_eof() or reader._buffer or reader.exception())  # noqa: SLF001 - as above


def leads_to_master(pool: ConnectionPool, connection: AbstractConnection) -> bool:
    """Whether it does, as far as the pool knows; without Sentinels there is no other."""
    place = getattr(connection, "host", None), getattr(connection, "port", None)
    return getattr(pool, "master_address", None) in {None, place}


def server_of(connection: AbstractConnection) -> str | None:
    """Which process a connection leads to; None if it does not say."""
    return getattr(connection, "run_id", None)
