"""Limits how many webhook calls one process makes at once, and how many of these go to slow receivers.

Without a limit, everything that is due after an outage would be called at once, and file descriptors run out. Without a
reserve for fast receivers, a few hundred receivers that hang would take all calls, and delay everybody else.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field

_REMEMBERED_MAX = 100_000  # names: some are of webhooks that no longer exist


@dataclass(frozen=True, slots=True)
class CallShare:
    """How many calls the caller may make now; 0 if the limit is reached."""

    calls: int
    slow: bool


@dataclass(slots=True)
class CallLimit:
    """At most `calls_max` at once, three quarters of them to receivers that were slow or failed the last time."""

    calls_max: int
    _taken: int = 0
    _by_slow: int = 0
    _slow: set[Hashable] = field(default_factory=set)

    @property
    def _slow_max(self) -> int:
        return max(1, self.calls_max * 3 // 4)

    @property
    def crowded(self) -> bool:
        """Whether slow receivers should yield after each call, so that each of them gets a turn."""
        return self._by_slow >= self._slow_max // 2

    def acquire(self, name: Hashable, wanted: int) -> CallShare:
        """As many of the `wanted` calls as the limit allows. The caller must `release` it."""
        slow = name in self._slow
        free = self.calls_max - self._taken
        if slow:
            free = min(free, self._slow_max - self._by_slow)
        share = CallShare(max(0, min(wanted, free)), slow)
        self._taken += share.calls
        self._by_slow += share.calls if slow else 0
        return share

    def release(self, share: CallShare) -> None:
        """Return a share when its calls are done."""
        self._taken -= share.calls
        self._by_slow -= share.calls if share.slow else 0

    def note_speed(self, name: Hashable, *, quick: bool) -> None:
        """Remember whether a receiver was quick the last time."""
        if quick:
            self._slow.discard(name)
        elif len(self._slow) < _REMEMBERED_MAX:
            self._slow.add(name)
