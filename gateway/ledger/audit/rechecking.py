"""How the audit checks a ledger in use: consistently, and repeatedly before it reports a difference."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from gateway.errors import LedgerBroken
from gateway.ledger.audit.closed_days import Earnings
from gateway.ledger.audit.report import AuditDifference, DifferenceKind

CHECKS = 3
"""A difference is reported when this many checks, with pauses between them, have found it."""

UNREADABLE = (LedgerBroken, ValueError, LookupError, OverflowError)
"""What reading raises for unexpected data."""

_TRIES = 20
_PAUSE_SECONDS = 0.01
_PAUSE_MAX_SECONDS = 0.4


class Moved(Exception):
    """The data changed between two reads: this check proves nothing."""


@dataclass(slots=True)
class Findings:
    """The result of one check, and how much it covered."""

    differences: list[AuditDifference] = field(default_factory=list)
    generations: int = 0
    entries: int = 0
    earned: Earnings = field(default_factory=Earnings)

    def add(self, other: Findings) -> None:
        """Add the result of another check."""
        self.differences += other.differences
        self.generations += other.generations
        self.entries += other.entries
        self.earned.update(other.earned)


async def recheck(subject: str, check: Callable[[], Awaitable[Findings]]) -> Findings | None:
    """The last check's result, with only the differences found by every check; None if the data never stopped changing.

    One clean check is proof, so usually there is only one. Unreadable data is a difference too.
    """
    seen: Findings | None = None
    checks = 0
    for attempt in range(_TRIES):
        if attempt:
            await asyncio.sleep(min(_PAUSE_MAX_SECONDS, _PAUSE_SECONDS * 2**attempt))
        try:
            found = await readable(subject, check)
        except Moved:
            continue
        if seen is not None:
            before = {difference.identity for difference in seen.differences}
            found.differences = [one for one in found.differences if one.identity in before]
        seen, checks = found, checks + 1
        if not found.differences or checks == CHECKS:
            return found
    return None


def unreadable(subject: str, error: Exception) -> AuditDifference:
    """The difference for data that cannot be read, such as values that Farebox did not write."""
    problem = f"{type(error).__name__}: {error}".splitlines()[0]
    return AuditDifference(
        kind=DifferenceKind.UNREADABLE, subject=subject, expected="what gateway/ledger/README.md says", found=problem
    )


async def readable(subject: str, check: Callable[[], Awaitable[Findings]]) -> Findings:
    """One check, in which unreadable data is a difference."""
    try:
        return await check()
    except UNREADABLE as error:
        return Findings([unreadable(subject, error)])
