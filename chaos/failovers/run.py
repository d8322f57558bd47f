"""A run with a topology: start, fail over and over under load, settle, count."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console

from chaos.checks import Checks
from chaos.counting import audit_meanwhile, check_ledger, count_books, settle
from chaos.failovers import faults
from chaos.failovers.installation import Installation
from chaos.failovers.network import Network, enter_network
from chaos.failovers.nodes import Nodes
from chaos.failovers.probes import GRANTED, NAMES, Probes
from chaos.failovers.report import Report
from chaos.failovers.sentinels import Sentinels
from chaos.failovers.servers import Server, Topology, until_whole
from chaos.findings import Findings
from chaos.given import Given
from chaos.load import ACCOUNTS, GRANTED_AT_FIRST, POOR, Load
from gateway.redis_link.connections import connect_ledger
from gateway.tasks import cancel

TOPOLOGIES: dict[str, Callable[[Path, Network, random.Random], Topology]] = {"sentinel": Sentinels, "cluster": Nodes}
_FAILOVERS, _FAILOVERS_SHORT = 100, 3
_CLIENTS = 3
_PAUSE_SECONDS = (0.0, 0.4)
_AUDIT_EVERY_SECONDS = 45
_INTERRUPTED = 130


class Interrupted(Exception):
    """Ctrl-C, or SIGTERM."""


@dataclass(slots=True)
class Scene:
    """Everything and everybody of a run."""

    name: str
    seed: int
    failovers_wanted: int
    wait_replicas: int
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
    failovers: int = 0
    seconds: dict[str, int] = field(default_factory=dict)


def main(name: str) -> int:
    """Run it; the exit code."""
    console = Console()
    if name not in TOPOLOGIES:
        console.print(f"TOPOLOGY must be one of {', '.join(TOPOLOGIES)}, not {name}")
        return 2
    enter_network()
    folder = Path(tempfile.mkdtemp(prefix="farebox-failovers-"))
    try:
        held = not asyncio.run(_run(name, folder, console)).problems
    except Interrupted:
        console.print("Interrupted. Everything that it started has ended.")
        shutil.rmtree(folder, ignore_errors=True)
        return _INTERRUPTED
    except Exception:  # noqa: BLE001 - whatever broke, the log says more
        console.print_exception()
        held = False
    if held:
        shutil.rmtree(folder, ignore_errors=True)
        return 0
    console.print(f"[bold red]Something is wrong.[/] The logs are kept: {folder}", soft_wrap=True)
    return 1


async def _run(name: str, folder: Path, console: Console) -> Report:
    scene = _scene(name, folder)
    console.print(f"chaos: TOPOLOGY={name} SEED={scene.seed} WAIT={scene.wait_replicas}, {folder}", soft_wrap=True)
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    work, stopping = asyncio.create_task(_work(scene, console)), asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({work, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            raise Interrupted
        work.result()
    finally:
        await cancel(work, stopping)
        await scene.load.close()
        await scene.installation.stop()
        await scene.topology.close()
    report = Report(scene)
    report.show(console)
    if path := os.environ.get("REPORT"):
        report.write(Path(path))
    return report


def _scene(name: str, folder: Path) -> Scene:
    seed, short = int(os.environ.get("SEED", "1")), os.environ.get("SHORT", "") not in {"", "0"}
    wait = int(os.environ.get("WAIT", "1"))
    topology = TOPOLOGIES[name](folder, Network(), random.Random(f"{seed} topology"))
    installation = Installation(folder, topology.url, wait)
    load = Load(installation.addresses, installation.admin_key, seed, Given(installation.card), _CLIENTS, short=True)
    return Scene(
        name,
        seed,
        int(os.environ.get("FAILOVERS", _FAILOVERS_SHORT if short else _FAILOVERS)),
        wait,
        topology,
        installation,
        load,
        Probes(load, topology),
        random.Random(f"{seed} faults"),
    )


async def _work(scene: Scene, console: Console) -> None:
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
        with console.status("failing over") as status:
            while scene.failovers < scene.failovers_wanted and not going_on.done():
                await _one_fault(scene)
                status.update(f"failovers: {scene.failovers} of {scene.failovers_wanted}")
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


async def _one_fault(scene: Scene) -> None:
    """Wait until a failover would be whole, and do something to somebody."""
    topology, dice = scene.topology, scene.dice
    kinds = faults.kinds(topology)
    fault = dice.choices(kinds, [kind.weight for kind in kinds])[0]
    index = dice.randrange(len(topology.shards))
    shard = topology.shards[index]
    if not await until_whole(topology, shard):
        raise RuntimeError(f"the servers did not recover: {[server.address for server in shard]}")
    if fault.needs_network:
        await topology.calm()
    await asyncio.sleep(dice.uniform(*_PAUSE_SECONDS))
    before = await topology.master(shard)
    probes: list[asyncio.Task[None]] = []

    def struck() -> None:
        probes.append(asyncio.create_task(scene.probes.measure(fault.name, index)))

    scene.injected[fault.name] += 1
    await faults.strike(fault, topology, shard, dice, struck)
    await asyncio.gather(*probes)
    if not await _same_again(topology, shard, before):
        scene.failovers += 1


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
