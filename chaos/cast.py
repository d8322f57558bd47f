"""All who act beside the clients' orders, and what is counted of them."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from chaos.actor import Actor
from chaos.buying import Buyer
from chaos.cards import CardKeeper
from chaos.checks import Checks
from chaos.clocks import ClockMover
from chaos.keyring import Keyring
from chaos.load import Load
from chaos.plan import Plan
from chaos.printing import Prints
from chaos.quoting import Quoter
from chaos.streams import Streams

_WITH = {"quotes": {"quotes", "cards"}}
"""Who cannot act without another."""


class Cast:
    """From `open` to `close`. Only those act whom the plan names; the card's history is always known."""

    def __init__(self, load: Load, checks: Checks, plan: Plan, card: Path, prints: Prints) -> None:
        self.cards = CardKeeper(load, checks, plan.seed, card)
        self.streams = Streams(load, checks, plan.seed)
        actors = (
            self.cards,
            self.streams,
            Quoter(load, checks, plan.seed, self.cards),
            Buyer(load, checks, plan.seed),
            ClockMover(load, checks, plan.seed),
            Keyring(load, checks, plan.seed),
            prints,
        )
        unknown = plan.only - {actor.name for actor in actors}
        if unknown:
            names = ", ".join(actor.name for actor in actors)
            raise ValueError(f"ONLY={','.join(sorted(unknown))} is nobody; there are {names}")
        named = {each for name in plan.only for each in _WITH.get(name, {name})}
        self._acting: list[Actor] = [actor for actor in actors if not plan.only or actor.name in named]

    async def open(self) -> None:
        """Everybody's accounts."""
        openers = {self.cards, *self._acting}
        await asyncio.gather(*(actor.open() for actor in openers))

    async def run(self) -> None:
        """Everybody acts until the load stops."""
        async with asyncio.TaskGroup() as everybody:
            for actor in self._acting:
                everybody.create_task(actor.run(), name=actor.name)

    async def satisfied(self) -> None:
        """Return when everybody has acted as often as a short run needs."""
        await asyncio.gather(*(actor.satisfied.wait() for actor in self._acting))

    async def finish(self) -> None:
        """See to its end what was begun, once nothing is open any more."""
        await asyncio.gather(*(actor.finish() for actor in self._acting))

    async def close(self) -> None:
        """Hang up."""
        await self.streams.close()

    def count(self, everything: dict[str, dict[str, Any]]) -> None:
        """What can be checked only when everything has ended."""
        for shown in everything.values():
            self.cards.check(shown)
        self.streams.count(everything)
