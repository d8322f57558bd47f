"""What was looked at, how often, and what was wrong with it. A check that looked at nothing proves nothing."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

SUBJECTS = (
    "credits given, by an independent sum",
    "prices, by an independent sum",
    "prices kept after the card changed",
    "rate cards taken by both gateways",
    "quotes honoured at their price",
    "quotes honoured after the card changed",
    "receipts that add up to the charge",
    "purchases granted once",
    "purchases declined",
    "payments said again",
    "calls with a revoked key",
    "clocks moved",
    "daily resets of moved clocks",
    "monthly refreshes of moved clocks",
    "refunds after a reset",
    "streams that told the end",
    "streams that came back after a break",
    "ends told to an account's stream",
    "lifetimes of keys",
    "jobs that followed another's verdict",
    "acceptances that were unknown",
    "late successes discarded and counted",
    "charges by what was reported, by an independent sum",
)
"""Each of them must have been looked at in a run of the long form."""


@dataclass(slots=True)
class Checks:
    """Counts by subject, and the problems as sentences."""

    seen: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)

    def that(self, holds: bool, subject: str, otherwise: str) -> None:  # noqa: FBT001 - it is what is checked
        """Count one more of a subject; if it does not hold, say what is so `otherwise`."""
        self.seen[subject] += 1
        if not holds:
            self.problems.append(otherwise)

    def never_looked(self) -> list[str]:
        """The subjects that nothing was seen of, each as a sentence."""
        return [f"nothing was checked of: {subject}" for subject in SUBJECTS if not self.seen[subject]]
