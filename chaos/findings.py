"""What a run found in the books."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal


@dataclass(slots=True)
class Findings:
    """What is wrong, each as a sentence; and how much was looked at."""

    lost: list[str] = field(default_factory=list)
    double: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    differences: list[str] = field(default_factory=list)
    ended: Counter[str] = field(default_factory=Counter)
    jobs_without_generation: int = 0
    outputs: int = 0
    entries: int = 0
    charged: Decimal = Decimal(0)

    @property
    def problems(self) -> list[str]:
        """All that is wrong."""
        return [*self.lost, *self.double, *self.wrong, *self.differences]
