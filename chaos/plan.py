"""How long a run is and what is in it, from the environment."""

from __future__ import annotations

import os
from dataclasses import dataclass

STEPS = 20_000


@dataclass(frozen=True, slots=True)
class Plan:
    """One run. `short`: few clients, quick faults, nobody hangs. `only`: the actors of a short run, or none: all."""

    seed: int
    steps: int
    faults: int | None
    seconds: float
    short: bool
    only: frozenset[str]

    @classmethod
    def from_environment(cls) -> Plan:
        """As the variables say that `__main__` describes."""
        faults = os.environ.get("FAULTS")
        short = os.environ.get("SHORT", "") not in {"", "0"}
        return cls(
            seed=int(os.environ.get("SEED", "1")),
            steps=int(os.environ.get("STEPS", "0" if short else str(STEPS))),
            faults=int(faults) if faults is not None else None,
            seconds=60 * float(os.environ.get("MINUTES", "7.5")),
            short=short,
            only=frozenset(filter(None, os.environ.get("ONLY", "").split(","))),
        )
