"""What a run of schemathesis did, read from its report of events."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Report:
    """Per call its answers by status, and how often each check was made."""

    answers: Mapping[str, Counter[int]]
    checks: Counter[str]

    @property
    def cases(self) -> int:
        """How many requests were answered."""
        return sum(answers.total() for answers in self.answers.values())

    def table(self) -> str:
        """The calls, their cases and their answers, as Markdown."""
        rows = []
        for call, answers in sorted(self.answers.items(), key=lambda row: row[0].split()[::-1]):
            statuses = ", ".join(f"{status} × {count}" for status, count in sorted(answers.items()))
            rows.append(f"| `{call}` | {answers.total()} | {statuses} |")
        return "\n".join(["| call | cases | answers |", "|---|---|---|", *rows])


def read_report(path: Path) -> Report:
    """Read the events that `--report ndjson` wrote."""
    answers: defaultdict[str, Counter[int]] = defaultdict(Counter)
    checks: Counter[str] = Counter()
    for recorder in _recorders(path):
        for interaction in recorder.get("interactions", {}).values():
            answers[recorder["label"]][interaction["response"]["status_code"]] += 1
        for made in recorder.get("checks", {}).values():
            checks.update(check["name"] for check in made)
    return Report(dict(answers), checks)


def _recorders(path: Path) -> Iterator[dict[str, Any]]:
    with path.open() as lines:
        for line in lines:
            event = json.loads(line)
            if "ScenarioFinished" in event:
                yield event["ScenarioFinished"]["recorder"]
