"""What an audit says: what it looked at, and each difference with what to do about it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum

DIFFERENCES_MAX = 1000
"""So many differences are kept in a report; the rest are only counted, so that a ruined ledger fits in memory too."""


class DifferenceKind(StrEnum):
    """What does not agree with what."""

    BALANCE = "balance"
    JOURNAL = "journal"
    HELD = "held"
    WORK = "work"
    WAITING = "waiting"
    DEADLINE = "deadline"
    SETTLED = "settled"
    RECENT = "recent"
    OUTPUTS = "outputs"
    TOTALS = "totals"
    WEBHOOK = "webhook"
    ORPHAN = "orphan"
    LIFETIME = "lifetime"
    UNREADABLE = "unreadable"


_MENDS = {
    DifferenceKind.BALANCE: (
        "Available credits must equal the sum of the grants. Find out who wrote to Redis without Farebox, then "
        "correct the balance with `farebox account adjust`"
    ),
    DifferenceKind.JOURNAL: (
        "Farebox never changes or removes entries. Compare with a copy of the append-only file, and find out who "
        "wrote to Redis without Farebox"
    ),
    DifferenceKind.HELD: (
        "Held credits without an open generation are never released. Set the account's held field, and the third "
        "part of its grant, to the expected value; if credits are missing after that, return them with `farebox "
        "account adjust`"
    ),
    DifferenceKind.WORK: (
        "Set the account's field to the actual number of generations: if it is too high, other generations wait; if "
        "too low, too many run"
    ),
    DifferenceKind.WAITING: (
        "The waiting room must contain exactly the waiting generations: use ZADD or ZREM on its key, or cancel the "
        "generation, which refunds it"
    ),
    DifferenceKind.DEADLINE: (
        "Without a deadline the caretaker never checks it: ZADD it with the current time in milliseconds. A deadline "
        "without an open generation does nothing: ZREM it"
    ),
    DifferenceKind.SETTLED: (
        "A generation must commit the delivered share and refund the rest. Read its receipt with `farebox "
        "generation`, then correct the account with `farebox account adjust`"
    ),
    DifferenceKind.RECENT: "Readable by id but not in the list. ZADD it to the account's `recent` with its created_at",
    DifferenceKind.OUTPUTS: (
        "If it is missing from `outputs`, its files are never deleted; if it is listed while open, they would be "
        "deleted too soon: ZADD or ZREM it"
    ),
    DifferenceKind.TOTALS: "Operators see a wrong number; credits are not affected. Set the field to the counted value",
    DifferenceKind.WEBHOOK: (
        "Credits are not affected, but events are not delivered. Do not rotate: ZADD the event to the webhook's "
        "`pending` and the webhook to the partition's `webhooks` with the current time in milliseconds, or DELETE "
        "the webhook through the API and create it again"
    ),
    DifferenceKind.ORPHAN: "Nothing reads it. Find out who wrote it or deleted its owner; DEL it once explained",
    DifferenceKind.LIFETIME: (
        "A permanent key with a TTL will be lost (PERSIST it); one without a TTL that should expire stays forever "
        "(PEXPIRE it as gateway/ledger/README.md says)"
    ),
    DifferenceKind.UNREADABLE: "Farebox did not write this. Restore it from a copy of the append-only file",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditDifference:
    """Two things that should agree and do not. `subject` is whose they are, in words; amounts in it are credits."""

    kind: DifferenceKind
    subject: str
    expected: str
    found: str
    account: str | None = None
    generation: str | None = None

    @property
    def mend(self) -> str:
        """What to do about it."""
        return _MENDS[self.kind]

    @property
    def identity(self) -> tuple[DifferenceKind, str]:
        """The same at two looks, while the figures in it may move on a live ledger."""
        return self.kind, self.subject

    def __str__(self) -> str:
        """Say it in one sentence, and what to do in another."""
        return f"{self.subject}: {self.kind}: expected {self.expected}, found {self.found}. {self.mend}."


@dataclass(slots=True)
class Report:
    """What an audit came to. Times are Redis's own, in milliseconds."""

    at: int
    finished: int = 0
    keys: int = 0
    accounts: int = 0
    generations: int = 0
    entries: int = 0
    unproved: tuple[str, ...] = ()
    """What changed so fast that no steady look at it succeeded: neither proved nor different. Findings again later."""
    differences: tuple[AuditDifference, ...] = ()
    counted: Counter[DifferenceKind] = field(default_factory=Counter)
    """All differences by kind, also those that were too many to keep."""

    @property
    def difference_count(self) -> int:
        """How many differences there are."""
        return self.counted.total()

    @property
    def clean(self) -> bool:
        """Whether everything agrees."""
        return not self.counted

    def add(self, difference: AuditDifference) -> None:
        """Note a difference."""
        self.counted[difference.kind] += 1
        if len(self.differences) < DIFFERENCES_MAX:
            self.differences = (*self.differences, difference)

    def could_not_prove(self, subject: str) -> None:
        """Note what never stood still."""
        if len(self.unproved) < DIFFERENCES_MAX:
            self.unproved = (*self.unproved, subject)
