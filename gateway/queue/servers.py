"""Which Redis has which tool's jobs: the queue's, or the tool's own (`FAREBOX_QUEUE_URL_<TOOL>`).

Only a tool's jobs, its workers' heartbeats and its waiting times are there. What tools share stays on the queue's
Redis: providers' slots and breakers, notices, caretakers' heartbeats and the samples.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping

from redis.asyncio import Redis

from gateway.errors import QueueUnavailable
from gateway.queue.redis_calls import execute
from gateway.queue.variables import OF_A_TOOL, name_in_variables
from gateway.redis_link.connections import connect_queue


class QueueServers:
    """The clients of these servers. `shared` is the queue's own."""

    def __init__(self, shared: Redis, of_tools: Mapping[str, Redis] | None = None) -> None:
        """`of_tools`: by the tools' names as in variables."""
        self.shared = shared
        self._of_tools = of_tools or {}

    @classmethod
    def connect(cls, url: str, urls: Mapping[str, str]) -> QueueServers:
        """Clients that connect at first use. SettingsError names the variable of a wrong address."""
        of_tools = {name: connect_queue(of_tool, setting=OF_A_TOOL + name) for name, of_tool in urls.items()}
        return cls(connect_queue(url), of_tools)

    @property
    def all(self) -> list[Redis]:
        """Every server, the shared one first."""
        return [self.shared, *self._of_tools.values()]

    def of(self, tool: str) -> Redis:
        """The server with the jobs of a tool."""
        return self._of_tools.get(name_in_variables(tool), self.shared)

    def sharing(self, tools: Iterable[str]) -> list[tuple[Redis, list[str]]]:
        """The tools, those on one server together."""
        found: defaultdict[Redis, list[str]] = defaultdict(list)
        for tool in tools:
            found[self.of(tool)].append(tool)
        return list(found.items())

    async def problems(self) -> list[str]:
        """The servers that do not respond, for operators."""
        names = ["the queue's Redis", *(f"the Redis of {OF_A_TOOL}{name}" for name in self._of_tools)]
        answers = await asyncio.gather(*(_responds(server) for server in self.all))
        return [
            f"{name} is not responding: work is accepted and starts when it is back"
            for name, responds in zip(names, answers, strict=True)
            if not responds
        ]

    async def aclose(self) -> None:
        """Close all connections."""
        await asyncio.gather(*(server.aclose() for server in self.all))


async def _responds(server: Redis) -> bool:
    try:
        await execute(server, ("PING",))
    except QueueUnavailable:
        return False
    return True
