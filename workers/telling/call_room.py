"""How many calls of receivers one process makes at once, and how many of these go to receivers that are slow.

Without a bound, everything that is due after an outage would be called at once, and file descriptors run out. Without a
share for the quick, a few hundred receivers that hang would hold all calls, and delay everybody else.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field

_REMEMBERED_MAX = 100_000  # names: some are of webhooks that are long gone


@dataclass(frozen=True, slots=True)
class Share:
    """Calls that somebody may make now; none if there is no room."""

    calls: int
    slow: bool


@dataclass(slots=True)
class CallRoom:
    """Calls at most `calls_max`, and three quarters of that to receivers that were slow or failed the last time."""

    calls_max: int
    _taken: int = 0
    _by_slow: int = 0
    _slow: set[Hashable] = field(default_factory=set)

    @property
    def _slow_max(self) -> int:
        return max(1, self.calls_max * 3 // 4)

    @property
    def crowded(self) -> bool:
        """Whether the slow should leave after each call, so that all of them have a turn."""
        return self._by_slow >= self._slow_max // 2

    def take(self, name: Hashable, wanted: int) -> Share:
        """As many of the `wanted` calls as there is room for; `give_back` must follow."""
        slow = name in self._slow
        room = self.calls_max - self._taken
        if slow:
            room = min(room, self._slow_max - self._by_slow)
        share = Share(max(0, min(wanted, room)), slow)
        self._taken += share.calls
        self._by_slow += share.calls if slow else 0
        return share

    def give_back(self, share: Share) -> None:
        """The calls are over."""
        self._taken -= share.calls
        self._by_slow -= share.calls if share.slow else 0

    def judge(self, name: Hashable, *, quick: bool) -> None:
        """Remember how a receiver was the last time."""
        if quick:
            self._slow.discard(name)
        elif len(self._slow) < _REMEMBERED_MAX:
            self._slow.add(name)
