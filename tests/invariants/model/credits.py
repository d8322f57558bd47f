"""What an account owns: grants, the order they are spent in, and the journal of every movement (R5, R9, R10, R19)."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import date
from typing import TYPE_CHECKING

from tests.invariants.model.margin import Worth, usual_worth
from tests.invariants.model.plans import Subscription

if TYPE_CHECKING:
    from tests.invariants.model.generations import Key, Member

BUCKETS = ("free", "subscription", "top_up")  # R5: burn order
ALERTS_THOUSANDTHS = (200, 0)
HOUR = 3_600_000

Changes = dict[str, tuple[int, int]]  # bucket → (change of available, change of held)


@dataclass
class Grant:
    number: int
    kind: str  # daily, monthly, top_up, operator, refund
    bucket: str
    available: int
    granted: int
    expires: int | None
    created: int
    held: int = 0
    worth: Worth = None  # R31: what was paid for a millicredit


@dataclass(frozen=True)
class Share:
    """The part of a price that was drawn from one grant."""

    grant: Grant
    amount: int


@dataclass(frozen=True, eq=False)
class Entry:
    number: int
    at: int
    kind: str
    changes: Changes
    available_after: int
    held_after: int
    generation: str | None
    by: str = ""  # R28: "key,member", if it has a generation with either


@dataclass
class Account:
    id: str
    now: int = 0  # account time: never goes back
    time: int = 0  # … as it was last written
    offset: int = 0
    test: bool = False
    grants: dict[int, Grant] = field(default_factory=dict)
    grant_count: int = 0
    daily: int = 0  # the numbers of today's free grant and of this cycle's allotment; 0: none
    monthly: int = 0
    revoked: tuple[int, ...] = ()
    owing: tuple[int, ...] = ()  # R33: what comes back of these pays the debt first
    returned: dict[int, int] = field(default_factory=dict)  # what was taken of a revoked grant as it came back
    debt: int = 0
    subscription: Subscription | None = None
    free_credits: bool | None = None  # what operators said; None: the card decides
    journal: list[Entry] = field(default_factory=list)
    alerted: frozenset[int] = frozenset()
    keys: dict[str, Key] = field(default_factory=dict)
    members: dict[str, Member] = field(default_factory=dict)
    keys_version: int = 0
    given_back: dict[str, int] = field(default_factory=dict)  # by bucket, the grant made for what operators gave back
    day: tuple[date, int] | None = None  # R26: the last that counted for a key, and when it ends

    def copy(self) -> Account:
        grants = {number: replace(grant) for number, grant in self.grants.items()}
        plan = self.subscription and replace(self.subscription)
        return replace(
            self, grants=grants, journal=list(self.journal), subscription=plan, returned=dict(self.returned),
            keys=dict(self.keys), members=dict(self.members), given_back=dict(self.given_back),
        )  # fmt: skip

    def available(self) -> int:
        return sum(grant.available for grant in self.grants.values())

    def record(self, kind: str, at: int, changes: Changes, generation: str | None = None, by: str = "") -> Entry:
        """R19: each entry is the one before plus its changes, and not older."""
        last = self.journal[-1] if self.journal else Entry(0, 0, "", {}, 0, 0, None)
        available = last.available_after + sum(credit for credit, _ in changes.values())
        held = last.held_after + sum(hold for _, hold in changes.values())
        entry = Entry(last.number + 1, max(at, last.at, self.time), kind, changes, available, held, generation, by)
        self.journal.append(entry)
        return entry

    def add(self, kind: str, bucket: str, amount: int, expires: int | None = None, at: int | None = None) -> int:
        self.grant_count += 1
        created, worth = self.now if at is None else at, usual_worth(kind, bucket)
        grant = Grant(self.grant_count, kind, bucket, amount, amount, expires, created, worth=worth)
        self.grants[self.grant_count] = grant
        return self.grant_count

    def collect_debt(self, number: int, at: int) -> None:
        """R33: what is granted for money pays the debt first."""
        grant = self.grants[number]
        if pays := min(grant.available, self.debt):
            grant.available -= pays
            self.debt -= pays
            self.drop_spent()
            self.record("revoke", at, {grant.bucket: (-pays, 0)})

    def remove(self, number: int) -> int:
        """Take a grant away, and say what was left of it."""
        grant = self.grants.pop(number, None)
        return grant.available if grant else 0

    def allocate(self, price: int, bucket: str | None = None) -> list[Share] | None:
        """R5: bucket, then earliest expiry, then oldest. None: there is not enough."""
        shares = []
        for grant in sorted(
            self.grants.values(),
            key=lambda grant: (BUCKETS.index(grant.bucket), grant.expires or float("inf"), grant.number),
        ):
            amount = min(grant.available, price) if bucket in {None, grant.bucket} else 0
            if amount > 0:
                shares.append(Share(grant, amount))
            price -= amount
        return None if price else shares

    def take(self, shares: list[Share], *, hold: bool) -> Changes:
        taken = Counter[str]()
        for share in shares:
            share.grant.available -= share.amount
            share.grant.held += share.amount if hold else 0
            taken[share.grant.bucket] += share.amount
        self.drop_spent()
        return {bucket: (-amount, amount if hold else 0) for bucket, amount in taken.items()}

    def end_hold(self, shares: list[Share], to_commit: int, generation: str, by: str, grace: int) -> list[Entry]:
        """R9, R10: commit what was drawn first; give back the rest to where it came from, last drawn first."""
        commit, refund, expire, revoke = (Counter[str]() for _ in range(4))
        returned = []
        for share in shares:
            kept = min(share.amount, to_commit - commit.total())
            commit[share.grant.bucket] += kept
            returned.append((share.grant, share.amount - kept))
            if share.grant.number in self.grants:
                self.grants[share.grant.number].held -= share.amount
        for grant, amount in reversed(returned):
            refund[grant.bucket] += amount
            if grant.number in self.revoked:
                revoke[grant.bucket] += amount
                self.returned[grant.number] = self.returned.get(grant.number, 0) + amount
            elif grant.number in self.owing and grant.number in self.grants:
                pays = min(amount, self.debt)
                self.debt -= pays
                revoke[grant.bucket] += pays
                self.grants[grant.number].available += amount - pays
            elif grant.number in self.grants:
                self.grants[grant.number].available += amount
            elif grant.kind == "refund":
                expire[grant.bucket] += amount
            elif amount:
                self._add_refund(grant.bucket, amount, grace, grant.worth)
        self.drop_spent()
        entries = []
        for kind, credit, hold, amounts in (
            ("commit", 0, -1, commit), ("refund", 1, -1, refund), ("expire", -1, 0, expire), ("revoke", -1, 0, revoke),
        ):  # fmt: skip
            if changes := {bucket: (credit * amount, hold * amount) for bucket, amount in (+amounts).items()}:
                entries.append(self.record(kind, self.now, changes, generation, by))
        return entries

    def _add_refund(self, bucket: str, amount: int, grace: int, worth: Worth) -> None:
        """R10: what cannot go back lives on for the grace, rounded up to the hour; equal bucket and expiry merge.

        R31: unless they are worth something else.
        """
        expires = -(-(self.now + grace) // HOUR) * HOUR
        for grant in self.grants.values():
            if (grant.kind, grant.bucket, grant.expires, grant.worth) == ("refund", bucket, expires, worth):
                grant.available += amount
                grant.granted += amount
                return
        self.grants[self.add("refund", bucket, amount, expires)].worth = worth

    def drop_spent(self) -> None:
        """Nothing left and nothing held: forgotten, but for today's and this cycle's."""
        for number, grant in list(self.grants.items()):
            if not grant.available and not grant.held and number not in {self.daily, self.monthly}:
                del self.grants[number]

    def alert(self) -> None:
        """An entry each time that what is available falls to a threshold of the monthly allotment."""
        whole = self.grants[self.monthly].granted if self.monthly else None
        reached = [
            part for part in ALERTS_THOUSANDTHS if whole is not None and self.available() <= whole * part // 1000
        ]
        for part in reached:
            if part not in self.alerted:
                self.record("alert", self.now, {})
        self.alerted = frozenset(reached)
