"""What time does to an account: resets, refreshes, expiries, scheduled changes and lapses (R1, R2, R3, R12, R19)."""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from gateway.ledger.policy import Policy
from tests.invariants.model.margin import Worth, worth_of_plan, worth_text

if TYPE_CHECKING:
    from tests.invariants.model.credits import Account

MONTHS = {"monthly": 1, "quarterly": 3, "yearly": 12}
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)


def add_months(at: int, months: int) -> int:
    """R2: the same day and time of day, `months` later; in a shorter month its last day."""
    moment = EPOCH + at * MILLISECOND
    year, month = divmod(moment.year * 12 + moment.month - 1 + months, 12)
    day = min(moment.day, monthrange(year, month + 1)[1])
    return (moment.replace(year=year, month=month + 1, day=day) - EPOCH) // MILLISECOND


def day(policy: Policy, now: int) -> datetime:
    return (EPOCH + now * MILLISECOND).astimezone(ZoneInfo(policy.timezone))


def resets(policy: Policy, now: int) -> tuple[int, int]:
    """R1: the last reset at or before `now`, and the next."""
    midnight = day(policy, now).replace(tzinfo=None, fold=0, hour=0, minute=0, second=0, microsecond=0)
    walls = [midnight + timedelta(days=days) + policy.reset_ms * MILLISECOND for days in range(-2, 3)]
    instants = [(wall.replace(tzinfo=ZoneInfo(policy.timezone)) - EPOCH) // MILLISECOND for wall in walls]
    return max(at for at in instants if at <= now), min(at for at in instants if at > now)


@dataclass
class Subscription:
    plan: str
    interval: str
    anchor: int
    cycle: int  # how many months have begun since the anchor
    paid_through: int | None
    cancelled_to: int | None = None
    scheduled: tuple[str, str, int] | None = None
    worth: str = ""  # R31: of the credits of the paid interval, as text; "": not known yet

    @property
    def refreshes(self) -> int:
        return add_months(self.anchor, self.cycle + 1)

    @property
    def ends(self) -> int | None:
        """R3. None: it renews itself."""
        return min((at for at in (self.paid_through, self.cancelled_to) if at is not None), default=None)

    @property
    def period_end(self) -> int:
        months = MONTHS[self.interval]
        return self.paid_through or add_months(self.anchor, (self.cycle // months + 1) * months)


def roll(a: Account, policy: Policy) -> None:
    """Let happen what is due, the earliest first; at one instant in the order of `_due`."""
    while True:
        due = [event for event in _due(a, policy) if event[0] <= a.now]
        if not due:
            return
        at, what, number = min(due, key=lambda event: event[0])
        plan = a.subscription
        if what == "expire":
            bucket = a.grants[number].bucket
            if left := a.remove(number):
                a.record("expire", at, {bucket: (-left, 0)})
        elif what == "reset":
            reset(a, policy, resets(policy, a.now)[1], at)
        elif what == "lapse":
            gone = sum(a.remove(grant.number) for grant in list(a.grants.values()) if grant.kind == "monthly")
            a.subscription, a.monthly = None, 0
            a.record("lapse", at, {"subscription": (-gone, 0)})
        elif plan and what == "refresh":
            refresh(a, policy, plan.cycle + 1, at)
        elif plan and plan.scheduled:
            a.subscription = Subscription(*plan.scheduled[:2], at, 0, plan.paid_through, plan.cancelled_to)
            a.record("change", at, {})
            refresh(a, policy, 0, at)


def free(a: Account, policy: Policy) -> int:
    """What a reset gives (R1)."""
    verified = not policy.free_for_verified if a.free_credits is None else a.free_credits
    return policy.daily_millicredits if verified and (policy.free_for_everyone or not a.subscription) else 0


def reset(a: Account, policy: Policy, ends: int, at: int) -> None:
    """Set today's free credits."""
    left, amount = a.remove(a.daily), free(a, policy)
    a.daily = a.add("daily", "free", amount, ends, at)
    if amount or left:
        a.record("reset", at, {"free": (amount - left, 0)})


def _due(a: Account, policy: Policy) -> Iterator[tuple[int, str, int]]:
    """What comes next of each kind: when, what, the grant's number."""
    for number, grant in sorted(a.grants.items()):
        if grant.expires and number not in {a.daily, a.monthly}:
            yield grant.expires, "expire", number
    if plan := a.subscription:
        if plan.ends is not None:
            yield plan.ends, "lapse", 0
        if plan.scheduled:
            yield plan.scheduled[2], "change", 0
        yield plan.refreshes, "refresh", 0
    # R1, R19: resets that nobody saw are one. A card with another reset time does not reset before today's ran out.
    ran_out = a.grants[a.daily].expires if a.daily else 0
    if ran_out is not None and ran_out <= a.now:
        yield max(ran_out, resets(policy, a.now)[0]), "reset", 0


def refresh(a: Account, policy: Policy, cycle: int, at: int) -> None:
    """R2: a new cycle sets the allotment; what was left of the one before is gone."""
    assert a.subscription
    a.subscription.cycle = cycle
    left, amount = a.remove(a.monthly), policy.plans[a.subscription.plan].monthly_millicredits
    a.monthly = a.add("monthly", "subscription", amount, a.subscription.refreshes, at)
    a.grants[a.monthly].worth = _worth(a.subscription, policy)
    a.record("refresh", at, {"subscription": (amount - left, 0)})
    a.collect_debt(a.monthly, at)


def _worth(plan: Subscription, policy: Policy) -> Worth:
    """R31: what is paid for an interval is what the card says as it begins."""
    if not plan.worth or plan.cycle % MONTHS[plan.interval] == 0:
        plan.worth = worth_text(worth_of_plan(policy, plan.plan, MONTHS[plan.interval]))
    return None if plan.worth == "?" else Fraction(plan.worth)


def start(a: Account, policy: Policy, plan: tuple[str, str], anchor: int, paid_through: int | None) -> None:
    """R2, R12: begin a plan with the current cycle's credits; what was left of another stays, or goes."""
    was, old, a.monthly = a.subscription, a.monthly, 0
    if not policy.keep_upgrade_leftover and (left := a.remove(old)):
        a.record("expire", a.now, {"subscription": (-left, 0)})
    a.drop_spent()
    if was:
        a.record("change", a.now, {})
    cycle = next(months for months in range(10_000) if add_months(anchor, months + 1) > a.now)
    a.subscription = Subscription(*plan, anchor, cycle, paid_through)
    refresh(a, policy, cycle, a.now)
