"""One master, two replicas, and three Sentinels: three machines with a Redis and a Sentinel each."""

from __future__ import annotations

import asyncio
import random
import time
from pathlib import Path
from typing import Any

from chaos.failovers.network import Network
from chaos.failovers.servers import CHECK_SECONDS, Server, redis_arguments

NAME = "ledger"
DOWN_AFTER_MS = 2000
INFO_PERIOD_MS = 2000
"""How often a Sentinel asks servers for their state. By default ten seconds, which each fault would be waited for."""
_MACHINES = 3
_CALM_SECONDS = 6.0
"""What a Sentinel says of a master counts for five seconds, also after a failover. One that is cut off within these
takes it for true of the new master, and starts another failover, which ends when it is back: with one that lags."""
_AS_IT_WAS_SHARE = 0.05  # started with its old configuration: Sentinel makes it a replica eight seconds later


class Sentinels:
    """What `Topology` describes."""

    def __init__(self, folder: Path, network: Network, dice: random.Random) -> None:
        self.network = network
        self._dice = dice
        self._folder = folder
        self._servers: list[Server] = []
        self._seen: tuple[str | None, float] = (None, 0.0)
        self.others: list[Server] = []
        for number in range(1, _MACHINES + 1):
            machine = network.machine(f"box{number}")
            directory, port = folder / f"redis-{number}", machine.port(6379)
            self._servers.append(Server(machine, directory, port, redis_arguments(machine, directory, port)))
            self.others.append(Server(machine, folder / f"sentinel-{number}", machine.port(26379), []))
        self.shards = [self._servers]
        self.url = f"redis+sentinel://{','.join(one.address for one in self.others)}/{NAME}"

    async def open(self) -> None:
        """Start everything, the first server as the master."""
        first, *replicas = self._servers
        first.start()
        for replica in replicas:
            replica.start("--replicaof", first.machine.address, str(first.port))
        for server in self._servers:
            await server.answers()
        for sentinel in self.others:
            _configure(sentinel, first)
            await _start(sentinel)

    async def master(self, shard: list[Server]) -> Server | None:
        """As most Sentinels say."""
        said = await self._said()
        for server in shard:
            if sum(one == server.address for one in said) > _MACHINES // 2:
                if self._seen[0] != server.address:
                    self._seen = server.address, time.monotonic()
                return server
        return None

    async def calm(self) -> None:
        """Return when the last failover is so long ago that no Sentinel remembers it."""
        await asyncio.sleep(max(0.0, self._seen[1] + _CALM_SECONDS - time.monotonic()))

    async def whole(self, shard: list[Server]) -> bool:
        """All Sentinels name the same master and see both replicas, and these have what it has."""
        said = await self._said()
        if len(set(said)) != 1 or said[0] is None:
            return False
        master = next(server for server in shard if server.address == said[0])
        state = await master.ask("INFO", "replication")
        if state is None or state["role"] != "master" or not _has_replicas(state, len(shard) - 1):
            return False
        for sentinel in self.others:
            replicas = await sentinel.ask("SENTINEL", "REPLICAS", NAME)
            if replicas is None or sum(_is_there(flat) for flat in replicas) < len(shard) - 1:
                return False
        return True

    async def hand_over(self, shard: list[Server]) -> None:  # noqa: ARG002 - there is one
        """Ask one Sentinel for it, which need not agree with the others."""
        await self._dice.choice(self.others).ask("SENTINEL", "FAILOVER", NAME)

    async def restart(self, server: Server, shard: list[Server]) -> None:
        """As a replica of whom the Sentinels name by then; or as it was, and they may not have replaced it yet."""
        if server in self.others:
            await _start(server)
            return
        if self._dice.random() < _AS_IT_WAS_SHARE:
            server.start()
            return
        while (master := await self.master(shard)) is None or master is server:  # noqa: ASYNC110 - other processes
            await asyncio.sleep(CHECK_SECONDS)
        server.start("--replicaof", master.machine.address, str(master.port))

    def shard_of(self, slot: int) -> int:  # noqa: ARG002 - there is one
        """The only one."""
        return 0

    async def close(self) -> None:
        """End everything."""
        for server in (*self._servers, *self.others):
            await server.close()

    async def _said(self) -> list[str | None]:
        said = await asyncio.gather(*(one.ask("SENTINEL", "GET-MASTER-ADDR-BY-NAME", NAME) for one in self.others))
        return [None if one is None else f"{one[0].decode()}:{one[1].decode()}" for one in said]


async def _start(sentinel: Server) -> None:
    sentinel.start()
    await sentinel.answers()
    await sentinel.ask("SENTINEL", "DEBUG", "INFO-PERIOD", INFO_PERIOD_MS)


def _configure(sentinel: Server, master: Server) -> None:
    sentinel.directory.mkdir(parents=True, exist_ok=True)
    configuration = sentinel.directory / "sentinel.conf"
    configuration.write_text(
        f"port {sentinel.port}\n"
        f"bind {sentinel.machine.address}\n"
        "protected-mode no\n"
        f"dir {sentinel.directory}\n"
        f"logfile {sentinel.directory / 'sentinel.log'}\n"
        f"sentinel monitor {NAME} {master.machine.address} {master.port} 2\n"
        f"sentinel down-after-milliseconds {NAME} {DOWN_AFTER_MS}\n"
        f"sentinel failover-timeout {NAME} 5000\n"
        f"sentinel parallel-syncs {NAME} 2\n"
    )
    sentinel.arguments = [str(configuration), "--sentinel"]


def _has_replicas(state: dict[str, Any], wanted: int) -> bool:
    replicas: list[Any] = [one for name, one in state.items() if name.startswith("slave") and isinstance(one, dict)]
    return len([one for one in replicas if one["state"] == "online"]) >= wanted


def _is_there(flat: list[bytes]) -> bool:
    replica: dict[bytes, bytes] = dict(zip(flat[::2], flat[1::2], strict=True))
    return (replica[b"flags"], replica[b"master-link-status"]) == (b"slave", b"ok")
