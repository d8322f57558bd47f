"""The ledger's sums, which avoid scans: usage by day, tool, model, key, member and tag; totals over all partitions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from gateway.ledger.archiving import StoredUsage
from gateway.ledger.records import pairs

UsageBy = Literal["key", "tag"]
"""What usage can be divided by besides day, tool and model: keys and members, or a tag."""

USAGE_DAYS_AT_ONCE = 10
"""How many days are read in one call if they are divided: each has up to 3,000 rows."""


@dataclass(frozen=True, slots=True)
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

    def __sub__(self, other: Counts) -> Counts:
        """What these have more than the others."""
        return Counts(
            generations=self.generations - other.generations,
            outputs=self.outputs - other.outputs,
            credits_millicredits=self.credits_millicredits - other.credits_millicredits,
            failed=self.failed - other.failed,
            refunded_millicredits=self.refunded_millicredits - other.refunded_millicredits,
        )


@dataclass(frozen=True, slots=True)
class Used:
    """One day's (`2026-11-22`) counts for one model of a tool; if they were read by key or by tag, for one of these.

    None: no key or member, or no such tag. OTHER: one of those that came when a day's rows were full.
    """

    day: str
    tool: str
    model: str
    counts: Counts
    key: str | None = None
    member: str | None = None
    tag: str | None = None


OTHER = "other"


def older_usage(stored: StoredUsage, by: UsageBy | None, tag: str | None) -> list[list[bytes]]:
    """A day's sums from the archive as the script `usage` replies with them."""
    rows: Mapping[str, str] = stored.by_key if by == "key" else {}
    if by == "tag":
        rows = {name: sums for name, sums in stored.by_tag.items() if name.split("|", 2)[2].partition("\t")[0] == tag}
    return [_flat(stored.sums), _flat(rows)]


def _flat(fields: Mapping[str, str]) -> list[bytes]:
    return [text.encode() for pair in fields.items() for text in pair]


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


def decode_parts(day: str, flat: Sequence[bytes], rows: Sequence[bytes], by: UsageBy) -> Iterable[Used]:
    """The same, divided by the rows of keys and members, or of a tag; what is in no row comes last, with None.

    A row is `tool|model|key|member` or `tool|model|name, tab, value` → generations,outputs,credits,failed,refunded.
    """
    left = {(used.tool, used.model): used.counts for used in decode_usage(day, flat)}
    for name, numbers in sorted(pairs(rows).items()):
        tool, model, part = name.split("|", 2)
        counts = Counts(*map(int, numbers.split(",")))
        left[tool, model] = left.get((tool, model), Counts()) - counts
        if by == "tag":
            yield Used(day, tool, model, counts, tag=part.partition("\t")[2])
        else:
            key, _, member = part.partition("|")
            yield Used(day, tool, model, counts, key=key or None, member=member or None)
    for (tool, model), counts in left.items():
        if counts != Counts():
            yield Used(day, tool, model, counts)
