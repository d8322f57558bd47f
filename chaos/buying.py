"""Customers who buy credits and plans by the gateway's own test payments, and press twice (R4, R12)."""

from __future__ import annotations

import asyncio
from typing import ClassVar
from urllib.parse import parse_qs, urlsplit

from chaos.actor import Actor
from chaos.load import ACCEPTED

_BUNDLES = ("handful", "crate")
_BUYERS = ("buyer-1", "buyer-2")
_CREATED = 201
_SEE_OTHER = 303


class Buyer(Actor):
    """Each paid purchase is granted once, whatever was lost or said twice; a declined one never."""

    name: ClassVar[str] = "purchases"
    rounds_min: ClassVar[int] = 6

    async def open(self) -> None:
        """Top-ups are for subscribers: the first buys its plan, the other has one."""
        await self.load.join(_BUYERS[0], "")
        await self.load.join(_BUYERS[1], "small")
        await self._buy_plan(_BUYERS[0], 0)

    async def act(self) -> None:
        """One purchase."""
        account = self.dice.choice(_BUYERS)
        what = ("bundle", "declined", "plan", "bundle", "bundle")[self.rounds % 5]
        if what == "plan":
            await self._buy_plan(account, self.rounds)
        else:
            await self._buy_bundle(account, self.rounds, declined=what == "declined")

    async def _buy_bundle(self, account: str, number: int, *, declined: bool) -> None:
        bundle = self.dice.choice(_BUNDLES)
        page = await self._begin("/v1/top-ups", account, {"bundle": bundle}, f"top-up-{number}")
        if declined:
            await self._press(page, "decline")
            await self._press(page, "pay")  # too late
            self.checks.seen["purchases declined"] += 1
            return
        await self._pay(page)
        self.load.given.grant(account, "top_up", self.load.given.bundles[bundle])

    async def _buy_plan(self, account: str, number: int) -> None:
        plan = "large" if self.load.given.doings[account].plan == "small" else "small"
        body = {"plan": plan, "interval": "monthly"}
        await self._pay(await self._begin("/v1/subscriptions", account, body, f"plan-{number}"))
        self.load.given.plan(account, plan)

    async def _begin(self, path: str, account: str, body: dict[str, str], key: str) -> str:
        """The purchase's page."""
        answer = await self.load.call("POST", path, self.load.keys[account], body, f"{account}-{key}")
        if answer.status not in ACCEPTED | {_CREATED}:
            raise RuntimeError(f"{path} was answered {answer.status}: {answer.body}")
        url: str = answer.body["checkout_url"]
        return url

    async def _pay(self, page: str) -> None:
        """Press, mostly at both gateways at once, and later again: one purchase all the same."""
        await asyncio.gather(*(self._press(page, "pay") for _ in range(self.dice.choice([1, 2, 2]))))
        for _ in range(self.dice.choice([1, 2])):
            await self._press(page, "pay")
            self.checks.seen["payments said again"] += 1
        self.checks.seen["purchases granted once"] += 1  # whether it was, the sum of what was given says

    async def _press(self, page: str, answer: str) -> None:
        """Press a button of the page until a gateway has taken it."""
        address = urlsplit(page)
        (token,) = parse_qs(address.query)["token"]
        status = await self.load.press(address.path, {"token": token, "answer": answer})
        if status != _SEE_OTHER:
            self.checks.problems.append(f"a purchase's page answered {status} to {answer}")
