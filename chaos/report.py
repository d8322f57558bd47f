"""What a run says at its end: a table for people, and the same as JSON where REPORT= names a file."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from chaos.counting import Findings
from chaos.faults import FAULTS, Scene


@dataclass(slots=True)
class Report:
    """The figures of a run."""

    seed: int
    scene: Scene
    injected: Counter[str]
    findings: Findings = field(default_factory=Findings)
    seconds: float = 0

    @property
    def problems(self) -> list[str]:
        """All that went wrong; none: nothing was lost."""
        unexpected = [f"logged as an error: {what} ({times} times)" for what, times in self._unexpected().items()]
        return [*self.findings.problems, *self.scene.problems, *self.scene.load.problems, *unexpected]

    def figures(self) -> dict[str, Any]:
        """Everything, by name."""
        load, said, box = self.scene.load, self.scene.processes.said, self.scene.box
        return {
            "seed": self.seed,
            "seconds": round(self.seconds),
            "faults": {fault.name: self.injected[fault.name] for fault in FAULTS},
            "how the disk was filled": self.scene.disk.how,
            "requests": load.answers.total(),
            "answers": dict(sorted(load.answers.items())),
            "beside the orders": dict(load.counts),
            "acknowledged": len(load.acknowledged),
            "ended": dict(self.findings.ended),
            "outputs downloaded": self.findings.outputs,
            "jobs of the provider": len(box.jobs),
            "… asked for again": sum(job.asked_again for job in box.jobs.values()),
            "… asked to stop": sum(job.stopped for job in box.jobs.values()),
            "the provider's manners": dict(box.counts),
            "events accepted by the receiver": dict(self.scene.receiver.counts),
            "audits meanwhile": dict(self.scene.audits),
            "journal entries": self.findings.entries,
            "credits charged": str(self.findings.charged),
            "attempts": len(said.begun),
            "rescues": dict(said.rescues),
            "answers spoilt": sum(line.spoilt for line in self.scene.processes.lines.values()),
            "found no room on the disk": dict(said.not_stored),
            "stale results refused": dict(said.refused),
            "overtaken attempts checked": len(self.scene.frozen),
            "lost": len(self.findings.lost),
            "double": len(self.findings.double),
            "wrong": len(self.findings.wrong),
            "differences of the audit": len(self.findings.differences),
            "problems": self.problems,
        }

    def write(self, path: Path) -> None:
        """As JSON."""
        path.write_text(json.dumps(self.figures(), indent=2))

    def show(self, console: Console) -> None:
        """As tables, then every problem."""
        figures = self.figures()
        faults = Table("fault", "times", title=f"Faults, SEED={self.seed}", title_justify="left")
        for name, times in figures["faults"].items():
            faults.add_row(name, str(times))
        faults.add_row("all", str(self.injected.total()), style="bold")
        console.print(faults)
        console.print(f"The outputs' full disk was {figures['how the disk was filled']}.")
        table = Table("count", "", title=f"What came of it, after {figures['seconds']} s", title_justify="left")
        for name, value in list(figures.items())[4:-5]:
            table.add_row(name, _text(value))
        for name, value in list(figures.items())[-5:-1]:
            table.add_row(name, str(value), style="bold green" if value == 0 else "bold red")
        console.print(table)
        self.show_problems(console)

    def show_problems(self, console: Console) -> None:
        """What is wrong as far as is known: also for a run that broke off."""
        for problem in self.problems:
            console.print(f"✗ {problem}", markup=False, soft_wrap=True)

    def _unexpected(self) -> Counter[str]:
        """Lines of the level `error` that no fault explains: somewhere an exception nobody had thought of."""
        return Counter(
            {
                what: times
                for what, times in self.scene.processes.said.errors.items()
                if not what.endswith(_EXPECTED_ERRORS)
            }
        )


# What a full disk has to say, and a gateway that starts while its ledger is away.
_EXPECTED_ERRORS = ("output_not_stored", "ledger_unavailable_at_start")


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name}: {times}" for name, times in sorted(value.items(), key=lambda item: -item[1])) or "0"
    return str(value)
