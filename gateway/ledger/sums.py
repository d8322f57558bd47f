"""The ledger's sums, which avoid scans: usage by day, tool and model; totals over all partitions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from gateway.ledger.records import pairs


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Sums over ended generations. `failed` counts those in state `failed`, not cancelled ones."""

    generations: int = 0
    outputs: int = 0
    credits_millicredits: int = 0
    failed: int = 0
    refunded_millicredits: int = 0

    def __add__(self, other: Counts) -> Counts:
        """Add two counts."""
        return Counts(
            generations=self.generations + other.generations,
            outputs=self.outputs + other.outputs,
            credits_millicredits=self.credits_millicredits + other.credits_millicredits,
            failed=self.failed + other.failed,
            refunded_millicredits=self.refunded_millicredits + other.refunded_millicredits,
        )


@dataclass(frozen=True, slots=True)
class Used:
    """One day's (`2026-11-22`) counts for one model of a tool."""

    day: str
    tool: str
    model: str
    counts: Counts


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums over all partitions. Counts by tool; amounts in millicredits."""

    accounts: int
    open: int
    held_millicredits: int
    waiting: Mapping[str, int]
    queued: Mapping[str, int]
    running: Mapping[str, int]
    overdue: int
    outcomes: Mapping[tuple[str, str, str, str], int]
    """Generations ended, by (tool, model, state, error code or "")."""
    rescues: Mapping[str, int]
    """Rescues by result: `promoted`, `dispatched`, `retried`, or the failure's code."""


def decode_usage(day: str, flat: Sequence[bytes]) -> Iterable[Used]:
    """Decode a day's counters, `tool|model|counter` → number, to one value per tool and model, sorted."""
    counters: dict[tuple[str, str], dict[str, int]] = {}
    for name, number in pairs(flat).items():
        tool, model, counter = name.split("|")
        counters.setdefault((tool, model), {})[counter] = int(number)
    for (tool, model), found in sorted(counters.items()):
        counts = Counts(
            generations=found.get("generations", 0),
            outputs=found.get("outputs", 0),
            credits_millicredits=found.get("credits", 0),
            failed=found.get("failed", 0),
            refunded_millicredits=found.get("refunded", 0),
        )
        yield Used(day, tool, model, counts)
