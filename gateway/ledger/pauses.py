"""What operators have paused (R36): an account, or a tool, model or provider in every partition."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway.clock import now_ms
from gateway.domain import PauseKind
from gateway.ledger import keys, outcomes
from gateway.ledger.core import LedgerCore
from gateway.ledger.records import clean_reason

if TYPE_CHECKING:
    from gateway.redis_link.calls import Reply

_FIELD = "pause"


@dataclass(frozen=True, slots=True)
class Pause:
    """A pause, as long as it lasts. `since` is real time (ms)."""

    kind: PauseKind
    name: str
    since: int
    reason: str


@dataclass(frozen=True, slots=True)
class Paused:
    """`reserve`: operators have paused what was asked for, or the account (R36)."""

    pause: Pause


def paused(kind: str, name: str, since: str, reason: str) -> Paused:
    """What `reserve` replies."""
    return Paused(Pause(PauseKind(kind), name, int(since), reason))


class PauseOperations(LedgerCore):
    """Pausing, resuming, and what is paused."""

    async def pause(self, *, kind: PauseKind, name: str, reason: str) -> outcomes.NotFound | Pause:
        """Create nothing new of it from now on; one that is paused already keeps its `since`, with a new reason.

        NotFound: there is no such account. A tool, model or provider is paused once its first partition says so.
        """
        reason = clean_reason(reason)
        word, rest = await self._set_pause(kind, name, reason)
        return Pause(kind, name, int(rest[0]), reason) if word == "paused" else outcomes.NotFound()

    async def end_pause(self, *, kind: PauseKind, name: str) -> bool:
        """End a pause everywhere; False if there was none."""
        word, _ = await self._set_pause(kind, name, None)
        return word == "ended"

    async def pauses(self) -> list[Pause]:
        """The tools, models and providers that are paused, oldest pause first. Accounts show their own."""
        found = []
        for field, text in (await self.published()).items():
            if field.startswith(f"{_FIELD}:"):
                _, kind, name = field.split(":", 2)
                since, _, reason = text.partition(",")
                found.append(Pause(PauseKind(kind), name, int(since), reason))
        return sorted(found, key=lambda pause: (pause.since, pause.kind, pause.name))

    async def _set_pause(self, kind: PauseKind, name: str, reason: str | None) -> tuple[str, Reply]:
        """Pause it for this reason; None ends the pause."""
        ends, now = reason is None, now_ms()  # the same in every partition

        async def change(key: str, field: str) -> tuple[str, Reply]:
            return await self.run("pause", key, field=field, ends=ends, reason=reason, now=now)

        if kind is PauseKind.ACCOUNT:
            return await change(self.account_key(name), _FIELD)
        field = f"{_FIELD}:{kind}:{name}"
        first, *others = (keys.policy(partition) for partition in range(self.partitions))
        # The first is what operators are shown: it says so when all others do what it says.
        await asyncio.gather(*(change(key, field) for key in others))
        return await change(first, field)
