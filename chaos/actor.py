"""What all have in common who do one thing again and again beside the clients' orders."""

from __future__ import annotations

import asyncio
import random
from abc import ABC, abstractmethod
from typing import Any, ClassVar

from chaos.checks import Checks
from chaos.load import Load, Order

Shown = dict[str, Any]


class Actor(ABC):
    """Acts until the load stops. One round is one whole little story, with its checks."""

    name: ClassVar[str]
    pause_seconds: ClassVar[tuple[float, float]] = (0.2, 2.0)
    rounds_min: ClassVar[int] = 2
    """So many rounds even the shortest run waits for."""

    def __init__(self, load: Load, checks: Checks, seed: int) -> None:
        self.load = load
        self.checks = checks
        self.dice = random.Random(f"{seed} {self.name}")
        self.rounds = 0
        self.satisfied = asyncio.Event()
        """Set when it `has_seen_enough`."""

    async def open(self) -> None:  # noqa: B027 - most have nothing to prepare
        """Make what it needs."""

    @abstractmethod
    async def act(self) -> None:
        """One round."""

    def has_seen_enough(self) -> bool:
        """Whether the shortest run need not wait for it any longer."""
        return self.rounds >= self.rounds_min

    async def finish(self) -> None:  # noqa: B027 - most have nothing left to do
        """See to its end what was begun: everything has come to rest, the gateways still run."""

    async def run(self) -> None:
        """Round after round until the load stops."""
        while not self.load.stopping:
            await self.act()
            self.rounds += 1
            if self.has_seen_enough():
                self.satisfied.set()
            await asyncio.sleep(self.dice.uniform(*self.pause_seconds))

    def order(self, account: str, **body: Any) -> Order:
        """An order of an account, with a key of its own: a sketch, unless it says otherwise."""
        self.load.counts[f"orders of {self.name}"] += 1
        key = f"{self.name.replace(' ', '-')}-{account}-{self.load.counts[f'orders of {self.name}']}"
        return Order(
            key,
            account,
            {"tool": "image", "model": "sketch", "prompt": f"chaos {key}", "metadata": {"key": key}} | body,
        )
