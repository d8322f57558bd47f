"""What both topologies have: Redis servers on machines of their own, durable, which a fault may do anything to."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from redis.asyncio import Redis
from redis.exceptions import RedisError

from chaos.failovers.network import Machine, Network
from gateway.local.embedded import durable_arguments, find_redis

CHECK_SECONDS = 0.05
_ANSWER_SECONDS = 0.3
_PATIENCE_SECONDS = 120
_PR_SET_PDEATHSIG = 1


@dataclass(slots=True)
class Server:
    """One process: a Redis, or a Sentinel."""

    machine: Machine
    directory: Path
    port: int
    arguments: list[str]
    process: subprocess.Popen[bytes] | None = None
    _client: Redis | None = field(default=None, repr=False)

    @property
    def address(self) -> str:
        """Host and port."""
        return f"{self.machine.address}:{self.port}"

    def start(self, *more: str) -> None:
        """Start it; its files are what it left."""
        self.directory.mkdir(parents=True, exist_ok=True)
        words = [str(find_redis().path), *self.arguments, *more]
        self.process = subprocess.Popen(
            self.machine.command(*words),
            stdout=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=_die_with_parent,  # noqa: PLW1509 - one call
        )

    def kill(self) -> None:
        """`kill -9`."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    async def shut_down(self) -> None:
        """SIGTERM, and wait until it has ended: a master waits for its replicas first."""
        self._send(signal.SIGTERM)
        while self.process is not None and self.process.poll() is None:  # noqa: ASYNC110 - another process
            await asyncio.sleep(CHECK_SECONDS)

    def freeze(self) -> None:
        """SIGSTOP."""
        self._send(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        self._send(signal.SIGCONT)

    async def ask(self, *words: str | int) -> Any:
        """Its reply, or None if it does not answer at once."""
        if self._client is None:
            self._client = Redis(
                host=self.machine.address, port=self.port, socket_timeout=_ANSWER_SECONDS, socket_connect_timeout=0.2
            )
        client: Any = self._client
        with contextlib.suppress(RedisError, OSError):
            return await client.execute_command(*words)
        return None

    async def answers(self) -> None:
        """Return when it answers."""
        while await self.ask("PING") is None:  # noqa: ASYNC110 - another process
            await asyncio.sleep(CHECK_SECONDS)

    async def close(self) -> None:
        """End it."""
        self.thaw()
        self.kill()
        if self._client is not None:
            await self._client.aclose()

    def _send(self, number: signal.Signals) -> None:
        if self.process is not None and self.process.poll() is None:
            os.kill(self.process.pid, number)


def redis_arguments(machine: Machine, directory: Path, port: int) -> list[str]:
    """A durable Redis with a quick way to notice that others are gone."""
    return [
        *("--port", str(port), "--bind", machine.address, "--protected-mode", "no"),
        *("--dir", str(directory), "--logfile", str(directory / "redis.log")),
        *durable_arguments(),
        *("--repl-ping-replica-period", "1", "--repl-timeout", "5"),
    ]


class Topology(Protocol):
    """A ledger on several servers."""

    network: Network
    url: str
    shards: list[list[Server]]
    """The servers of each part of the data: one of them is its master."""
    others: list[Server]
    """Those that have no data."""

    async def open(self) -> None:
        """Start everything."""

    async def master(self, shard: list[Server]) -> Server | None:
        """Whom the others take for the master; None while they do not agree."""

    async def whole(self, shard: list[Server]) -> bool:
        """Whether all of it is there: a failover would succeed, and lose nothing that has long been written."""

    async def calm(self) -> None:
        """Wait until a server may be cut off."""

    async def hand_over(self, shard: list[Server]) -> None:
        """Make a replica the master, as an operator does before work on a machine."""

    async def restart(self, server: Server, shard: list[Server]) -> None:
        """Start a server that was killed, as its machine would at boot."""

    def shard_of(self, slot: int) -> int:
        """The shard that has a slot."""

    async def close(self) -> None:
        """End everything."""


async def until_whole(topology: Topology, shard: list[Server]) -> bool:
    """Wait until all of a shard is there; False if that never comes."""
    loop = asyncio.get_running_loop()
    give_up = loop.time() + _PATIENCE_SECONDS
    while loop.time() < give_up:
        if await topology.whole(shard):
            return True
        await asyncio.sleep(CHECK_SECONDS)
    return False


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
