"""Calls to one Redis or a cluster: scripts and plain commands, sent together when they are made together.

Calls made in the same iteration of the event loop share pipelines to their server; each gets its own reply. Only those
made by one `commands` run in their order. The ledger and the queue both use this class, with their own error
translation and confirmation.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Self

from redis.asyncio import Redis

from gateway.redis_link.batches import Command, Word
from gateway.redis_link.cluster import Cluster
from gateway.redis_link.connections import LedgerCluster, newer_master
from gateway.redis_link.lane import Call, Confirmation, Lane
from gateway.redis_link.scripts import Argument, ScriptFolder

Reply = list[Any]
Confirming = Callable[[Redis, Cluster | None], Confirmation]
"""Makes the confirmation of a server, which is a node of the cluster, if there is one."""


class Calls:
    """Runs the scripts of one folder, and plain commands."""

    def __init__(
        self,
        redis: Redis | LedgerCluster,
        scripts: ScriptFolder,
        translated: Callable[[BaseException, str], BaseException],
        *,
        confirming: Confirming | None = None,
        guard: Callable[[str], str | None] | None = None,
    ) -> None:
        """`translated` converts redis-py's errors, given the name of the call.

        `guard` names a key that never exists in the slot of a script's key, if the script uses more keys than that. On
        a cluster it is passed to the script: while the keys of its slot are being moved, Redis then refuses the script
        as a whole (TRYAGAIN), instead of stopping it in the middle, at the first key that is not there any more.
        """
        self._scripts = scripts
        self.translated = translated
        self._guard = guard if isinstance(redis, LedgerCluster) else None
        self._server: Lane | Cluster
        if isinstance(redis, LedgerCluster):
            self._server = Cluster(redis, self._finish, confirming)
        else:
            confirmation = confirming(redis, None) if confirming else None
            self._server = Lane(redis, self._finish, confirmation=confirmation, late=newer_master(redis))

    def sharing(self, translated: Callable[[BaseException, str], BaseException]) -> Self:
        """The same server and the same batches, for callers that expect other errors."""
        other = copy.copy(self)
        other.translated = translated
        return other

    def run(self, name: str, /, *keys: str, **arguments: Argument | None) -> asyncio.Future[Reply]:
        """Run a script with its arguments by name."""
        if self._guard is not None and (never := self._guard(keys[0])) is not None:
            keys = (*keys, never)
        return self._call([(name, self._scripts.command(name, keys, **arguments))])[0]

    def command(self, *words: Word) -> asyncio.Future[Any]:
        """Run a plain command, in the same batch and with the same guarantees as scripts."""
        return self._call([(str(words[0]), words)])[0]

    def commands(self, commands: Iterable[Command]) -> list[asyncio.Future[Any]]:
        """The same for several that run in this order, one after the other, if they are for the same server."""
        return self._call([(str(words[0]), words) for words in commands])

    async def servers(self) -> Sequence[Any]:
        """Every server that holds a part of the data: the one, or all masters of the cluster."""
        if isinstance(self._server, Cluster):
            return await self._server.masters()
        return [self._server.redis]

    async def server_of(self, key: str) -> Any:
        """The server that has a key."""
        return self._server.redis if isinstance(self._server, Lane) else await self._server.master_of(key)

    async def aclose(self) -> None:
        """Close the connections to the nodes of a cluster; a single server's belong to whoever made its client."""
        if isinstance(self._server, Cluster):
            await self._server.aclose()

    def _call(self, commands: Sequence[tuple[str, Command]]) -> list[asyncio.Future[Any]]:
        loop = asyncio.get_running_loop()
        calls = [Call(name, command, loop.create_future(), self.translated) for name, command in commands]
        self._server.submit(*calls)
        return [call.answer for call in calls]

    @staticmethod
    def _finish(call: Call, answer: Any) -> None:
        if isinstance(answer, BaseException):
            call.answer.set_exception(call.translated(answer, call.name))
        else:
            call.answer.set_result(answer)
