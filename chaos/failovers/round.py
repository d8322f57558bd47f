"""One round with servers of its own: start, fail over and over under load, settle, count."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from chaos.checks import Checks
from chaos.counting import audit_meanwhile, check_ledger, count_books, settle
from chaos.ending import unless_interrupted
from chaos.failovers import faults
from chaos.failovers.installation import Installation
from chaos.failovers.network import Network
from chaos.failovers.nodes import Nodes
from chaos.failovers.probes import GRANTED, NAMES, Probes
from chaos.failovers.sentinels import Sentinels
from chaos.failovers.servers import Server, Topology, until_whole
from chaos.findings import Findings
from chaos.given import Given
from chaos.load import ACCOUNTS, GRANTED_AT_FIRST, POOR, Load
from gateway.redis_link.connections import connect_ledger
from gateway.tasks import cancel

TOPOLOGIES: dict[str, Callable[[Path, Network, random.Random], Topology]] = {"sentinel": Sentinels, "cluster": Nodes}
_CLIENTS = 3
_PAUSE_SECONDS = (0.0, 0.4)
_AUDIT_EVERY_SECONDS = 45


@dataclass(slots=True)
class Scene:
    """Everything and everybody of a run."""

    name: str
    seed: int
    failovers_wanted: int
    wait_replicas: int
    only: str
    topology: Topology
    installation: Installation
    load: Load
    probes: Probes
    dice: random.Random
    checks: Checks = field(default_factory=Checks)
    findings: Findings = field(default_factory=Findings)
    injected: Counter[str] = field(default_factory=Counter)
    audits: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    failovers: Counter[str] = field(default_factory=Counter)
    """By the kind of fault that led to them."""
    seconds: dict[str, int] = field(default_factory=dict)


def prepare(
    topology: str,
    folder: Path,
    network: Network,
    *,
    seed: int,
    failovers: int,
    wait_replicas: int,
    only: str = "",
) -> Scene:
    """Everything and everybody, not yet started; all files are in `folder`."""
    servers = TOPOLOGIES[topology](folder, network, random.Random(f"{seed} topology"))
    installation = Installation(folder, servers.url, wait_replicas)
    load = Load(installation.addresses, installation.admin_key, seed, Given(installation.card), _CLIENTS, short=True)
    return Scene(
        topology,
        seed,
        failovers,
        wait_replicas,
        only,
        servers,
        installation,
        load,
        Probes(load, servers),
        random.Random(f"{seed} faults"),
    )


async def play(scene: Scene, failed_over: Callable[[], None]) -> None:
    """Do it, and end everything. `failed_over` is called after each failover."""
    try:
        await unless_interrupted(_work(scene, failed_over))
    finally:
        await scene.load.close()
        await scene.installation.stop()
        await scene.topology.close()


async def _work(scene: Scene, failed_over: Callable[[], None]) -> None:
    started = time.monotonic()
    await scene.topology.open()
    for shard in scene.topology.shards:
        if not await until_whole(scene.topology, shard):
            raise RuntimeError("the servers did not find together")
    await scene.installation.start()
    await scene.load.open_alone()
    for account in (*ACCOUNTS, *NAMES):
        await scene.load.make_account(account, ACCOUNTS.get(account, ""))
        if account != POOR:
            await scene.load.grant(account, GRANTED if account in NAMES else GRANTED_AT_FIRST, "at first")
    scene.seconds["starting"] = round(time.monotonic() - started)
    going_on = asyncio.create_task(scene.load.run())
    auditing = asyncio.create_task(
        audit_meanwhile(scene.installation, scene.audits, scene.problems, _AUDIT_EVERY_SECONDS)
    )
    started = time.monotonic()
    try:
        while scene.failovers.total() < scene.failovers_wanted and not going_on.done():
            if await _one_fault(scene):
                failed_over()
        scene.seconds["faults"] = round(time.monotonic() - started)
        await cancel(auditing)
        scene.load.stopping = True
        await going_on
        for shard in scene.topology.shards:
            if not await until_whole(scene.topology, shard):
                scene.problems.append("the servers did not recover")
        if not await settle(scene.installation):
            scene.problems.append("it never came to rest")
        await _count(scene)
    finally:
        await cancel(going_on, auditing)


async def _one_fault(scene: Scene) -> bool:
    """Wait until a failover would be whole, and do something to somebody; whether the master is another now."""
    topology, dice = scene.topology, scene.dice
    kinds = faults.kinds(topology, scene.only)
    fault = dice.choices(kinds, [kind.weight for kind in kinds])[0]
    index = dice.randrange(len(topology.shards))
    shard = topology.shards[index]
    if not await until_whole(topology, shard):
        raise RuntimeError(f"the servers did not recover: {[server.address for server in shard]}")
    if fault.needs_network:
        await topology.calm()
    await asyncio.sleep(dice.uniform(*_PAUSE_SECONDS))
    before = await topology.master(shard)
    if before is None:  # on a machine that is too busy they fail over by themselves
        return False
    probes: list[asyncio.Task[None]] = []

    def struck() -> None:
        probes.append(asyncio.create_task(scene.probes.measure(fault.name, index)))

    scene.injected[fault.name] += 1
    await faults.strike(fault, topology, shard, dice, struck)
    await asyncio.gather(*probes)
    if await _same_again(topology, shard, before):
        return False
    scene.failovers[fault.name] += 1
    return True


async def _same_again(topology: Topology, shard: list[Server], before: Server | None) -> bool:
    """Whether the shard has the same master as before, as soon as its servers agree on one."""
    while (after := await topology.master(shard)) is None:  # noqa: ASYNC110 - other processes
        await asyncio.sleep(0.05)
    return after is before


async def _count(scene: Scene) -> None:
    started = time.monotonic()
    await count_books(scene.findings, scene.load, scene.checks)
    async with connect_ledger(scene.topology.url) as redis:
        await check_ledger(scene.findings, redis, scene.installation)
    scene.seconds["counting"] = round(time.monotonic() - started)
