"""What was paid and what that covers: the rule of credits that follow money, in fractions.

It knows each line of a paid invoice by what the customer paid for: which plan, from when to when, for how much. It
shares no code with the scripts, and knows neither events nor their order.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from fractions import Fraction


@dataclass(frozen=True)
class Terms:
    """What a plan gives a month, and what a month of it costs."""

    monthly: int
    cents: int


@dataclass(frozen=True)
class Paid:
    """One line of a paid invoice. `whole`: a whole period; else the rest of one, or, below zero, what went back of it.

    `cycle` is the number of the monthly cycle that it counts for.
    """

    id: str
    cycle: int
    terms: Terms
    cents: int
    whole: bool
    part: Fraction = Fraction(1)
    """How much of the cycle's time it is for."""

    def covers(self) -> Fraction:
        """Millicredits. Never more than its money or its time is worth; what goes back, never less."""
        if self.whole:
            return Fraction(self.terms.monthly if self.cents > 0 else 0)
        by_money, all_of_it = Fraction(abs(self.cents), self.terms.cents), Fraction(1)
        if self.cents > 0:
            return self.terms.monthly * min(all_of_it, by_money, self.part)
        return -self.terms.monthly * min(all_of_it, max(by_money, self.part))


def covered(lines: Iterable[Paid], cycle: int) -> Fraction:
    """What a cycle is due: the sum of its lines, where the same period paid for twice counts once."""
    mine = [line for line in lines if line.cycle == cycle]
    whole = max((line.covers() for line in mine if line.whole), default=Fraction(0))
    return max(Fraction(0), whole + sum((line.covers() for line in mine if not line.whole), Fraction(0)))


@dataclass
class Money:
    """An account's subscription: what was paid, and what was used of each cycle's credits."""

    lines: dict[str, Paid] = field(default_factory=dict)
    used: dict[int, int] = field(default_factory=dict)
    set_off: dict[int, Fraction] = field(default_factory=dict)
    cycle: int = 0

    def pay(self, line: Paid) -> None:
        """Once, however often it is said."""
        self.lines.setdefault(line.id, line)
        self._settle()

    def use(self, millicredits: int) -> None:
        """Of the current cycle's credits."""
        self.used[self.cycle] = self.used.get(self.cycle, 0) + millicredits

    def turn(self, cycle: int) -> None:
        """A cycle begins; what was not used of the one before is gone, and owes nothing."""
        self._settle()
        self.cycle = cycle
        self._settle()

    def available(self) -> Fraction:
        """What is there to use now: what was granted and not used."""
        due = covered(self.lines.values(), self.cycle)
        return max(Fraction(0), due - self.set_off.get(self.cycle, Fraction(0)) - self.used.get(self.cycle, 0))

    def owed(self) -> Fraction:
        """What earlier cycles used beyond what was paid for, and was not set off yet."""
        past = {*self.used, *self.set_off} - {self.cycle}
        return sum(
            (
                max(Fraction(0), self.used.get(number, 0) - self._due(number)) - self.set_off.get(number, Fraction(0))
                for number in past
            ),
            Fraction(0),
        )

    def _due(self, cycle: int) -> Fraction:
        return covered(self.lines.values(), cycle) - self.set_off.get(cycle, Fraction(0))

    def _settle(self) -> None:
        self.set_off[self.cycle] = min(covered(self.lines.values(), self.cycle), self.owed())
