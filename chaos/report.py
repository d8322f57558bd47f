"""What a run says at its end: a table for people, and the same as JSON where REPORT= names a file."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from chaos.faults import FAULTS, Scene
from chaos.findings import Findings
from chaos.plan import Plan


@dataclass(slots=True)
class Report:
    """The figures of a run."""

    scene: Scene
    plan: Plan
    injected: Counter[str] = field(default_factory=Counter)
    findings: Findings = field(default_factory=Findings)
    phases: dict[str, int] = field(default_factory=dict)
    """What took how many seconds."""

    @property
    def problems(self) -> list[str]:
        """All that went wrong; none: nothing was lost."""
        unexpected = [f"logged as an error: {what} ({times} times)" for what, times in self._unexpected().items()]
        scene, checks = self.scene, self.scene.checks
        blind = [] if self.plan.short or self.plan.upgrade_from else checks.never_looked()
        return [*self.findings.problems, *scene.problems, *scene.load.problems, *checks.problems, *blind, *unexpected]

    def figures(self) -> dict[str, Any]:
        """Everything, by name."""
        load, said, box = self.scene.load, self.scene.processes.said, self.scene.boxes[0]
        return {
            "seed": self.plan.seed,
            "faults": {fault.name: self.injected[fault.name] for fault in FAULTS},
            "how the disks were filled": self.scene.outputs.how,
            "replaced, and what was open then": dict(self.scene.replaced),
            "requests": load.answers.total(),
            "answers": dict(sorted(load.answers.items())),
            "beside the orders": dict(load.counts),
            "acknowledged": len(load.acknowledged),
            "ended": dict(self.findings.ended),
            "outputs downloaded": self.findings.outputs,
            "jobs of the provider": len(box.jobs),
            "jobs of the one behind it": len(self.scene.boxes[1].jobs),
            "… asked for again": sum(job.asked_again for job in box.jobs.values()),
            "… asked to stop": sum(job.stopped for job in box.jobs.values()),
            "the provider's manners": dict(box.counts),
            "jobs without a generation": self.findings.jobs_without_generation,
            "acceptances that were unknown": sum(job.unknown for job in box.jobs.values()),
            "late successes discarded": len(said.late),
            "events accepted by the receiver": dict(self.scene.receiver.counts),
            "audits meanwhile": dict(self.scene.audits),
            "journal entries": self.findings.entries,
            "credits charged": str(self.findings.charged),
            "attempts": len(said.begun),
            "rescues": dict(said.rescues),
            "answers spoilt": sum(line.spoilt for line in self.scene.processes.lines.values()),
            "not taken by the store": dict(said.not_stored),
            "stale results refused": dict(said.refused),
            "overtaken attempts checked": len(self.scene.frozen),
            "seconds": self.phases,
            "checked": dict(self.scene.checks.seen),
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
        faults = Table("fault", "times", title=f"Faults, SEED={self.plan.seed}", title_justify="left")
        for name, times in figures["faults"].items():
            faults.add_row(name, str(times))
        faults.add_row("all", str(self.injected.total()), style="bold")
        console.print(faults)
        console.print(f"The full disks were {figures['how the disks were filled']}.")
        table = Table("count", "", title="What came of it", title_justify="left")
        for name, value in list(figures.items())[3:-6]:
            table.add_row(name, _text(value))
        for name, value in list(figures.items())[-5:-1]:
            table.add_row(name, str(value), style="bold green" if value == 0 else "bold red")
        console.print(table)
        checked = Table("what was checked", "times", title_justify="left")
        for name, times in sorted(figures["checked"].items()):
            checked.add_row(name, str(times))
        console.print(checked)
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


# What is said of a store that is full or away, of a ledger that is away at a start, of payments after declining.
_EXPECTED_ERRORS = ("STORE_UNAVAILABLE", "ledger_unavailable_at_start", "declined_checkout_was_paid")


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name}: {times}" for name, times in sorted(value.items(), key=lambda item: -item[1])) or "0"
    return str(value)
