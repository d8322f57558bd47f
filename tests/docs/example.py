"""One example of docs/credits.md on its way: the account, what was made for it, and the last answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from gateway.ledger import outcomes
from tests.api.visitor import Reply, Visitor
from tests.ledger.world import World
from tests.redis_servers import RedisServer

UNITS = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400}
BUCKETS = {"free": "free", "plan": "subscription", "top-up": "top_up"}
SETTINGS: dict[str, dict[str, Any]] = {
    "2K": {"resolution": "2K"},
    "720p": {"resolution": "720p"},
    "6 s": {"duration": 6},
}
ASKED = r"(image|video) ([a-z0-9.-]+)((?: (?:2K|720p|6 s))*)(?: × (\d))?"
NAME = r"([a-z])"
NUMBER = r"(-?[\d,.]+)"


@dataclass
class Example:
    """One account, `ann`, on its way through an example. `bob` is there for the rules about others."""

    visitor: Visitor
    server: RedisServer
    card: Path
    keys: dict[str, str] = field(default_factory=dict)
    made: dict[str, str] = field(default_factory=dict)
    accepted: int = 0
    entries_told: int = 0
    quote: str = ""
    last: Reply | None = None

    @property
    def world(self) -> World:
        return World(self.visitor.ledger)

    async def start(self) -> None:
        """A new account at nine in the morning, the day after tomorrow: no example sees a day turn by itself."""
        for account in ("ann", "bob"):
            self.keys[account] = await self.visitor.account(account)
        nine = (datetime.now(UTC) + timedelta(days=2)).replace(hour=9, minute=0, second=0, microsecond=0)
        seconds = (nine - datetime.now(UTC)).total_seconds()
        await self.operate("POST", "/clock", {"advance_seconds": round(seconds) + 1})
        self.entries_told = len(await self.journal())

    # --- what commands are made of ---

    async def call(
        self, method: str, path: str, body: Any = None, account: str = "ann", once: str | None = None
    ) -> Reply:
        headers = {} if once is None else {"Idempotency-Key": once}
        self.last = await self.visitor.call(method, path, self.keys[account], body, headers)
        return self.last

    async def operate(self, method: str, path: str, body: Any = None) -> Any:
        self.last = await self.visitor.call(method, f"/v1/admin/accounts/ann{path}", self.visitor.admin, body)
        return self.last.body

    async def advance_to(self, moment: datetime) -> None:
        now = datetime.fromisoformat((await self.operate("GET", ""))["clock"]["now"])
        await self.operate("POST", "/clock", {"advance_seconds": round((moment - now).total_seconds()) + 1})

    async def balance(self) -> Any:
        return (await self.visitor.call("GET", "/v1/balance", self.keys["ann"])).body

    async def generation(self, name: str) -> Any:
        found = await self.visitor.ledger.generation(generation=self.made[name])
        assert isinstance(found, outcomes.Generation)
        return found

    async def journal(self) -> list[Any]:
        page = (await self.visitor.call("GET", "/v1/journal?limit=100", self.keys["ann"])).body
        entries: list[Any] = page["data"][::-1]
        return entries


Language = dict[str, Callable[..., Awaitable[None]]]
"""Patterns and what each does with its groups, tried in their order."""


def number(text: str) -> float:
    """7,904 is seven thousand nine hundred and four."""
    return float(text.replace(",", ""))


def asked(tool: str, model: str, settings: str, outputs: str | None) -> dict[str, Any]:
    """A request's body."""
    chosen: dict[str, Any] = {}
    for words, members in SETTINGS.items():
        if words in settings:
            chosen |= members
    return {"tool": tool, "model": model, "settings": chosen, "outputs": int(outputs or 1)}
