"""The state of a gateway's start, for `/readyz` and the log."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Startup:
    """Whether a compatible ledger was reached; until then every call that needs it gets a 503."""

    ready: bool = False
    listens: bool = False  # on its address
    problem: str = "no response from the ledger yet"
    durability: tuple[str, ...] = ()
    kept_otherwise: str | None = None

    @property
    def problems(self) -> tuple[str, ...]:
        """Problems that do not stop the gateway."""
        return (*self.durability, *(one for one in (self.kept_otherwise,) if one is not None))
