"""Accounts whose test clocks are moved while they have work open (R1, R2, R10, R22)."""

from __future__ import annotations

from typing import ClassVar

from chaos.actor import Actor
from chaos.load import ACCEPTED

_HOUR, _DAY = 3600, 86400
_LEAPS = (_DAY, 31 * _DAY, _HOUR, 3 * _DAY, 75 * _DAY, _DAY + _HOUR)
_ROUNDS_MAX = 40  # of an account: three years; then another takes its place
_PLANS = ("", "small")


class ClockMover(Actor):
    """Orders what comes to nothing or to a part, and moves the clock before it ends: refunds after midnight."""

    name: ClassVar[str] = "clocks"
    rounds_min: ClassVar[int] = 4

    async def act(self) -> None:
        """One leap of a free account and of one on a plan."""
        for plan in _PLANS:
            account = f"clocked-{plan or 'free'}-{self.rounds // _ROUNDS_MAX}"
            if account not in self.load.keys:
                await self.load.join(account, plan)
            await self._order(account, {"fail": "provider_rejected", "delay_seconds": 1.5}, 2)
            await self._order(account, {"deliver": 1, "delay_seconds": 1.0}, 4)
            await self._move(account, _LEAPS[self.rounds % len(_LEAPS)])

    async def _order(self, account: str, sandbox: dict[str, object], outputs: int) -> None:
        answer = await self.load.submit(self.order(account, outputs=outputs, sandbox=sandbox))
        if answer.status not in ACCEPTED:
            self.checks.seen["orders refused on moved clocks"] += 1

    async def _move(self, account: str, seconds: int) -> None:
        path = f"/v1/admin/accounts/{account}/clock"
        answer = await self.load.operate("POST", path, {"advance_seconds": seconds}, f"move {account} {self.rounds}")
        self.load.given.moved(account, answer.body["clock"], seconds)
        self.checks.seen["clocks moved"] += 1
