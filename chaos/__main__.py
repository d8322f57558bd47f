"""`make chaos`: the real processes under load and under every kind of fault, then the books.

Environment, all of it optional:

    SEED=1         the faults, their order, and what clients ask for
    MINUTES=7.5    how long faults are injected; every kind comes once before any comes again
    FAULTS=40      inject so many instead
    STEPS=20000    how many steps the model is then compared with the ledger for; 0: none
    REPORT=path    write the figures there too, as JSON

Exit 0: nothing lost, nothing double, the audit clean. Exit 1: the list of what is wrong, and the log is kept.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import shutil
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from chaos.box import Box
from chaos.counting import audit_meanwhile, count, settle
from chaos.disk import Disk, enter_namespace
from chaos.faults import FAULTS, Fault, Scene
from chaos.load import Load
from chaos.processes import WORKERS, Processes
from chaos.receiver import Receiver
from chaos.report import Report
from gateway.cancelling import cancel

_AT_ONCE = 3
_PAUSE_SECONDS = (0.2, 1.5)
_INTERRUPTED = 130
STEPS = 20_000


class Interrupted(Exception):
    """Ctrl-C, or SIGTERM."""


def main() -> int:
    """Run it all; the exit code."""
    argparse.ArgumentParser(
        prog="python -m chaos", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    ).parse_args()
    enter_namespace()
    seed, steps = int(os.environ.get("SEED", "1")), int(os.environ.get("STEPS", STEPS))
    console = Console()
    folder = Path(tempfile.mkdtemp(prefix="farebox-chaos-"))
    try:
        held = not asyncio.run(_run(seed, folder, console)).problems
        if steps:
            from chaos import model  # noqa: PLC0415 - STEPS=0 needs none of it

            held = model.check(seed, steps, console) and held
    except (Interrupted, KeyboardInterrupt):
        console.print("Interrupted. Everything that it started has ended.")
        shutil.rmtree(folder, ignore_errors=True)
        return _INTERRUPTED
    except Exception:  # noqa: BLE001 - whatever broke, the log says more
        console.print_exception()
        held = False
    if held:
        console.print("[bold green]Nothing lost, nothing double, every credit accounted for.")
        shutil.rmtree(folder, ignore_errors=True)
        return 0
    console.print(f"[bold red]Something is wrong.[/] The log is kept: {folder / 'chaos.log'}", soft_wrap=True)
    console.print(f"Repeat the faults and the load with SEED={seed}.")
    return 1


async def _run(seed: int, folder: Path, console: Console) -> Report:
    disk = Disk(folder / "disk", lambda: [pid for name in WORKERS if (pid := processes.process(name)) is not None])
    disk.open()
    box, receiver = Box(seed), Receiver(seed)
    processes = Processes(folder, disk.directory / "store", box.address, random.Random(f"{seed} lines"))
    load = Load(processes.addresses, processes.admin_key, seed)
    report = Report(seed, Scene(processes, load, disk, box, receiver, random.Random(f"{seed} faults")), Counter())
    console.print(f"chaos: SEED={seed}, log {processes.log_path}", soft_wrap=True)
    started = time.monotonic()
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    work, stopping = asyncio.create_task(_work(report, console)), asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({work, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            raise Interrupted
        work.result()
    finally:
        await cancel(work, stopping)
        await load.close()
        await processes.stop()
        await box.close()
        await receiver.close()
        disk.close()
    report.seconds = time.monotonic() - started
    report.show(console)
    if path := os.environ.get("REPORT"):
        report.write(Path(path))
    return report


async def _work(report: Report, console: Console) -> None:
    """Start everything, torment it under load, let it settle, count."""
    scene = report.scene
    await scene.box.open()
    await scene.receiver.open()
    await scene.processes.start()
    await scene.load.open(scene.receiver)
    clients = asyncio.create_task(scene.load.run())
    auditing = asyncio.create_task(audit_meanwhile(scene))
    try:
        await _torment(scene, report.injected, console)
        await cancel(auditing)
        scene.load.stopping = True
        with console.status("letting it settle"):
            await clients
            if not await settle(scene.processes):
                scene.problems.append("it never came to rest")
        with console.status("counting"):
            report.findings = await count(scene)
    except Exception:
        report.show_problems(console)  # what was found until then may be why
        raise
    finally:
        await cancel(clients, auditing)


async def _torment(scene: Scene, injected: Counter[str], console: Console) -> None:
    """Inject faults, a few at once, until there were enough; those that check something alone."""
    enough = float(os.environ.get("FAULTS", "0"))
    seconds = 60 * float(os.environ.get("MINUTES", "7.5"))
    started = time.monotonic()
    columns = (TextColumn("{task.description:36}"), BarColumn(), TextColumn("{task.percentage:.0f}%"))
    going_on: set[asyncio.Task[None]] = set()
    try:
        with Progress(*columns, TimeElapsedColumn(), console=console) as bar:
            task = bar.add_task("faults", total=enough or seconds)
            for fault in _one_after_the_other(scene.dice):
                done = injected.total() if enough else time.monotonic() - started
                bar.update(task, completed=done, description=fault.name)
                if done >= (enough or seconds):
                    break
                if fault.alone or len(going_on) >= _AT_ONCE:
                    await _all_over(going_on)
                going_on.add(asyncio.create_task(fault.strike(scene), name=fault.name))
                injected[fault.name] += 1
                if fault.alone:
                    await _all_over(going_on)
                await asyncio.sleep(scene.dice.uniform(*_PAUSE_SECONDS))
            await _all_over(going_on)
    finally:
        await cancel(*going_on)  # each puts right what it did, as long as everything still runs


def _one_after_the_other(dice: random.Random) -> Iterator[Fault]:
    """Every kind once, in an order that the dice decide; then again."""
    while True:
        yield from dice.sample(FAULTS, len(FAULTS))


async def _all_over(going_on: set[asyncio.Task[None]]) -> None:
    await asyncio.gather(*going_on)
    going_on.clear()


if __name__ == "__main__":
    raise SystemExit(main())
