"""API keys and what they may spend in a period of the calendar (R26): by the rule's own words, without counters."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from gateway.ledger.accounts import key_id_of
from gateway.ledger.limits import Limit
from gateway.ledger.policy import Policy
from tests.invariants.model.accounts import Accounts, Answer
from tests.invariants.model.credits import Account
from tests.invariants.model.generations import OPEN, Generation, Key, Member
from tests.invariants.model.plans import EPOCH, MILLISECOND, day

PERIODS = ("daily", "weekly", "monthly", "never")
ONE_DAY = timedelta(days=1)
SAME: dict[str, Callable[[date, date], bool]] = {
    "daily": lambda one, other: one == other,
    "weekly": lambda one, other: one.isocalendar()[:2] == other.isocalendar()[:2],
    "monthly": lambda one, other: (one.year, one.month) == (other.year, other.month),
    "never": lambda _one, _other: True,
}


def midnight(policy: Policy, begins: date) -> int:
    return (datetime.combine(begins, time(), ZoneInfo(policy.timezone)).astimezone(UTC) - EPOCH) // MILLISECOND


def today(policy: Policy, now: int, known: tuple[date, int] | None) -> tuple[date, int]:
    """The day that counts now, and when it ends. A card with another time zone takes effect when it has ended."""
    if known and now < known[1]:
        return known
    local = day(policy, now).date()
    begun = max(one for one in (local - ONE_DAY, local, local + ONE_DAY) if midnight(policy, one) <= now)
    begun = max(begun, known[0]) if known else begun
    return begun, midnight(policy, begun + ONE_DAY)


def ends(policy: Policy, period: str, within: date) -> int | None:
    """When the period of a day ends: at the first midnight of a day that is not in it."""
    if period == "never":
        return None
    after = next(one for one in (within + n * ONE_DAY for n in range(1, 33)) if not SAME[period](within, one))
    return midnight(policy, after)


@dataclass
class Keys(Accounts):
    generations: dict[str, Generation] = field(default_factory=dict)
    stored_keys: dict[str, str] = field(default_factory=dict)
    """What leads from a key to its account."""

    def add_key(self, *, key: str, account: str, limit: Limit | None, member: str | None, **_: Any) -> Answer:
        if account not in self.accounts:
            return "NotFound", None
        a, name = self.accounts[account], key_id_of(key)
        if member and (member not in a.members or a.members[member].removed_at):
            return "Refused", "unknown_member"
        a.keys.setdefault(name, Key(name, self.clock))
        a.keys[name].limit = limit or a.keys[name].limit
        a.keys[name].member = member or a.keys[name].member
        digest = hashlib.sha256(key.encode()).hexdigest()
        self.stored_keys[name] = f"account,{account},{digest},{a.keys[name].created_at},"
        return "AccountKey", None

    def change_key(self, *, account: str, key_id: str, limit: Limit | None) -> Answer:
        if account not in self.accounts or key_id not in self.accounts[account].keys:
            return "NotFound", None
        a = self.rolled(account)
        a.keys[key_id].limit = limit if isinstance(limit, Limit) else None
        self.keep(a)
        return "Account", a.available()

    def revoke_key(self, *, account: str, key_id: str) -> Answer:
        a = self.accounts.get(account)
        if not a or not a.keys.pop(key_id, None):
            return "no", None
        a.keys_version += 1
        del self.stored_keys[key_id]
        return "yes", None

    # --- members (R25): they have limits, too ---

    def add_member(self, *, account: str, member: str, limit: Limit | None, **_: Any) -> Answer:
        if account not in self.accounts:
            return "NotFound", None
        a = self.rolled(account)
        if member not in a.members:
            role = "member" if any(not one.removed_at for one in a.members.values()) else "owner"
            came = max([self.clock, *(one.created_at + 1 for one in a.members.values())])
            a.members[member] = Member(member, role, came, limit)
        self.keep(a)
        return "Account", a.available()

    def change_member(self, *, account: str, member: str, limit: Limit | None) -> Answer:
        known = account in self.accounts and self.accounts[account].members.get(member)
        if not known or known.removed_at:
            return "NotFound", None
        a = self.rolled(account)
        known.limit = limit if isinstance(limit, Limit) else None
        self.keep(a)
        return "Account", a.available()

    def remove_member(self, *, account: str, member: str) -> Answer:
        """Their keys go with them; an owner goes last."""
        known = account in self.accounts and self.accounts[account].members.get(member)
        if not known or known.removed_at:
            return "NotFound", None
        a = self.rolled(account)
        if known.role == "owner" and sum(not one.removed_at for one in a.members.values()) > 1:
            return "Refused", "owner_stays"
        for key in [key for key in a.keys.values() if key.member == member]:
            del a.keys[key.id], self.stored_keys[key.id]
        known.removed_at, known.limit = self.clock, None
        a.keys_version += 1
        self.keep(a)
        return "Account", a.available()

    # --- what counts for a limit ---

    def counting(self, a: Account, key_id: str | None, price: int) -> tuple[date, tuple[Key | Member, ...]] | None:
        """For whom a generation of this price counts, and on which day."""
        key = a.keys.get(key_id or "")
        if not price or not key:
            return None
        a.day = today(self.policy, a.now, a.day)
        return a.day[0], (key, a.members[key.member]) if key.member else (key,)

    def used(self, whose: Key | Member, within: date, period: str) -> int:
        """R26: what is held and committed, less what was given back, of what was reserved in the period of a day."""
        return sum(
            g.request.price_millicredits if g.state in OPEN else g.committed - g.given_back
            for g in self.generations.values()
            if g.counted and whose in g.counted[1] and SAME[period](g.counted[0], within)
        )

    def reached(
        self, counted: tuple[date, tuple[Key | Member, ...]] | None, price: int
    ) -> tuple[str, int, int | None] | None:
        """If a limit has no room for the price: whose it is, how much of it is used, and when it begins anew."""
        within, levels = counted or (EPOCH.date(), ())
        for whose in levels:
            if limit := whose.limit:
                used = self.used(whose, within, limit.period)
                if used + price > limit.millicredits:
                    name = "key" if isinstance(whose, Key) else "member"
                    return name, used, ends(self.policy, limit.period, within)
        return None
