"""The report of an audit: what it checked, and each difference with its fix."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum

DIFFERENCES_MAX = 1000
"""How many differences a report keeps. The rest are only counted, so that a ruined ledger's report fits in memory."""


class DifferenceKind(StrEnum):
    """The kinds of differences."""

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
    MARGIN = "margin"
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
    DifferenceKind.RECENT: (
        "Readable by id but not in the list. ZADD it to the account's `recent`, and if it has a member to their "
        "`made_by`, with its created_at"
    ),
    DifferenceKind.OUTPUTS: (
        "If it is missing from `outputs`, its files are never deleted; if it is listed while open, they would be "
        "deleted too soon: ZADD or ZREM it"
    ),
    DifferenceKind.TOTALS: "Operators see a wrong number; credits are not affected. Set the field to the counted value",
    DifferenceKind.MARGIN: (
        "Credits are not affected, but `GET /v1/ops/margin` shows a wrong sum. If the rate card's time zone was "
        "changed, days before that may differ. Otherwise find out who wrote to Redis without Farebox, and set the "
        "rows of the day's `margin` to what its generations' receipts say"
    ),
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
    """Two values that should agree and do not. `subject` says whose, as text; amounts in text are credits."""

    kind: DifferenceKind
    subject: str
    expected: str
    found: str
    account: str | None = None
    generation: str | None = None

    @property
    def fix(self) -> str:
        """How to fix it."""
        return _MENDS[self.kind]

    @property
    def identity(self) -> tuple[DifferenceKind, str]:
        """What identifies it across checks: figures may change on a live ledger."""
        return self.kind, self.subject

    def __str__(self) -> str:
        """The difference in one sentence, its fix in another."""
        return f"{self.subject}: {self.kind}: expected {self.expected}, found {self.found}. {self.fix}."


@dataclass(slots=True)
class Report:
    """The result of an audit. Times are Redis's, in milliseconds."""

    at: int
    finished: int = 0
    keys: int = 0
    accounts: int = 0
    generations: int = 0
    entries: int = 0
    unproved: tuple[str, ...] = ()
    """Items that kept changing while they were checked: neither verified nor different. Run the audit again later."""
    differences: tuple[AuditDifference, ...] = ()
    counted: Counter[DifferenceKind] = field(default_factory=Counter)
    """The number of differences by kind, including those not kept."""

    @property
    def difference_count(self) -> int:
        """The number of differences."""
        return self.counted.total()

    @property
    def clean(self) -> bool:
        """Whether there are no differences."""
        return not self.counted

    def add(self, difference: AuditDifference) -> None:
        """Add a difference."""
        self.counted[difference.kind] += 1
        if len(self.differences) < DIFFERENCES_MAX:
            self.differences = (*self.differences, difference)

    def could_not_prove(self, subject: str) -> None:
        """Add an item that kept changing."""
        if len(self.unproved) < DIFFERENCES_MAX:
            self.unproved = (*self.unproved, subject)
