"""The faults: what is done to a master, a replica, a Sentinel or the slots; each undone by itself."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from chaos.failovers.nodes import Nodes
from chaos.failovers.servers import Server, Topology

_SHORT_SECONDS = (0.1, 0.9)  # over before anybody is replaced, or in that very moment
_LONG_SECONDS = (1.5, 5.0)
_SHORT_SHARE = 0.15
_BEFORE_SECONDS = (0.0, 1.5)
_SLOTS_AT_ONCE = 3

Undo = Callable[[], Awaitable[None]]
Do = Callable[[Topology, Server, list[Server]], Awaitable[Undo]]


@dataclass(frozen=True, slots=True)
class Fault:
    """One kind: what is done `to` whom (`master`, `replica`, `both`, `sentinel`, `slots`), and how often of a hundred.

    `replica, then master`: the master follows while the replica is away.
    """

    name: str
    to: str
    do: Do | None
    weight: int
    needs_network: bool = False

    @property
    def replaces(self) -> bool:
        """Whether a failover is to be expected."""
        return self.to == "master"


async def _kill(topology: Topology, server: Server, shard: list[Server]) -> Undo:
    server.kill()

    async def undo() -> None:
        await topology.restart(server, shard)

    return undo


async def _shut_down(topology: Topology, server: Server, shard: list[Server]) -> Undo:
    await server.shut_down()

    async def undo() -> None:
        await topology.restart(server, shard)

    return undo


async def _hand_over(topology: Topology, server: Server, shard: list[Server]) -> Undo:  # noqa: ARG001 - as the others
    await topology.hand_over(shard)

    async def undo() -> None:
        """Nobody is away."""

    return undo


async def _freeze(topology: Topology, server: Server, shard: list[Server]) -> Undo:  # noqa: ARG001 - as the others
    server.freeze()

    async def undo() -> None:
        server.thaw()

    return undo


async def _cut(topology: Topology, server: Server, shard: list[Server]) -> Undo:  # noqa: ARG001 - as the others
    topology.network.cut(server.machine)

    async def undo() -> None:
        topology.network.mend(server.machine)

    return undo


async def _part(topology: Topology, server: Server, shard: list[Server]) -> Undo:  # noqa: ARG001 - as the others
    topology.network.part(server.machine)

    async def undo() -> None:
        topology.network.mend(server.machine)

    return undo


FAULTS = (
    Fault("kill -9 a master", "master", _kill, 44),
    Fault("SIGSTOP a master", "master", _freeze, 13),
    Fault("cut a master off", "master", _cut, 7, needs_network=True),
    Fault("part a master from the servers, not from clients", "master", _part, 7, needs_network=True),
    Fault("restart a master (SIGTERM)", "master", _shut_down, 6),
    Fault("an operator's failover", "master", _hand_over, 6),
    Fault("kill -9 a replica", "replica", _kill, 3),
    Fault("SIGSTOP a replica", "replica", _freeze, 3),
    Fault("cut a replica off", "replica", _cut, 2, needs_network=True),
    Fault("kill -9 a replica, then its master", "both", _kill, 4),
)
OF_SENTINELS = (Fault("kill -9 a Sentinel, then the master", "sentinel", _kill, 6),)
OF_NODES = (Fault("move slots", "slots", None, 6),)


def kinds(topology: Topology, only: str = "") -> list[Fault]:
    """Those that can be done here, with `only` in their name."""
    own = OF_NODES if isinstance(topology, Nodes) else OF_SENTINELS
    return [
        fault
        for fault in (*FAULTS, *own)
        if only in fault.name and (topology.network.may_cut or not fault.needs_network)
    ]


def seconds(dice: random.Random) -> float:
    """How long something is away."""
    return dice.uniform(*(_SHORT_SECONDS if dice.random() < _SHORT_SHARE else _LONG_SECONDS))


async def strike(
    fault: Fault, topology: Topology, shard: list[Server], dice: random.Random, struck: Callable[[], None]
) -> None:
    """Do it and undo it. `struck` is called when the master is gone."""
    master = await topology.master(shard)
    if master is None:
        raise RuntimeError("no master, although the shard was whole")
    replica = dice.choice([server for server in shard if server is not master])
    if isinstance(topology, Nodes) and fault.to == "slots":
        await _move_slots(topology, dice)
        return
    if fault.do is None:
        raise RuntimeError(f"nothing is known of {fault.name}")
    undo: list[Undo] = []
    try:
        if fault.to in {"replica", "both"}:
            undo.append(await fault.do(topology, replica, shard))
        if fault.to == "sentinel":
            undo.append(await fault.do(topology, dice.choice(topology.others), shard))
        if fault.to in {"both", "sentinel"}:
            await asyncio.sleep(dice.uniform(*_BEFORE_SECONDS))
        if fault.to != "replica":
            undo.append(await (fault.do)(topology, master, shard))
            struck()
        await asyncio.sleep(seconds(dice))
    finally:
        for each in undo:
            await each()


async def _move_slots(nodes: Nodes, dice: random.Random) -> None:
    """Move some of the partitions' slots to another shard."""
    to = dice.randrange(len(nodes.shards))
    slots = [slot for slot in nodes.used_slots if nodes.shard_of(slot) != to]
    await nodes.move_slots(dice.sample(slots, min(_SLOTS_AT_ONCE, len(slots))), to)
