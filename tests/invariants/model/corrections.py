"""What operators give back of what a generation was charged (R24, R36): once, and to what paid for it."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field

from gateway.domain import partition_of_generation
from tests.invariants.model.accounts import Answer
from tests.invariants.model.credits import HOUR, Account, Grant, Share
from tests.invariants.model.generations import OPEN, Generation
from tests.invariants.model.margin import Sums, count_correction
from tests.invariants.model.plans import day
from tests.invariants.model.tokens import Tokens


@dataclass
class Corrections(Tokens):
    margin: defaultdict[tuple[int, str], Sums] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(Counter))
    )
    """R31: by partition and day."""

    def adjust_generation(self, *, generation: str, operation: str, reason: str) -> Answer:
        del reason
        if not (g := self.generations.get(generation)):
            return "NotFound", None
        if g.given_back_by == operation:
            return "GivenBack", g.given_back
        if g.state in OPEN or not g.committed or g.given_back:
            return "Refused", "open" if g.state in OPEN else "given_back" if g.committed else "nothing_charged"
        a = self.rolled(g.account)
        shares = self._give_back(a, g)
        given = Counter[str]()
        for share, amount in zip(g.shares, shares, strict=True):
            given[share.grant.bucket] += amount
        given = +given
        if not given:
            return "Refused", "payment_returned"
        g.given_back, g.given_back_by = given.total(), operation
        by = g.by or ","  # an entry with a reason has a place for it
        changes = {bucket: (amount, 0) for bucket, amount in given.items()}
        g.entries.append(a.record("adjust", a.now, changes, g.id, by))
        g.given_back_on = f"{day(self.policy, a.now):%Y-%m-%d}"
        count_correction(self.margin[partition_of_generation(g.id), g.given_back_on], g, shares)
        self.spend(a.id, g.token, -g.given_back)
        self.keep(a)
        return "GivenBack", g.given_back

    def _give_back(self, a: Account, g: Generation) -> list[int]:
        """By share: what was drawn first was charged. Of a purchase whose payment was returned, it is nobody's."""
        left, given = g.committed, [0] * len(g.shares)
        for place, share in enumerate(g.shares):
            amount = min(share.amount, left)
            left -= amount
            if amount and share.grant.number not in a.revoked:
                grant = a.grants.get(share.grant.number) or self._successor(a, share)
                grant.available += amount
                grant.granted = max(grant.granted, grant.available + grant.held)
                given[place] = amount
        return given

    def _successor(self, a: Account, share: Share) -> Grant:
        """Of a purchase's grant the same again; of any other one that lasts as long as its bucket's do now."""
        old, plan = share.grant, a.subscription
        if old.kind == "top_up":
            a.grants[old.number] = Grant(old.number, old.kind, old.bucket, 0, 0, None, a.now, worth=old.worth)
            return a.grants[old.number]
        ends = a.grants[a.daily].expires if old.bucket == "free" else None
        if old.bucket == "subscription":
            grace = -(-(a.now + self.policy.refund_grace_ms) // HOUR) * HOUR
            ends = min(plan.refreshes, plan.ends or plan.refreshes) if plan else grace
        made = a.grants.get(a.given_back.get(old.bucket, 0))
        if made and (made.expires, made.worth) == (ends, old.worth):
            return made
        a.given_back[old.bucket] = a.add("operator", old.bucket, 0, ends)
        a.grants[a.given_back[old.bucket]].worth = old.worth
        return a.grants[a.given_back[old.bucket]]
