"""`make chaos`: the real processes under load and under every kind of fault, then the books.

Environment, all of it optional:

    SEED=1         the faults, their order, and what clients ask for
    MINUTES=7.5    how long faults are injected; every kind comes once before any comes again
    FAULTS=40      inject so many instead
    STEPS=20000    how many steps the model is then compared with the ledger for; 0: none
    REPORT=path    write the figures there too, as JSON
    SHORT=1        half a minute: quick faults, once each, until everybody has acted often enough; no steps
    ONLY=clocks    of a short run only this: cards, events, quotes, purchases, clocks, providers or revocation, some
                   of them with commas between; no faults
    UPGRADE_FROM=abc123   instead of faults: a rolling upgrade from that commit to this one, and back
    REMOTE=300     another run: so many generations at once by a worker in a network of its own, see chaos/remote.py
    TOPOLOGY=sentinel (or cluster)  another run: the ledger on several servers that fail over, see chaos/failovers
    FAILOVERS=100  of such a run: how many
    RESULTS=path   of such a run: do them in rounds of ROUND=25, each with servers of its own, and append what each
                   round counted as a line of JSON; what is there counts, so that a run goes on where one was cut off
    FAULT=SIGSTOP  of such a run: only the kinds of fault with this in their name
    REPLICAS=1     of such a run on a cluster: how many each master has
    WAIT=1         of such a run: FAREBOX_WAIT_REPLICAS; 0 publishes what is lost without

`--mutant "name"` runs it with one line of Farebox made wrong: it must not pass. Repeated: with several.

Exit 0: nothing lost, nothing double, the audit clean. Exit 1: the list of what is wrong, and the log is kept.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import sys
import tempfile
import time
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from chaos.box import Box
from chaos.cast import Cast
from chaos.checks import Checks
from chaos.counting import audit_meanwhile, count, settle
from chaos.disk import Disk, enter_namespace
from chaos.ending import exit_code, unless_interrupted
from chaos.faults import FAULTS, QUICK, Fault, Scene
from chaos.given import Given
from chaos.load import CLIENTS, Load
from chaos.mutants import MUTANTS, Mutant, mutated
from chaos.plan import Plan
from chaos.printing import Prints
from chaos.processes import LEDGER, WORKERS, Processes
from chaos.receiver import Receiver
from chaos.report import Report
from chaos.upgrade import there_and_back
from chaos.versions import checked_out
from gateway.tasks import cancel

CLIENTS_SHORT = 5
_AT_ONCE = 3
_PAUSE_SECONDS = (0.2, 1.5)


def main() -> int:
    """Run it all; the exit code."""
    if topology := os.environ.get("TOPOLOGY"):
        from chaos.failovers import run  # noqa: PLC0415 - another run, which enters namespaces of its own

        return run.main(topology)
    if count := os.environ.get("REMOTE"):
        from chaos import remote  # noqa: PLC0415 - likewise

        return remote.main(int(count))
    parser = argparse.ArgumentParser(
        prog="python -m chaos", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--mutant", action="append", default=[], choices=list(MUTANTS), help="run with one line of Farebox made wrong"
    )
    mutants = [MUTANTS[name] for name in parser.parse_args().mutant]
    enter_namespace()
    plan, console = Plan.from_environment(), Console()
    folder = Path(tempfile.mkdtemp(prefix="farebox-chaos-"))
    code = exit_code(lambda: _held(plan, folder, console, mutants), folder, folder / "chaos.log", console)
    if code == 0:
        console.print("[bold green]Nothing lost, nothing double, every credit accounted for.")
    elif code == 1:
        console.print(f"Repeat the faults and the load with SEED={plan.seed}.")
    return code


def _held(plan: Plan, folder: Path, console: Console, mutants: Sequence[Mutant]) -> bool:
    code = mutated(mutants, folder / "mutant") if mutants else None
    with _version(plan, folder) as old:
        held = not asyncio.run(_run(plan, folder, console, code, old)).problems
    if plan.steps:
        from chaos import model  # noqa: PLC0415 - STEPS=0 needs none of it

        held = model.check(plan.seed, plan.steps, console) and held
    return held


def _version(plan: Plan, folder: Path) -> AbstractContextManager[Path | None]:
    """The Python of the version to upgrade from; None if there is nothing to upgrade."""
    return checked_out(plan.upgrade_from, folder / "old") if plan.upgrade_from else nullcontext()


async def _run(plan: Plan, folder: Path, console: Console, code: Path | None, old: Path | None) -> Report:
    scene = _scene(plan, folder, code, old)
    report = Report(scene, plan)
    console.print(f"chaos: SEED={plan.seed}, log {scene.processes.log_path}", soft_wrap=True)
    try:
        await unless_interrupted(_work(report, console, old))
    finally:
        await scene.cast.close()
        await scene.load.close()
        await scene.processes.stop()
        for box in scene.boxes:
            await box.close()
        await scene.receiver.close()
        scene.outputs.close()
        scene.ledger_disk.close()
    report.show(console)
    if path := os.environ.get("REPORT"):
        report.write(Path(path))
    return report


def _scene(plan: Plan, folder: Path, code: Path | None, old: Path | None) -> Scene:
    """Everything and everybody, not yet open. `code` is the folder of a mutant, `old` what is to be upgraded."""

    def running(*names: str) -> list[int]:
        return [pid for name in names if (pid := processes.process(name)) is not None]

    outputs = Disk(folder / "disk", lambda: running(*WORKERS))
    ledger_disk = Disk(folder / LEDGER, lambda: running(LEDGER))
    outputs.open()
    ledger_disk.open()
    boxes = Box(plan.seed, short=plan.short), Box(plan.seed, "spare", polite=True)
    receiver, checks = Receiver(plan.seed, 0 if plan.short else 2), Checks()
    lines = random.Random(f"{plan.seed} lines")
    processes = Processes(folder, outputs.directory / "store", boxes, lines, code, python=old or Path(sys.executable))
    clients = 0 if plan.only else CLIENTS_SHORT if plan.short or old else CLIENTS
    given = Given(processes.card)
    load = Load(processes.addresses, processes.admin_key, plan.seed, given, clients, plan.short)
    cast = Cast(load, checks, plan, processes.card, Prints(load, checks, plan.seed, boxes, processes.said))
    dice = random.Random(f"{plan.seed} faults")
    return Scene(processes, load, cast, checks, outputs, ledger_disk, boxes, receiver, dice)


async def _work(report: Report, console: Console, old: Path | None) -> None:
    """Start everything, torment it under load, let it settle, count."""
    scene, phases = report.scene, report.phases
    with _timed(phases, "starting"):
        for box in scene.boxes:
            await box.open()
        await scene.receiver.open()
        await scene.processes.start()
        await scene.load.open(scene.receiver)
        await scene.cast.open()
    going_on = [asyncio.create_task(each) for each in (scene.load.run(), scene.cast.run())]
    auditing = asyncio.create_task(audit_meanwhile(scene.processes, scene.audits, scene.problems))
    try:
        with _timed(phases, "faults"):
            torment = _torment(report, console) if old is None else there_and_back(scene, old)
            await _unless_it_breaks(torment, going_on)
        await cancel(auditing)
        scene.load.stopping = True
        with _timed(phases, "settling"), console.status("letting it settle"):
            await asyncio.gather(*going_on)
            if not await settle(scene.processes):
                scene.problems.append("it never came to rest")
            await scene.cast.finish()
        with _timed(phases, "counting"), console.status("counting"):
            report.findings = await count(scene)
    except Exception:
        report.show_problems(console)  # what was found until then may be why
        raise
    finally:
        await cancel(*going_on, auditing)


@contextmanager
def _timed(phases: dict[str, int], name: str) -> Iterator[None]:
    started = time.monotonic()
    yield
    phases[name] = round(time.monotonic() - started)


async def _unless_it_breaks(torment: Coroutine[Any, Any, None], going_on: list[asyncio.Task[None]]) -> None:
    """Torment; but whatever goes on meanwhile and raises ends it at once."""
    tormenting = asyncio.create_task(torment)
    try:
        await asyncio.wait({tormenting, *going_on}, return_when=asyncio.FIRST_COMPLETED)
        for task in going_on:
            if task.done():
                task.result()
        await tormenting
    finally:
        await cancel(tormenting)


async def _torment(report: Report, console: Console) -> None:
    """Inject faults, a few at once, until there were enough; those that check something alone."""
    plan, scene, injected = report.plan, report.scene, report.injected
    kinds = () if plan.only else QUICK if plan.short else FAULTS
    number = plan.faults if plan.faults is not None else len(kinds) if plan.short else None
    enough = plan.seconds if number is None else number
    started = time.monotonic()
    columns = (TextColumn("{task.description:36}"), BarColumn(), TextColumn("{task.percentage:.0f}%"))
    going_on: set[asyncio.Task[None]] = set()
    try:
        with Progress(*columns, TimeElapsedColumn(), console=console) as bar:
            task = bar.add_task("faults", total=enough)
            for fault in _one_after_the_other(kinds, scene.dice):
                done = time.monotonic() - started if number is None else injected.total()
                bar.update(task, completed=done, description=fault.name)
                if done >= enough:
                    break
                if fault.alone or len(going_on) >= _AT_ONCE:
                    await _all_over(going_on)
                going_on.add(asyncio.create_task(fault.strike(scene), name=fault.name))
                injected[fault.name] += 1
                if fault.alone:
                    await _all_over(going_on)
                await asyncio.sleep(scene.dice.uniform(*_PAUSE_SECONDS))
            await _all_over(going_on)
            await scene.cast.satisfied()
    finally:
        await cancel(*going_on)  # each puts right what it did, as long as everything still runs


def _one_after_the_other(kinds: Sequence[Fault], dice: random.Random) -> Iterator[Fault]:
    """Every kind once, in an order that the dice decide; then again."""
    while kinds:
        yield from dice.sample(kinds, len(kinds))


async def _all_over(going_on: set[asyncio.Task[None]]) -> None:
    await asyncio.gather(*going_on)
    going_on.clear()


if __name__ == "__main__":
    raise SystemExit(main())
