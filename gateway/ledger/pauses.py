"""What operators have paused (R36): an account, or a tool, model or provider in every partition.

While it is paused, no generation of it starts, except that a provider goes on with a job it already has. What is new is
refused, or waits with the others. Their time in the queue or the waiting room stands still: `lua/lib/standstill.lua`.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from gateway.clock import now_ms
from gateway.domain import NewOnes, PauseKind
from gateway.ledger import keys, outcomes
from gateway.ledger.core import LedgerCore
from gateway.ledger.pause_records import Pause, how_paused, stored_pause
from gateway.ledger.records import clean_reason

if TYPE_CHECKING:
    from gateway.redis_link.calls import Reply

_FIELD = "pause"


class PauseOperations(LedgerCore):
    """Pausing, resuming, and what is paused."""

    async def pause(
        self,
        *,
        kind: PauseKind,
        name: str,
        reason: str,
        new: NewOnes = NewOnes.REFUSE,
        until: int | None = None,
    ) -> outcomes.NotFound | Pause:
        """Start nothing of it from now on; one that is paused already keeps its `since`, with the rest as given.

        NotFound: there is no such account. A tool, model or provider is paused once its first partition says so.
        """
        reason = clean_reason(reason)
        word, rest = await self._set_pause(kind, name, reason, how_paused(new, until))
        return Pause(kind, name, int(rest[0]), reason, new, until) if word == "paused" else outcomes.NotFound()

    async def end_pause(self, *, kind: PauseKind, name: str) -> bool:
        """End a pause everywhere; False if there was none."""
        word, _ = await self._set_pause(kind, name, None, "")
        return word == "ended"

    async def pauses(self) -> list[Pause]:
        """The tools, models and providers that are paused, oldest pause first. Accounts show their own."""
        found = []
        for field, text in (await self.published()).items():
            if field.startswith(f"{_FIELD}:"):
                _, kind, name = field.split(":", 2)
                found.append(stored_pause(PauseKind(kind), name, text))
        return sorted(
            (pause for pause in found if pause is not None), key=lambda pause: (pause.since, pause.kind, pause.name)
        )

    async def pause_of(self, *, account: str) -> Pause | None:
        """The pause of an account."""
        text = await self.command("HGET", self.account_key(account), _FIELD)
        return stored_pause(PauseKind.ACCOUNT, account, text and text.decode())

    async def _set_pause(self, kind: PauseKind, name: str, reason: str | None, how: str) -> tuple[str, Reply]:
        """Pause it for this reason; None ends the pause."""
        ends, now = reason is None, now_ms()  # the same in every partition

        async def change(key: str, field: str) -> tuple[str, Reply]:
            return await self.run("pause", key, field=field, ends=ends, how=how, reason=reason, now=now)

        if kind is PauseKind.ACCOUNT:
            return await change(self.account_key(name), _FIELD)
        field = f"{_FIELD}:{kind}:{name}"
        first, *others = (keys.policy(partition) for partition in range(self.partitions))
        # The first is what operators are shown: it says so when all others do what it says.
        await asyncio.gather(*(change(key, field) for key in others))
        return await change(first, field)
