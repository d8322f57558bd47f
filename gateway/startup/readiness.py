"""What a gateway knows of its own start: `/readyz` and the log say it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Startup:
    """Whether the ledger was reached and found to be ours; until then every call that needs it answers 503."""

    ready: bool = False
    listens: bool = False  # at its address
    problem: str = "no response from the ledger yet"
    durability: tuple[str, ...] = ()
    kept_otherwise: str | None = None

    @property
    def problems(self) -> tuple[str, ...]:
        """What an operator should look at, though it works."""
        return (*self.durability, *(one for one in (self.kept_otherwise,) if one is not None))
