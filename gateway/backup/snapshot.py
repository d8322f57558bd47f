"""A consistent copy of a Redis: the snapshot that it sends to a new replica, requested as `redis-cli --rdb` does.

With `REPLCONF rdb-only` the server ends the exchange after the snapshot, does not count us as a replica, and keeps no
backlog for us.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import RedisError

from gateway.errors import BackupFailed

_SILENCE_SECONDS = 60.0  # a server sends a line break every ten seconds while it creates the snapshot
_CHUNK_BYTES = 256 * 1024
_MARK_BYTES = 40
_END = b"$EOF:"

Write = Callable[[bytes], None]


async def copy_snapshot(redis: Redis, write: Write) -> None:
    """Pass the server's snapshot (RDB) to `write`, in pieces. It contains everything acknowledged before.

    BackupFailed if the server does not respond, or does not send snapshots.
    """
    pool = redis.connection_pool
    # A separate connection, created by the pool, which knows about TLS, passwords, Sentinel and sockets.
    kind: Any = type("SnapshotConnection", (_SnapshotConnection, pool.connection_class), {})
    connection: _SnapshotConnection = kind(**pool.connection_kwargs)
    try:
        await connection.snapshot(write)
    except (RedisError, OSError, EOFError) as error:
        raise BackupFailed(f"the ledger's Redis did not send a snapshot: {type(error).__name__}: {error}") from None
    finally:
        await connection.disconnect(nowait=True)


class _SnapshotConnection(AbstractConnection):
    """A connection that reads the raw stream of a replica."""

    async def snapshot(self, write: Write) -> None:
        await self.connect()  # type: ignore[no-untyped-call]  # redis-py 5 has no types here
        for words in (("REPLCONF", "rdb-only", "1"), ("REPLCONF", "capa", "eof")):
            await self.send_command(*words)
            await self.read_response()
        await self.send_command("SYNC")
        reader = self._reader
        if reader is None:
            raise EOFError("the connection is closed")
        head = b""
        while not head:  # line breaks only mean that it is still working
            head = (await _in_time(reader.readline())).strip()
            if reader.at_eof():
                raise EOFError("the connection was closed before the snapshot")
        if not head.startswith(b"$"):
            raise BackupFailed(
                f"this Redis does not send snapshots (SYNC): {head.decode(errors='replace')}. Back up the ledger with "
                "its own tools, and everything else with `farebox backup --without-ledger`"
            )
        if head.startswith(_END):
            await _until_mark(reader, head.removeprefix(_END), write)
        else:
            await _so_many(reader, int(head[1:]), write)


async def _so_many(reader: asyncio.StreamReader, size: int, write: Write) -> None:
    while size:
        piece = await _piece(reader, min(size, _CHUNK_BYTES))
        size -= len(piece)
        write(piece)


async def _until_mark(reader: asyncio.StreamReader, mark: bytes, write: Write) -> None:
    """Read a snapshot of unknown size, which ends with 40 bytes announced before it."""
    held = b""
    while not held.endswith(mark):
        held += await _piece(reader, _CHUNK_BYTES)
        if len(held) > _MARK_BYTES:
            write(held[:-_MARK_BYTES])
            held = held[-_MARK_BYTES:]


async def _piece(reader: asyncio.StreamReader, most: int) -> bytes:
    piece = await _in_time(reader.read(most))
    if not piece:
        raise EOFError("the connection was closed during the snapshot")
    return piece


async def _in_time(reading: Any) -> bytes:
    got: bytes = await asyncio.wait_for(reading, _SILENCE_SECONDS)
    return got
