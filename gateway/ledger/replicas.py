"""What an answer waits for besides the server's own disk: that of its replicas (`FAREBOX_WAIT_REPLICAS`).

After each batch everyone waits for the next confirmation: that so many replicas have everything written so far on
disk, by whomever; so a read, or a replay, is not answered either before what it found is safe. One confirmation serves
all who wait for it, on one connection. When it does not come in time nobody knows whether what was written will last,
so it is answered as an outage; from then on batches are refused before they write, until the replicas confirm again.

The connection is opened before a batch is sent and must be the same when it is confirmed. A new one may lead to
another server: to the one that a failover promoted, which knows nothing of the batch and has replicas of its own.
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

# A replica that is asked while it writes says what it had before, and speaks up by itself only every second. Asking
# again is how it is heard at once.
_ASK_AGAIN_MS = 25

_CHANNEL = "farebox:confirm"
"""Nobody listens. WAITAOF waits for what its own connection wrote last, and a message counts as written for replicas:
so a connection that sends one waits for everything before it, and leaves nothing behind."""


class Replicas:
    """So many replicas of a single server, or with `wanted` 0 nothing to wait for."""

    def __init__(self, redis: Redis | RedisCluster, wanted: int) -> None:
        """Nothing is written before the replicas have confirmed once."""
        self._redis: Any = redis
        self._wanted = wanted
        self._missing = True
        self._waiting: list[asyncio.Future[None]] = []
        self._confirming: asyncio.Task[None] | None = None
        self._connection: Any = None
        self._connections = 0

    async def ready(self) -> int:
        """Which connection will confirm; ReplicasMissing, before anything is written, if they were and are missing."""
        if self._wanted and self._missing:
            await self._round()
        return self._connections

    async def confirm(self, connection: int) -> None:
        """Return when the replicas have all that was written before this call on disk; ReplicasMissing if not soon.

        `connection` is what `ready` said before it was written.
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
        """Ask for all who wait; who comes meanwhile waits for the next round, which covers what they wrote."""
        while self._waiting:
            waiting, self._waiting = self._waiting, []
            error: BaseException | None = None
            try:
                await self._ask()
            except BaseException as raised:  # noqa: BLE001 - whoever waits must hear of it, whatever it is
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
            # Two round trips on purpose: asked in one, the replica answers before it has written the message.
            await self._tell("PUBLISH", _CHANNEL, "")
            await self._until_confirmed(deadline)
        except BaseException as error:
            await self._disconnect()
            if isinstance(error, ResponseError):
                # Such as WAITAOF on a server without an append-only file, or one that is a replica itself by now.
                raise ReplicasMissing(f"the server cannot report what its replicas have confirmed: {error}") from None
            raise

    async def _until_confirmed(self, deadline: float) -> None:
        while True:
            _, count = await self._tell("WAITAOF", 1, self._wanted, _ASK_AGAIN_MS)
            if count >= self._wanted:
                return
            if time.monotonic() >= deadline:
                raise ReplicasMissing(f"{count} of {self._wanted} replicas confirmed the write")

    async def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.disconnect(nowait=True)
            await self._redis.connection_pool.release(connection)

    async def _tell(self, *words: str | int) -> Any:
        """Ask on the connection itself: a client would connect anew by itself, and say nothing of it."""
        await self._connection.send_command(*words)
        return await self._connection.read_response()
