"""What a run with a topology says at its end."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from chaos.failovers.nodes import Nodes

if TYPE_CHECKING:
    from chaos.failovers.round import Scene

_EXPECTED_ERRORS = ("ledger_unavailable_at_start", "LEDGER_UNAVAILABLE")


@dataclass(slots=True)
class Report:
    """The figures of a run."""

    scene: Scene

    @property
    def problems(self) -> list[str]:
        """All that went wrong. Without waiting for replicas a loss is a figure, and only the books must add up."""
        scene, findings = self.scene, self.scene.findings
        unexpected = [
            f"logged as an error: {what} ({times} times)"
            for what, times in scene.installation.said.errors.items()
            if not what.endswith(_EXPECTED_ERRORS)
        ]
        if not scene.wait_replicas:
            return findings.differences
        return [*findings.problems, *scene.problems, *scene.load.problems, *scene.checks.problems, *unexpected]

    def figures(self) -> dict[str, Any]:
        """Everything, by name."""
        scene, load, said = self.scene, self.scene.load, self.scene.installation.said
        return {
            "topology": scene.name,
            "seed": scene.seed,
            "FAREBOX_WAIT_REPLICAS": scene.wait_replicas,
            "failovers": scene.failovers.total(),
            "failovers by fault": dict(scene.failovers),
            "faults": dict(scene.injected),
            "could servers be cut off": scene.topology.network.may_cut,
            "slots moved": scene.topology.moved if isinstance(scene.topology, Nodes) else 0,
            "seconds until something was accepted": scene.probes.figures(),
            "requests": load.answers.total(),
            "answers": dict(sorted(load.answers.items())),
            "acknowledged": len(load.acknowledged),
            "ended": dict(scene.findings.ended),
            "outputs downloaded": scene.findings.outputs,
            "attempts": len(said.begun),
            "rescues": dict(said.rescues),
            "audits meanwhile": dict(scene.audits),
            "journal entries": scene.findings.entries,
            "errors logged": dict(said.errors),
            "seconds": scene.seconds,
            "lost": len(scene.findings.lost),
            "double": len(scene.findings.double),
            "wrong": len(scene.findings.wrong),
            "differences of the audit": len(scene.findings.differences),
            "problems": self.problems,
            "what was lost": scene.findings.lost[:50],
        }

    def write(self, path: Path) -> None:
        """As JSON."""
        path.write_text(json.dumps(self.figures(), indent=2))

    def show(self, console: Console) -> None:
        """As a table, then every problem."""
        table = Table("count", "", title=f"TOPOLOGY={self.scene.name} SEED={self.scene.seed}", title_justify="left")
        for name, value in self.figures().items():
            if name not in {"problems", "what was lost"}:
                table.add_row(name, _text(value))
        console.print(table)
        for problem in self.problems[:100]:
            console.print(f"✗ {problem}", markup=False, soft_wrap=True)


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name}: {_text(times)}" for name, times in value.items()) or "0"
    return str(value)
