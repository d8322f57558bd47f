"""How long a run is and what is in it, from the environment."""

from __future__ import annotations

import os
from dataclasses import dataclass

STEPS = 20_000


@dataclass(frozen=True, slots=True)
class Plan:
    """One run. `short`: few clients, quick faults, nobody hangs. `only`: the actors of a short run, or none: all.

    `upgrade_from`: the version to upgrade from and to go back to, instead of faults; empty: none.
    """

    seed: int
    steps: int
    faults: int | None
    seconds: float
    short: bool
    only: frozenset[str]
    upgrade_from: str = ""

    @classmethod
    def from_environment(cls) -> Plan:
        """As the variables say that `__main__` describes."""
        faults, upgrade_from = os.environ.get("FAULTS"), os.environ.get("UPGRADE_FROM", "")
        short = os.environ.get("SHORT", "") not in {"", "0"}
        return cls(
            seed=int(os.environ.get("SEED", "1")),
            steps=int(os.environ.get("STEPS", "0" if short or upgrade_from else str(STEPS))),
            faults=int(faults) if faults is not None else None,
            seconds=60 * float(os.environ.get("MINUTES", "7.5")),
            short=short,
            only=frozenset(filter(None, os.environ.get("ONLY", "").split(","))),
            upgrade_from=upgrade_from,
        )
