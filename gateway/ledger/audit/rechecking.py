"""How the audit looks at what changes meanwhile: steadily, and again before it says that something is wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from gateway.errors import LedgerBroken
from gateway.ledger.audit.report import AuditDifference, DifferenceKind

CHECKS = 3
"""A difference is reported when this many looks, with a pause between them, have found it."""

UNREADABLE = (LedgerBroken, ValueError, LookupError, OverflowError)
"""What reading raises where a script or a text finds something else than it should."""

_TRIES = 20
_PAUSE_SECONDS = 0.01
_PAUSE_MAX_SECONDS = 0.4


class Moved(Exception):
    """What was being read in several pieces changed between two of them: this look proves nothing."""


@dataclass(slots=True)
class Findings:
    """What one look at something found, and how much it looked at."""

    differences: list[AuditDifference] = field(default_factory=list)
    generations: int = 0
    entries: int = 0

    def add(self, other: Findings) -> None:
        """Take in what another look found."""
        self.differences += other.differences
        self.generations += other.generations
        self.entries += other.entries


async def recheck(subject: str, check: Callable[[], Awaitable[Findings]]) -> Findings | None:
    """What the last look saw, with only those differences that every look found; None if it never stood still.

    One clean look is proof, so the usual cost is one. Text that cannot be read is a difference too.
    """
    seen: Findings | None = None
    looks = 0
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
        seen, looks = found, looks + 1
        if not found.differences or looks == CHECKS:
            return found
    return None


def unreadable(subject: str, error: Exception) -> AuditDifference:
    """Something stands there that Farebox did not write."""
    problem = f"{type(error).__name__}: {error}".splitlines()[0]
    return AuditDifference(
        kind=DifferenceKind.UNREADABLE, subject=subject, expected="what gateway/ledger/README.md says", found=problem
    )


async def readable(subject: str, check: Callable[[], Awaitable[Findings]]) -> Findings:
    """One look, in which what cannot be read is a difference."""
    try:
        return await check()
    except UNREADABLE as error:
        return Findings([unreadable(subject, error)])
