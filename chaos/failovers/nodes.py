"""A cluster of three masters with a replica each, or several, on as many machines, whose slots can be moved."""

from __future__ import annotations

import asyncio
import os
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from redis.crc import key_slot

from chaos.failovers.network import Network
from chaos.failovers.servers import CHECK_SECONDS, Server, redis_arguments
from gateway.ledger import keys
from gateway.ledger.core import PARTITIONS

NODE_TIMEOUT_MS = 1000
_SHARDS = 3
_SLOTS = 16_384
_MIGRATE_MS = 5000


@dataclass(frozen=True, slots=True)
class Line:
    """What a node says of a node."""

    address: str
    flags: frozenset[str]
    linked: bool
    ranges: tuple[tuple[int, int], ...]


class Nodes:
    """What `Topology` describes."""

    def __init__(self, folder: Path, network: Network, dice: random.Random) -> None:
        replicas = int(os.environ.get("REPLICAS", "1"))
        self.network = network
        self.others: list[Server] = []
        self.moved = 0
        self.used_slots = sorted({int(key_slot(keys.tag(partition).encode())) for partition in range(PARTITIONS)})
        """Those of the ledger's partitions."""
        self._dice = dice
        self._owner = [_SHARDS * slot // _SLOTS for slot in range(_SLOTS)]
        servers = []
        for number in range(1, (1 + replicas) * _SHARDS + 1):
            machine = network.machine(f"box{number}")
            directory, port = folder / f"redis-{number}", machine.port(6379)
            own = [
                *("--cluster-enabled", "yes", "--cluster-node-timeout", str(NODE_TIMEOUT_MS)),
                *("--cluster-require-full-coverage", "no", "--cluster-allow-replica-migration", "no"),
                *("--cluster-port", str(machine.port(16379))),
            ]
            servers.append(Server(machine, directory, port, [*redis_arguments(machine, directory, port), *own]))
        self.shards = [servers[index::_SHARDS] for index in range(_SHARDS)]
        self.url = "redis+cluster://" + ",".join(server.address for server in servers)

    @property
    def _servers(self) -> list[Server]:
        return [server for shard in self.shards for server in shard]

    async def open(self) -> None:
        """Start everything, and have it form a cluster."""
        for server in self._servers:
            server.start()
        for server in self._servers:
            await server.answers()
        for index, (master, *_) in enumerate(self.shards):
            slots = [slot for slot in range(_SLOTS) if self._owner[slot] == index]
            await master.ask("CLUSTER", "ADDSLOTSRANGE", slots[0], slots[-1])
            await master.ask("CLUSTER", "SET-CONFIG-EPOCH", index + 1)
        one, *rest = self._servers
        for server in rest:
            bus = server.arguments[server.arguments.index("--cluster-port") + 1]
            await one.ask("CLUSTER", "MEET", server.machine.address, server.port, bus)
        for master, *replicas in self.shards:
            identity = (await master.ask("CLUSTER", "MYID")).decode()
            for replica in replicas:
                while await replica.ask("CLUSTER", "REPLICATE", identity) is None:  # noqa: ASYNC110 - another process
                    await asyncio.sleep(CHECK_SECONDS)

    async def calm(self) -> None:
        """Nothing to wait for: the masters agree anew on each failure."""

    async def master(self, shard: list[Server]) -> Server | None:
        """As most nodes say."""
        views = await asyncio.gather(*(self._lines(server) for server in self._servers))
        for server in shard:
            said = sum(
                any(line.address == server.address and line.ranges and "fail" not in line.flags for line in view)
                for view in views
            )
            if said > len(views) // 2:
                return server
        return None

    async def whole(self, shard: list[Server]) -> bool:
        """All nodes agree on who is what, nobody is missing, and replicas have what their master has."""
        views = await asyncio.gather(*(self._lines(server) for server in self._servers))
        if any(len(view) != len(self._servers) for view in views):
            return False
        if any(not line.linked or line.flags & {"fail", "fail?"} for view in views for line in view):
            return False
        if len({frozenset((line.address, line.ranges) for line in view) for view in views}) != 1:
            return False
        if not all([_is_linked(await server.ask("INFO", "replication"), len(shard) - 1) for server in shard]):
            return False
        states = await asyncio.gather(*(server.ask("CLUSTER", "INFO") for server in self._servers))
        return all(state is not None and b"cluster_state:ok" in state for state in states)

    async def hand_over(self, shard: list[Server]) -> None:
        """Have a replica take over once it has all that its master has."""
        master = await self.master(shard)
        await self._dice.choice([server for server in shard if server is not master]).ask("CLUSTER", "FAILOVER")

    async def restart(self, server: Server, shard: list[Server]) -> None:  # noqa: ARG002 - the node knows
        """It has noted what it was, and learns what it is."""
        server.start()

    def shard_of(self, slot: int) -> int:
        """The shard that has a slot."""
        return self._owner[slot]

    async def move_slots(self, slots: list[int], to: int) -> None:
        """Move slots to another shard while they are used, as `redis-cli --cluster reshard` does."""
        for slot in slots:
            source, target = await self.master(self.shards[self.shard_of(slot)]), await self.master(self.shards[to])
            if source is None or target is None:
                raise RuntimeError("slots are moved only while all masters are there")
            await self._move(slot, source, target)
            self._owner[slot] = to
            self.moved += 1

    async def _move(self, slot: int, source: Server, target: Server) -> None:
        here, there = [(await one.ask("CLUSTER", "MYID")).decode() for one in (source, target)]
        await target.ask("CLUSTER", "SETSLOT", slot, "IMPORTING", here)
        await source.ask("CLUSTER", "SETSLOT", slot, "MIGRATING", there)
        while names := await source.ask("CLUSTER", "GETKEYSINSLOT", slot, 20):
            words = ("MIGRATE", target.machine.address, target.port, "", 0, _MIGRATE_MS, "KEYS", *names)
            await source.ask(*words)
        for server in (target, source, *self._servers):
            await server.ask("CLUSTER", "SETSLOT", slot, "NODE", there)

    async def close(self) -> None:
        """End everything."""
        for server in self._servers:
            await server.close()

    async def _lines(self, server: Server) -> list[Line]:
        text = await server.ask("CLUSTER", "NODES")
        return [] if text is None else [_line(words.split()) for words in text.decode().splitlines()]


def _is_linked(state: dict[str, Any] | None, replicas: int) -> bool:
    """Whether a master has its replicas, or a replica its master."""
    if state is None:
        return False
    if state["role"] == "master":
        return all(state.get(f"slave{number}", {}).get("state") == "online" for number in range(replicas))
    return bool(state["master_link_status"] == "up")


def _line(words: list[str]) -> Line:
    """`<id> <host:port@bus> <flags> <master> <ping> <pong> <epoch> <link> <slots> …`."""
    flags = frozenset(words[2].split(","))
    ranges = []
    for word in words[8:]:
        if not word.startswith("["):  # which is a slot on its way
            first, _, last = word.partition("-")
            ranges.append((int(first), int(last or first)))
    linked = words[7] == "connected" or "myself" in flags
    return Line(words[1].partition("@")[0], flags - {"myself"}, linked, tuple(ranges))
