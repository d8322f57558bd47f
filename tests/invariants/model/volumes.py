"""Graduated prices: how many outputs of a model were ordered in a calendar month, counted from the generations."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import date

from gateway.domain import Volume
from tests.invariants.model.corrections import Corrections
from tests.invariants.model.credits import Account
from tests.invariants.model.generations import OPEN
from tests.invariants.model.keys import SAME, today


@dataclass
class Volumes(Corrections):
    ordered_on: defaultdict[str, dict[str, date]] = field(default_factory=lambda: defaultdict(dict))
    """Account → model → the day of its last order."""

    def ordered(self, account: str, model: str, within: date) -> int:
        """What was ordered in the month of a day, and is in work or delivered."""
        its = [g for g in self.generations.values() if g.account == account and g.request.model == model]
        month = [g for g in its if g.ordered_on and SAME["monthly"](g.ordered_on, within)]
        return sum(g.request.outputs if g.state in OPEN else len(g.outputs) for g in month)

    def today(self, a: Account) -> date:
        a.day = today(self.policy, a.now, a.day)
        return a.day[0]

    def moved(self, a: Account, model: str, volume: Volume) -> int | None:
        """How many were ordered this month, if the price is for another number."""
        ordered = self.ordered(a.id, model, self.today(a))
        holds = volume.least <= ordered and (volume.most is None or ordered <= volume.most)
        return None if holds else ordered
