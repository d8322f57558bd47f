"""Waits for replicas before a reply is used (`FAREBOX_WAIT_REPLICAS`).

After each batch, all callers wait for a confirmation that enough replicas have everything written so far, by any
client, on disk; so no read or replay is answered before the data it found is safe. One confirmation, on one connection,
serves all waiting callers of a server. Without it in time, it is unknown whether the writes will last, so callers get
an outage; from then on batches are refused before they write, until the replicas confirm again.

The connection is opened before a batch is sent and must be the same when it is confirmed. A new one may reach a
different server: one promoted by a failover, which does not have the batch and has its own replicas. For the same
reason it must lead to the very process that answered the batch.

How many are enough, `gateway.ledger.promotable` says: each replica that a failover could promote.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError

from gateway.errors import ReplicasMissing
from gateway.ledger.promotable import Alone, Promotable
from gateway.redis_link.open_connections import abort, close_idle, server_of

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

    from redis.asyncio import Redis

_CONFIRM_SECONDS = 1.0  # a replica's fsync takes milliseconds; one that needs a second is stuck
_CHECK_SECONDS = 0.1  # to find out whether missing replicas are back, while callers wait to write

# A replica that is asked during a write reports its previous state, and then reports by itself only every second.
# Asking again gets its state at once.
_ASK_AGAIN_MS = 25


class Replicas:
    """Waits for `wanted` replicas of a server, and all that could be promoted; with 0, for nothing."""

    def __init__(self, redis: Redis, wanted: int, promotable: Promotable | None = None) -> None:
        """Until the replicas have confirmed once, nothing is written."""
        self._redis = redis
        self._wanted = wanted
        self._promotable = promotable or Alone()
        self._missing = True
        self._waiting: list[asyncio.Future[None]] = []
        self._confirming: asyncio.Task[None] | None = None
        self._anew = False  # whether a waiting caller has written
        self._written_at: float | None = None  # what was asked for and is not confirmed yet
        self._connection: Any = None
        self._connections = 0
        self._server: str | None = None

    async def ready(self) -> int:
        """The confirming connection's number; ReplicasMissing, before any write, if replicas are still missing."""
        if self._wanted and (self._missing or self._connection is None):
            await self._round(anew=False)
        return self._connections

    async def confirm(self, connection: int, servers: AbstractSet[str | None]) -> None:
        """Return when the replicas have everything written before this call on disk; ReplicasMissing if not in time.

        `connection` is what `ready` returned before the write. `servers` answered it: each must be the one that
        confirms, since a connection that was in use during a failover may still lead to the former master.
        """
        if not self._wanted:
            return
        await self._round(anew=True)
        if connection != self._connections:
            raise ReplicasMissing("the connection was lost, and the server that confirms now may be a different one")
        if servers != {self._server}:
            await close_idle(self._redis.connection_pool)
            raise ReplicasMissing("another server answered than the one that confirms: one of them has been replaced")

    async def abandon(self) -> None:
        """Close the connection, also while it is asked: its server has been replaced."""
        if self._confirming is None or self._confirming.done():
            await self._disconnect()  # nobody else would: who asks closes it by itself
        elif self._connection is not None:
            abort(self._connection)

    async def _round(self, *, anew: bool) -> None:
        waiter = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        self._anew |= anew
        if self._confirming is None or self._confirming.done():
            self._confirming = asyncio.create_task(self._confirm_rounds(), name="confirm")
        await waiter

    async def _confirm_rounds(self) -> None:
        """Ask on behalf of all waiting callers; later ones wait for the next round, which covers their writes."""
        while self._waiting:
            waiting, self._waiting = self._waiting, []
            anew, self._anew = self._anew, False
            error: BaseException | None = None
            try:
                await self._ask(anew=anew)
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

    async def _ask(self, *, anew: bool) -> None:
        """Have what was written so far confirmed; not `anew`: what was asked for last, if that is not confirmed yet.

        Callers who want to write are not kept for longer than _CHECK_SECONDS. A replica that takes longer would never
        be back if each look wrote something new.
        """
        deadline = time.monotonic() + (_CHECK_SECONDS if self._missing else _CONFIRM_SECONDS)
        try:
            if self._connection is not None and not self._connection.is_connected:
                await self._disconnect()
            if self._connection is None:
                self._connection = await self._redis.connection_pool.get_connection()
                self._connections += 1
                self._server = server_of(self._connection)
                await self._promotable.connected(self._send)
            if anew or self._written_at is None:
                self._written_at = time.monotonic()
                # Two round trips on purpose: in one, the replica would respond before it has written the message.
                await self._promotable.write(self._send)
            lacking = await self._until_confirmed(deadline)
            if not lacking:
                self._written_at = None
            elif time.monotonic() >= self._written_at + _CONFIRM_SECONDS:
                await self._disconnect()
        except BaseException as error:
            await self._disconnect()
            if isinstance(error, ResponseError):
                # Such as WAITAOF on a server without an append-only file, or one that has become a replica.
                raise ReplicasMissing(f"the server cannot report what its replicas have confirmed: {error}") from None
            raise
        if lacking:
            raise ReplicasMissing(lacking)

    async def _until_confirmed(self, deadline: float) -> str:
        """What is lacking at the deadline; empty if nothing is."""
        place = getattr(self._connection, "host", ""), getattr(self._connection, "port", 0)  # a socket has none
        while True:
            names = await self._promotable.names(place, self._send)
            needed = max(self._wanted, len(names))
            _, count = await self._send("WAITAOF", 1, needed, _ASK_AGAIN_MS)
            if count >= needed and await self._promotable.have_it(names, self._send):
                return ""
            if time.monotonic() >= deadline:
                return f"{min(count, needed)} of {needed} replicas confirmed the write"

    async def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        self._written_at = None
        if connection is not None:
            await connection.disconnect(nowait=True)
            await self._redis.connection_pool.release(connection)

    async def _send(self, *words: str | int) -> Any:
        """Send on the connection itself, as long as it is the same: it would silently connect again."""
        connection = self._connection
        if not connection.is_connected:
            raise RedisConnectionError("the connection that confirms was closed: its server may have been replaced")
        await connection.send_command(*words)
        return await connection.read_response()
