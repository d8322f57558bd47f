"""Waits for replicas before a reply is used (`FAREBOX_WAIT_REPLICAS`).

After each batch, all callers wait for a confirmation that enough replicas have everything written so far, by any
client, on disk; so no read or replay is answered before the data it found is safe. One confirmation, on one connection,
serves all waiting callers. Without it in time, it is unknown whether the writes will last, so callers get an
outage; from then on batches are refused before they write, until the replicas confirm again.

The connection is opened before a batch is sent and must be the same when it is confirmed. A new one may reach a
different server: one promoted by a failover, which does not have the batch and has its own replicas.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from redis.exceptions import ResponseError

from gateway.errors import ReplicasMissing

if TYPE_CHECKING:
    from redis.asyncio import Redis
    from redis.asyncio.cluster import RedisCluster

_CONFIRM_SECONDS = 1.0  # a replica's fsync takes milliseconds; one that needs a second is stuck
_CHECK_SECONDS = 0.1  # to find out whether missing replicas are back, while callers wait to write

# A replica that is asked during a write reports its previous state, and then reports by itself only every second.
# Asking again gets its state at once.
_ASK_AGAIN_MS = 25

_CHANNEL = "farebox:confirm"
"""A channel without subscribers. WAITAOF waits for the last write of its connection, and a message counts as one: so a
connection that publishes waits for everything before it, and stores nothing."""


class Replicas:
    """Waits for `wanted` replicas of a single server; with 0, for nothing."""

    def __init__(self, redis: Redis | RedisCluster, wanted: int) -> None:
        """Until the replicas have confirmed once, nothing is written."""
        self._redis: Any = redis
        self._wanted = wanted
        self._missing = True
        self._waiting: list[asyncio.Future[None]] = []
        self._confirming: asyncio.Task[None] | None = None
        self._connection: Any = None
        self._connections = 0

    async def ready(self) -> int:
        """The confirming connection's number; ReplicasMissing, before any write, if replicas are still missing."""
        if self._wanted and self._missing:
            await self._round()
        return self._connections

    async def confirm(self, connection: int) -> None:
        """Return when the replicas have everything written before this call on disk; ReplicasMissing if not in time.

        `connection` is what `ready` returned before the write.
        """
        if not self._wanted:
            return
        await self._round()
        if connection != self._connections:
            raise ReplicasMissing("the connection was lost, and the server that confirms now may be a different one")

    async def _round(self) -> None:
        waiter = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        if self._confirming is None or self._confirming.done():
            self._confirming = asyncio.create_task(self._confirm_rounds(), name="confirm")
        await waiter

    async def _confirm_rounds(self) -> None:
        """Ask on behalf of all waiting callers; later ones wait for the next round, which covers their writes."""
        while self._waiting:
            waiting, self._waiting = self._waiting, []
            error: BaseException | None = None
            try:
                await self._ask()
            except BaseException as raised:  # noqa: BLE001 - every waiting caller must get it, whatever it is
                error = raised
            self._missing = error is not None
            for waiter in waiting:
                if waiter.done():
                    continue
                if error is None:
                    waiter.set_result(None)
                else:
                    waiter.set_exception(error)

    async def _ask(self) -> None:
        deadline = time.monotonic() + (_CHECK_SECONDS if self._missing else _CONFIRM_SECONDS)
        try:
            if self._connection is None:
                self._connection = await self._redis.connection_pool.get_connection()
                self._connections += 1
            # Two round trips on purpose: in one, the replica would respond before it has written the message.
            await self._send("PUBLISH", _CHANNEL, "")
            await self._until_confirmed(deadline)
        except BaseException as error:
            await self._disconnect()
            if isinstance(error, ResponseError):
                # Such as WAITAOF on a server without an append-only file, or one that has become a replica.
                raise ReplicasMissing(f"the server cannot report what its replicas have confirmed: {error}") from None
            raise

    async def _until_confirmed(self, deadline: float) -> None:
        while True:
            _, count = await self._send("WAITAOF", 1, self._wanted, _ASK_AGAIN_MS)
            if count >= self._wanted:
                return
            if time.monotonic() >= deadline:
                raise ReplicasMissing(f"{count} of {self._wanted} replicas confirmed the write")

    async def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.disconnect(nowait=True)
            await self._redis.connection_pool.release(connection)

    async def _send(self, *words: str | int) -> Any:
        """Send on the connection itself: a client would silently reconnect."""
        await self._connection.send_command(*words)
        return await self._connection.read_response()
