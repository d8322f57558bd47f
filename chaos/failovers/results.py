"""The results of many rounds: a file with a line of JSON for each, which is added to, and what they come to.

A round that went wrong stays in the file with its problems, and its failovers do not count.
"""

from __future__ import annotations

import json
import statistics
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

Line = dict[str, Any]
_SUMS = (
    "requests",
    "acknowledged",
    "slots moved",
    "outputs downloaded",
    "attempts",
    "journal entries",
    "lost",
    "double",
    "wrong",
    "differences of the audit",
)
_SUMS_BY_NAME = ("failovers by fault", "faults", "answers", "audits meanwhile", "rescues", "errors logged")


class Results:
    """The lines of one topology with one setting of FAREBOX_WAIT_REPLICAS; others in the same file are left alone."""

    def __init__(self, path: Path, topology: str, wait_replicas: int) -> None:
        self.path = path
        self._own = {"topology": topology, "FAREBOX_WAIT_REPLICAS": wait_replicas}
        lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
        self._lines: list[Line] = [line for line in lines if self._own.items() <= line.items()]

    @property
    def rounds(self) -> int:
        """How many there are, also those that went wrong."""
        return len(self._lines)

    @property
    def failovers(self) -> int:
        """Those of the rounds that held."""
        return sum(line["failovers"] for line in self._lines if not line["problems"])

    @property
    def wrong(self) -> list[Line]:
        """The rounds that went wrong."""
        return [line for line in self._lines if line["problems"]]

    def add(self, figures: Line) -> None:
        """Append the figures of a round, which has `problems` if it went wrong."""
        line = {"ended at": datetime.now(UTC).isoformat(timespec="seconds"), **self._own, **figures}
        self._lines.append(line)
        with self.path.open("a") as file:
            file.write(json.dumps(line) + "\n")

    def show(self, console: Console) -> None:
        """What all rounds that held come to, as a table, then the problems of the others."""
        table = Table("count", "", title=" ".join(map(str, self._own.values())), title_justify="left")
        for name, value in summary([line for line in self._lines if not line["problems"]]).items():
            table.add_row(name, value)
        console.print(table)
        for line in self.wrong:
            console.print(f"✗ SEED={line['seed']}: {line['problems']}", markup=False, soft_wrap=True)


def summary(lines: Sequence[Line]) -> dict[str, str]:
    """The figures of several rounds as one; times in seconds, median and worst of all."""
    said = {
        "rounds": str(len(lines)),
        "failovers": str(sum(line["failovers"] for line in lines)),
    }
    for name in _SUMS_BY_NAME:
        counts: Counter[str] = Counter()
        for line in lines:
            counts.update(line[name])
        said[name] = ", ".join(f"{kind}: {times}" for kind, times in counts.most_common()) or "0"
    said |= {name: str(sum(line[name] for line in lines)) for name in _SUMS}
    times: dict[str, list[float]] = {}
    for line in lines:
        for kind, seconds in line["times"].items():
            times.setdefault(kind, []).extend(seconds)
            times.setdefault("all", []).extend(seconds)
    for kind, seconds in times.items():
        middle, worst = statistics.median(seconds), max(seconds)
        said[f"accepted again after: {kind}"] = f"median {middle:.1f}, worst {worst:.1f} ({len(seconds)} times)"
    return said
