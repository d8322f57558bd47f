"""What every subject is given: how large the run is, its rounds, and the progress bar."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from rich.progress import Progress, TaskID

from benchmarks.plot import Plot
from benchmarks.result import ROUNDS, Result

ROUNDS_QUICK = 3


@dataclass(frozen=True, slots=True)
class Subject:
    """One file of this package: what it measures, and about how many seconds that takes."""

    name: str
    seconds: int
    measure: Callable[[Bench], Coroutine[Any, Any, Sequence[Result]]]


class Bench:
    """One run. `quick` measures the same in less time and with less data."""

    def __init__(self, *, quick: bool, progress: Progress, expected_seconds: float) -> None:
        self.quick = quick
        self._progress = progress
        self._task: TaskID = progress.add_task("", total=expected_seconds)
        self._seconds_of_subject = 0.0
        self._seconds_of_rounds = 0.0
        self._name = ""
        self.plots: list[Plot] = []

    def begin(self, subject: Subject) -> None:
        """Show that a subject is being measured."""
        self._name = subject.name
        self._seconds_of_subject = subject.seconds
        self._seconds_of_rounds = 0.0
        self.say("preparing")

    def end(self) -> None:
        """Show that it is done."""
        self._progress.advance(self._task, self._seconds_of_subject - self._seconds_of_rounds)

    def say(self, what: str) -> None:
        """Show what is going on."""
        self._progress.update(self._task, description=f"{self._name}: {what}")

    def draw(self, plot: Plot) -> None:
        """Show it on the page of results."""
        self.plots.append(plot)

    def size(self, full: int, quick: int) -> int:
        """How many, by the length of the run."""
        return quick if self.quick else full

    def rounds(self) -> Iterator[int]:
        """The numbers of the rounds, shown as they begin."""
        count = ROUNDS_QUICK if self.quick else ROUNDS
        for number in range(count):
            self.say(f"round {number + 1} of {count}")
            yield number
            share = self._seconds_of_subject / (count + 1)  # the rest is for what comes before the rounds
            self._seconds_of_rounds += share
            self._progress.advance(self._task, share)
