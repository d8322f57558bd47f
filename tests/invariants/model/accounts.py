"""What operators and purchases do to an account: R2 to R5, R11, R12, R22, R24.

The calls are those of `gateway.ledger`. An answer is a word, the name of a class of its outcomes, and what else must be
right about it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from functools import wraps
from typing import Any

from gateway.ledger.policy import PlanTerms, Policy
from tests.invariants.model.credits import Account, Grant
from tests.invariants.model.plans import MONTHS, Subscription, add_months, free, reset, roll, start

Answer = tuple[str, Any]


class Refused(Exception):
    """An operator's change that is not to be."""


@dataclass
class Checkout:
    credits: int
    price: Decimal
    status: str = "open"
    grant: int = 0
    due: int = 0  # what is to be taken back in all; how much of it was asked of the grant; how much there was
    asked: int = 0
    taken: int = 0
    owed: int = 0
    granted_at: int = 0
    begun_at: int = 0
    said: dict[str, tuple[int, Fraction, int | None]] = field(default_factory=dict)
    """Of each refund and dispute the latest word: when, which part of the money, when a bounced refund was made."""

    @property
    def worth(self) -> Fraction:
        """R31: of a millicredit, in micro-units."""
        return Fraction(self.price * 1_000_000) / self.credits


def once(change: Callable[..., Any]) -> Callable[..., Answer]:
    """R11: a change is made once. A refusal leaves no trace: what it had changed was a copy."""

    @wraps(change)
    def method(self: Accounts, *, account: str, operation: str, **asked: Any) -> Answer:
        if account not in self.accounts:
            return "NotFound", None
        if (account, operation) in self.done:
            return "Applied", (self.done[account, operation], [])
        a = self.rolled(account)
        try:
            note = change(self, a, **asked)
        except Refused as refusal:
            return "Refused", str(refusal)
        self.keep(a)
        self.done[account, operation] = note
        return "Applied", (note, self.promote(a) if change.__name__ in {"subscribe", "change"} else [])

    return method


@dataclass
class Accounts:
    policy: Policy
    clock: int
    accounts: dict[str, Account] = field(default_factory=dict)
    checkouts: dict[tuple[str, str], Checkout] = field(default_factory=dict)
    done: dict[tuple[str, str], int | None] = field(default_factory=dict)

    def promote(self, a: Account, *tools: str) -> list[Answer]:
        raise NotImplementedError

    def rolled(self, account: str) -> Account:
        """A copy, brought to its now: `keep` it, or drop it and nothing has changed."""
        a = self.accounts[account].copy()
        a.now = max(a.time, self.clock + a.offset)
        roll(a, self.policy)
        return a

    def keep(self, a: Account) -> None:
        a.alert()
        a.time = a.now
        self.accounts[a.id] = a

    def entitled(self, a: Account) -> PlanTerms:
        return self.policy.plans[a.subscription.plan] if a.subscription else self.policy.free

    def put_account(self, *, account: str, free_credits: bool | None = None) -> Answer:
        """Who is verified gets today's free credits, if it got none; otherwise nothing but the flag is written."""
        self.accounts.setdefault(account, Account(account))
        had = self.accounts[account].free_credits
        if free_credits is not None:
            self.accounts[account].free_credits = free_credits
        a = self.rolled(account)
        daily = a.grants[a.daily]
        if free_credits and not had and daily.granted == 0 and free(a, self.policy):
            reset(a, self.policy, int(daily.expires or 0), a.now)
            self.keep(a)
        return "Account", None

    def account(self, *, account: str) -> Answer:
        """Read, rolled forward; what rolling changed is written."""
        if account not in self.accounts:
            return "NotFound", None
        a = self.rolled(account)
        a.alert()
        if len(a.journal) > len(self.accounts[account].journal):
            self.keep(a)
        return "Account", a.available()

    def publish(self, policy: Policy) -> Answer:
        newer = policy.file_time_ms >= self.policy.file_time_ms
        self.policy = policy if newer else self.policy
        return "yes" if newer else "no", None

    @once
    def advance(self, a: Account, *, advance_ms: int) -> None:
        a.offset, a.test = a.offset + advance_ms, True
        a.now = max(a.now, self.clock + a.offset)
        roll(a, self.policy)

    @once
    def grant(
        self, a: Account, *, bucket: str, millicredits: int, expires_at: int | None, reason: str, paid_micro: int | None
    ) -> int:
        del reason
        if expires_at is not None and expires_at <= a.now:
            raise Refused("expires_in_past")
        a.record("grant", a.now, {bucket: (millicredits, 0)})
        number = a.add("operator", bucket, millicredits, expires_at)
        a.grants[number].worth = Fraction(paid_micro or 0, millicredits)
        return number

    @once
    def adjust(self, a: Account, *, bucket: str, millicredits: int, reason: str) -> int | None:
        """R24: added with the bucket's current expiry; or taken in burn order, of what is available only."""
        del reason
        plan = a.subscription
        if millicredits > 0:
            if bucket == "subscription" and not plan:
                raise Refused("no_subscription")
            ends = a.grants[a.daily].expires if bucket == "free" else None
            if plan and bucket == "subscription":
                ends = min(plan.refreshes, plan.ends or plan.refreshes)
            number = a.add("operator", bucket, millicredits, ends)
        else:
            shares, number = a.allocate(-millicredits, bucket), None
            if shares is None:
                raise Refused("not_available")
            a.take(shares, hold=False)
        a.record("adjust", a.now, {bucket: (millicredits, 0)})
        return number

    @once
    def subscribe(
        self, a: Account, *, plan: str, interval: str, started_at: int | None = None, paid_through: int | None = None
    ) -> None:
        """R2, R12. The active plan without a new start: it goes on, and nothing is minted."""
        own = a.subscription
        self._must_sell(plan)
        if started_at is not None and started_at > a.now:
            raise Refused("starts_in_future")
        if paid_through is not None and paid_through <= a.now:
            raise Refused("paid_through_past")
        if not own or own.plan != plan or started_at not in {None, own.anchor}:
            start(a, self.policy, (plan, interval), a.now if started_at is None else started_at, paid_through)
        elif (own.interval, own.paid_through, own.cancelled_to) != (interval, paid_through, None):
            own.worth = own.worth if own.interval == interval else ""
            own.interval, own.paid_through, own.cancelled_to = interval, paid_through, None
            a.record("change", a.now, {})

    @once
    def change(self, a: Account, *, plan: str, interval: str | None, when: str) -> None:
        """R12: now, or at the end of what is paid for. To what there is already: it only unschedules."""
        own = self._subscribed(a)
        interval = interval or own.interval
        self._must_sell(plan)
        wanted = None if (plan, interval) == (own.plan, own.interval) else (plan, interval, own.period_end)
        if wanted and when == "now":
            start(a, self.policy, (plan, interval), a.now, own.paid_through and add_months(a.now, MONTHS[interval]))
        elif wanted != own.scheduled:
            own.scheduled, own.cancelled_to = wanted, None if wanted else own.cancelled_to
            a.record("change", a.now, {})

    @once
    def unsubscribe(self, a: Account, *, when: str) -> None:
        """R3: at the end of what is paid for, or at once."""
        own = self._subscribed(a)
        at = a.now if when == "now" else own.period_end
        if own.cancelled_to is None or own.cancelled_to > at:
            own.cancelled_to, own.scheduled = at, None
            a.record("change", a.now, {})
            roll(a, self.policy)

    @once
    def resume(self, a: Account) -> None:
        own = self._subscribed(a)
        if own.cancelled_to or own.scheduled:
            own.cancelled_to = own.scheduled = None
            a.record("change", a.now, {})

    def _subscribed(self, a: Account) -> Subscription:
        if not a.subscription:
            raise Refused("no_subscription")
        return a.subscription

    def _must_sell(self, plan: str) -> None:
        if plan not in self.policy.plans:
            raise Refused("unknown_plan")

    # --- purchases: applied once, in whatever order they are told ---

    def check_out(self, *, account: str, checkout: str, millicredits: int, price: Decimal, **_: Any) -> Answer:
        """R4: top-ups can be bought only while a subscription is active."""
        if account not in self.accounts:
            return "NotFound", None
        if (account, checkout) not in self.checkouts:
            if not self.rolled(account).subscription:
                return "Refused", "subscription_required"
            self.checkouts[account, checkout] = Checkout(millicredits, price, begun_at=self.clock)
        return "Checkout", self.checkouts[account, checkout].status

    def decline(self, *, account: str, checkout: str) -> Answer:
        if not (c := self.checkouts.get((account, checkout))):
            return "NotFound", None
        c.status = "declined" if c.status == "open" else c.status
        return "Checkout", c.status

    def pay(self, *, account: str, checkout: str, ref: str) -> Answer:
        del ref
        if not (c := self.checkouts.get((account, checkout))):
            return "NotFound", None
        if c.status != "open":
            return ("Checkout", "declined") if c.status == "declined" else ("Paid", (False, []))
        a, c.status = self.rolled(account), "paid"
        c.grant, c.granted_at = a.add("top_up", "top_up", c.credits), a.now
        a.grants[c.grant].worth = c.worth
        a.record("grant", a.now, {"top_up": (c.credits, 0)})
        a.collect_debt(c.grant, a.now)
        self._follow_money(a, c)
        self.keep(a)
        return "Paid", (True, self.promote(a))

    def take_back(
        self, *, account: str, checkout: str, part: Fraction, of: str = "charge", at: int = 0, made: int | None = None
    ) -> Answer:
        """R33: so much of the money is out by one refund or dispute."""
        if not (c := self.checkouts.get((account, checkout))):
            return "NotFound", None
        known = c.said.get(of)
        if known and known[:2] >= (at, part):
            return "TakenBack", False
        c.said[of] = (at, part, made)
        before, c.due = c.due, due_of(c)
        a = self.rolled(account)
        self._follow_money(a, c)
        self.keep(a)
        return "TakenBack", c.due != before

    def _follow_money(self, a: Account, c: Checkout) -> None:
        """Its own grant only: down by what is left of it, up by what was taken of it (R10, R33)."""
        if not c.grant or c.due == c.asked:
            return
        more, c.asked = c.due - c.asked, c.due
        if more > 0:
            self._take(a, c, more)
        else:
            self._give(a, c)

    def _take(self, a: Account, c: Checkout, more: int) -> None:
        everything, grant = c.due == c.credits, a.grants.get(c.grant)
        owing = self.policy.spent_is_owed
        taken = 0
        if everything and not owing and c.grant not in a.revoked:
            a.revoked += (c.grant,)
        if grant:
            if owing and grant.held and c.grant not in a.owing:
                a.owing += (c.grant,)
            taken = min(grant.available, c.credits - c.taken if everything else more)
            grant.available -= taken
        owed = max(more - taken, 0) if owing else 0
        a.debt += owed
        c.owed += owed
        c.taken += taken + owed
        a.drop_spent()
        if taken or owed:
            a.record("revoke", a.now, {"top_up": (-taken, 0)})

    def _give(self, a: Account, c: Checkout) -> None:
        taken = c.taken + a.returned.pop(c.grant, 0)
        a.revoked = tuple(number for number in a.revoked if number != c.grant)
        back = max(taken - c.due, 0)
        c.taken = taken - back
        if not back:
            return
        waived = min(back, c.owed, a.debt)
        c.owed = max(c.owed - back, 0)
        a.debt -= waived
        if back > waived:
            if c.grant not in a.grants:
                a.grants[c.grant] = Grant(c.grant, "top_up", "top_up", 0, c.credits, None, c.granted_at, worth=c.worth)
            a.grants[c.grant].available += back - waived
        a.record("grant", a.now, {"top_up": (back - waived, 0)})


def due_of(c: Checkout) -> int:
    """How many of the credits the money that is out stands for, exactly."""
    total_at, total, _ = c.said.get("charge", (-1, Fraction(0), None))
    refunds = disputes = Fraction(0)
    for of, (at, part, made) in c.said.items():
        if of.startswith("dispute:"):
            disputes += part
        elif made is not None:
            total -= part if made <= total_at <= at else 0
        elif of != "charge":
            refunds += part
    back = min(max(total, refunds) + disputes, Fraction(1))
    return c.credits * back.numerator // back.denominator
