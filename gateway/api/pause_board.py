"""What is paused, as callers are shown it (R36): read from the ledger once a second at most, as long as anybody asks.

It decides nothing: `reserve` and `begin` read the pauses themselves.
"""

from __future__ import annotations

import asyncio
from asyncio import Future
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from time import monotonic
from typing import TypeVar

from cachetools import TTLCache

from gateway.domain import NewOnes, PauseKind, State
from gateway.errors import LedgerUnavailable
from gateway.ledger import outcomes
from gateway.ledger.ledger import Ledger
from gateway.ledger.pause_records import Pause, pause_of_all
from gateway.tasks import done

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

    def of_generations(self, generations: Sequence[outcomes.Generation]) -> Future[list[Pause | None]]:
        """What holds each of them; None: nothing, or it has started.

        What is not known is asked before this is awaited, in one round trip with what else its caller asks.
        """
        accounts = {one.account for one in generations if _may_be_held(one)}
        if not accounts:
            return done([None] * len(generations))
        if (known := self._known(accounts)) is not None:
            return done(_of_all(generations, *known))
        if "" in self._named and len(accounts) == 1:  # most often: one task
            return asyncio.ensure_future(self._read(generations, *accounts))
        found = asyncio.gather(self.named(), asyncio.gather(*map(self._own, accounts)))
        return asyncio.ensure_future(_once_read(generations, accounts, found))

    async def _read(self, generations: Sequence[outcomes.Generation], account: str) -> list[Pause | None]:
        return _of_all(generations, await self.named(), {account: await self._own(account)})

    def _known(self, accounts: Collection[str]) -> tuple[Named, Mapping[str, Pause | None]] | None:
        """What is paused by name, and each of these accounts; None: it must be read."""
        named = self._named.get("", _NOT_KEPT)
        own = {account: self._accounts.get(account, _NOT_KEPT) for account in accounts}
        known = {account: pause for account, pause in own.items() if not isinstance(pause, _NotKept)}
        return None if isinstance(named, _NotKept) or len(known) < len(own) else (named or {}, known)

    async def _own(self, account: str) -> Pause | None:
        async def read() -> Pause | None:
            return await self._ledger.pause_of(account=account)

        return await _kept(self._accounts, account, read)


async def _once_read(
    generations: Sequence[outcomes.Generation], accounts: Iterable[str], found: Future[tuple[Named, list[Pause | None]]]
) -> list[Pause | None]:
    named, own = await found
    return _of_all(generations, named, dict(zip(accounts, own, strict=True)))


def _of_all(
    generations: Sequence[outcomes.Generation], named: Named, own: Mapping[str, Pause | None]
) -> list[Pause | None]:
    return [_of(one, named, own[one.account]) if _may_be_held(one) else None for one in generations]


def _of(generation: outcomes.Generation, named: Named, own: Pause | None) -> Pause | None:
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
        async with asyncio.timeout(PATIENCE_SECONDS):
            value = await read()
    kept[name] = value
    return value
