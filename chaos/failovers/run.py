"""A run with a topology: one round, or many whose results are kept in a file."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from chaos.ending import Interrupted, exit_code
from chaos.failovers.network import Network, enter_network
from chaos.failovers.report import Report
from chaos.failovers.results import Results
from chaos.failovers.round import TOPOLOGIES, play, prepare

_FAILOVERS, _FAILOVERS_SHORT = 100, 3
_FAILOVERS_OF_ROUND = 25
_WRONG_ROUNDS_MAX = 5


def main(topology: str) -> int:
    """Run it; the exit code."""
    console = Console()
    if topology not in TOPOLOGIES:
        console.print(f"TOPOLOGY must be one of {', '.join(TOPOLOGIES)}, not {topology}")
        return 2
    enter_network()
    folder = Path(tempfile.mkdtemp(prefix="farebox-failovers-"))
    run = _Run(topology, folder, console)
    if run.results is None:
        return exit_code(run.once, folder, folder, console)
    return exit_code(run.rounds, folder, _kept(folder, "*"), console)


def _kept(folder: Path, seed: str) -> Path:
    """Where the logs of a round that went wrong are kept, also when the run is interrupted later."""
    return folder.with_name(f"{folder.name}-seed-{seed}")


class _Run:
    """What the environment asks for."""

    def __init__(self, topology: str, folder: Path, console: Console) -> None:
        short = os.environ.get("SHORT", "") not in {"", "0"}
        self.topology = topology
        self.seed = int(os.environ.get("SEED", "1"))
        self.wait_replicas = int(os.environ.get("WAIT", "1"))
        self.failovers = int(os.environ.get("FAILOVERS", _FAILOVERS_SHORT if short else _FAILOVERS))
        self.of_round = int(os.environ.get("ROUND", _FAILOVERS_OF_ROUND))
        self.only = os.environ.get("FAULT", "")
        path = os.environ.get("RESULTS")
        self.results = Results(Path(path), topology, self.wait_replicas) if path else None
        self._folder = folder
        self._console = console
        self._network = Network()

    def once(self) -> bool:
        """All failovers on the same servers, and the report of it; whether everything held."""
        with self._bar() as bar:
            task = bar.add_task(self.topology, total=self.failovers)
            report = self._round(self._folder, self.seed, self.failovers, lambda: bar.advance(task))
        report.show(self._console)
        if path := os.environ.get("REPORT"):
            report.write(Path(path))
        return not report.problems

    def rounds(self) -> bool:
        """Round after round until the file has as many failovers as are wanted; whether all rounds in it held."""
        results = self.results
        if results is None:
            raise RuntimeError("rounds need a file for their results")
        gone_wrong = len(results.wrong)
        with self._bar() as bar:
            task = bar.add_task(self.topology, total=self.failovers, completed=results.failovers)
            while results.failovers < self.failovers and len(results.wrong) - gone_wrong < _WRONG_ROUNDS_MAX:
                self._add_round(results, lambda: bar.advance(task))
                bar.update(task, completed=results.failovers)
        shutil.rmtree(self._folder)
        results.show(self._console)
        return not results.wrong

    def _add_round(self, results: Results, failed_over: Callable[[], None]) -> None:
        """The next one. What breaks it is a result, too: its log is kept, and another follows."""
        seed = self.seed + results.rounds
        folder = self._folder / f"seed-{seed}"
        folder.mkdir()
        try:
            report = self._round(folder, seed, min(self.of_round, self.failovers - results.failovers), failed_over)
            figures, problems = report.figures() | {"times": report.scene.probes.times}, report.problems
        except Interrupted:
            raise
        except Exception:  # noqa: BLE001 - whatever it is
            problems = [traceback.format_exc()]
            figures = {"seed": seed, "problems": problems}
        results.add(figures)
        if problems:
            kept = folder.rename(_kept(self._folder, str(seed)))
            self._console.print(f"[bold red]SEED={seed} went wrong:[/] {kept}", soft_wrap=True)
            for problem in problems[:20]:
                self._console.print(f"✗ {problem}", markup=False, soft_wrap=True)
        else:
            shutil.rmtree(folder)

    def _round(self, folder: Path, seed: int, failovers: int, failed_over: Callable[[], None]) -> Report:
        self._console.print(
            f"chaos: TOPOLOGY={self.topology} SEED={seed} WAIT={self.wait_replicas}, {folder}", soft_wrap=True
        )
        scene = prepare(
            self.topology,
            folder,
            self._network,
            seed=seed,
            failovers=failovers,
            wait_replicas=self.wait_replicas,
            only=self.only,
        )
        asyncio.run(play(scene, failed_over))
        return Report(scene)

    def _bar(self) -> Progress:
        columns = (TextColumn("failovers, {task.description}"), BarColumn(), MofNCompleteColumn())
        return Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=self._console)
