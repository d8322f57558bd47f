"""A customer whose prints are made by one of two providers, the first of which misbehaves (R30, R17, R29)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, ClassVar

from chaos.actor import Actor
from chaos.box import METERED_MODEL, Box
from chaos.checks import Checks
from chaos.load import ACCEPTED, Load
from chaos.processes import Said

_ACCOUNT = "printer"
_AT_ONCE = 4
_PAID_FOR_PRINTS = 80
_PATIENCE = 15
_CHECK_SECONDS = 0.3
_FINAL = frozenset({"succeeded", "failed", "cancelled"})


class Prints(Actor):
    """Orders a few prints at once, some of them priced by what is reported, and waits for them."""

    name: ClassVar[str] = "providers"
    rounds_min: ClassVar[int] = 3

    def __init__(self, load: Load, checks: Checks, seed: int, boxes: Sequence[Box], said: Said) -> None:
        super().__init__(load, checks, seed)
        self._first, self._second = boxes
        self._said = said

    async def open(self) -> None:
        """An account that can pay."""
        await self.load.join(_ACCOUNT, "large")

    def has_seen_enough(self) -> bool:
        """Whether an answer was lost, the second provider had a job, and the first finished one that it had denied."""
        unknown = any(job.unknown for job in self._first.jobs.values())
        seen = bool(unknown and self._second.jobs and self._said.late)
        return super().has_seen_enough() and (seen or self.rounds >= _PATIENCE)

    async def act(self) -> None:
        """A few orders at once, until they have ended or the load stops."""
        await self.load.grant(_ACCOUNT, _PAID_FOR_PRINTS, f"prints {self.rounds}")
        await asyncio.gather(*(self._print(number) for number in range(_AT_ONCE)))

    async def _print(self, number: int) -> None:
        asked: dict[str, Any] = {"tool": "print", "outputs": self.dice.randint(1, 3)}
        asked["model"] = METERED_MODEL if number % 2 else "poster"
        answer = await self.load.submit(self.order(_ACCOUNT, **asked))
        if answer.status not in ACCEPTED:
            return
        path = f"/v1/generations/{answer.body['id']}"
        while not self.load.stopping:
            found = await self.load.call("GET", path, self.load.keys[_ACCOUNT])
            if found.body["status"] in _FINAL:
                return
            await asyncio.sleep(_CHECK_SECONDS)
