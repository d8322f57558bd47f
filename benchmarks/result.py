"""One row of the table: a figure beside its floor, round by round, and whether it meets its target.

Noise is stated, not assumed: it is what the rounds say when the best and the worst of them are left out. A median that
misses its target while some of those rounds meet it is a miss within noise.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

ROUNDS = 5


class Verdict(StrEnum):
    """What a row says of its target."""

    MET = "met"
    NOISE = "missed, within noise"
    MISSED = "MISSED"
    SHOWN = ""


@dataclass(frozen=True, slots=True)
class Target:
    """A limit for the ratio of a row, or for its figure where it has no floor."""

    limit: float
    at_least: bool

    def met_by(self, value: float) -> bool:
        """Whether `value` is on the right side."""
        return value >= self.limit if self.at_least else value <= self.limit

    def __str__(self) -> str:
        """Say it as the table does."""
        return f"{'≥' if self.at_least else '≤'} {self.limit:,g}"


def at_least(limit: float) -> Target:
    """The target of a row that should be large."""
    return Target(limit, at_least=True)


def at_most(limit: float) -> Target:
    """The target of a row that should be small."""
    return Target(limit, at_least=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What was measured, one number a round. Without `floors` the figure itself is held against the target."""

    what: str
    figures: Sequence[float]
    unit: str
    target: Target | None
    floors: Sequence[float] = ()
    floor: str = ""
    note: str = ""

    @property
    def values(self) -> list[float]:
        """What is held against the target, by round: the ratios, or the figures where there is no floor."""
        if not self.floors:
            return list(self.figures)
        return [figure / floor for figure, floor in zip(self.figures, self.floors, strict=True)]

    @property
    def median(self) -> float:
        """The median of the values."""
        return statistics.median(self.values)

    @property
    def noise(self) -> tuple[float, float]:
        """The lowest and highest value when the best and the worst of five rounds are left out."""
        ordered = sorted(self.values)
        middle = ordered[1:-1] if len(ordered) >= ROUNDS else ordered
        return middle[0], middle[-1]

    @property
    def verdict(self) -> Verdict:
        """Whether the target was met, missed, or missed by less than the rounds differ."""
        if self.target is None:
            return Verdict.SHOWN
        if self.target.met_by(self.median):
            return Verdict.MET
        return Verdict.NOISE if any(self.target.met_by(value) for value in self.noise) else Verdict.MISSED
