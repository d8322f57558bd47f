"""What is paused, as callers are shown it (R36): read from the ledger once a second at most, as long as anybody asks.

It decides nothing: `reserve` and `begin` read the pauses themselves.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from time import monotonic
from typing import TypeVar

from cachetools import TTLCache

from gateway.domain import NewOnes, PauseKind, State
from gateway.errors import LedgerUnavailable
from gateway.ledger import outcomes
from gateway.ledger.ledger import Ledger
from gateway.ledger.pause_records import Pause, pause_of_all

READ_AGAIN_SECONDS = 1.0
PATIENCE_SECONDS = 2.0
_ACCOUNTS_KEPT = 4096

T = TypeVar("T")

Named = dict[tuple[PauseKind, str], Pause]


class _NotKept:
    """Instead of a kept value, which may be None: nothing is paused."""


_NOT_KEPT = _NotKept()


class PauseBoard:
    """The pauses in force. While the ledger is unavailable, nothing is shown as paused."""

    def __init__(self, ledger: Ledger, *, clock: Callable[[], float] = monotonic) -> None:
        self._ledger = ledger
        self._named: TTLCache[str, Named | None] = TTLCache(1, READ_AGAIN_SECONDS, timer=clock)
        self._accounts: TTLCache[str, Pause | None] = TTLCache(_ACCOUNTS_KEPT, READ_AGAIN_SECONDS, timer=clock)

    def forget(self) -> None:
        """Read again: this gateway has changed one."""
        self._named.clear()
        self._accounts.clear()

    async def named(self) -> Named:
        """The paused tools, models and providers."""

        async def read() -> Named:
            return {(pause.kind, pause.name): pause for pause in await self._ledger.pauses()}

        return await _kept(self._named, "", read) or {}

    async def of_generations(self, generations: Sequence[outcomes.Generation]) -> list[Pause | None]:
        """What holds each of them; None: nothing, or it has started."""
        if not any(map(_may_be_held, generations)):
            return [None] * len(generations)
        named = await self.named()
        return [await self._of(one, named) if _may_be_held(one) else None for one in generations]

    async def _of(self, generation: outcomes.Generation, named: Named) -> Pause | None:
        async def read() -> Pause | None:
            return await self._ledger.pause_of(account=generation.account)

        own = await _kept(self._accounts, generation.account, read)
        asked = generation.request
        places = ((PauseKind.TOOL, asked.tool), (PauseKind.MODEL, asked.model))
        by_provider = [named.get((PauseKind.PROVIDER, name)) for name in asked.providers or (asked.provider,)]
        found = [pause for pause in (own, *map(named.get, places), pause_of_all(by_provider)) if pause is not None]
        return min(found, key=lambda pause: pause.new is NewOnes.WAIT, default=None)  # as `lua/lib/pauses.lua` does


def _may_be_held(generation: outcomes.Generation) -> bool:
    return generation.state in {State.WAITING, State.QUEUED} and generation.provider_ref is None


async def _kept(kept: TTLCache[str, T | None], name: str, read: Callable[[], Awaitable[T | None]]) -> T | None:
    known = kept.get(name, _NOT_KEPT)  # one look: an entry may expire between `in` and `[]`
    if not isinstance(known, _NotKept):
        return known
    value = None
    with suppress(LedgerUnavailable, TimeoutError):  # the rate card is shown also while the ledger hangs
        value = await asyncio.wait_for(read(), PATIENCE_SECONDS)
    kept[name] = value
    return value
