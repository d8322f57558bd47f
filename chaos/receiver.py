"""Somebody's backend that is told of events, on a bad day: it answers 500, sends elsewhere, hangs up, or is slow.

It is rude to an event twice at most (`rude_max`), so that a run need not wait for the long pauses between tries. Of
each generation it remembers what it accepted, in order: at the end every generation must have been told of, once or
more, as it ended.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from standardwebhooks import Webhook, WebhookVerificationError

from tests.free_ports import free_port

EVENTS = ["generation.running", "generation.succeeded", "generation.failed", "generation.cancelled"]
_RUDE_SHARE = 0.2
_SLOW_SECONDS = 3.0
_RUNNING = "generation.running"


@dataclass(slots=True)
class Told:
    """What was accepted of one generation: event ids in the order of their first acceptance, with their types."""

    types: dict[str, str] = field(default_factory=dict)
    statuses: dict[str, str] = field(default_factory=dict)


class Receiver:
    """The backend of all accounts, from `open` to `close`."""

    def __init__(self, seed: int, rude_max: int = 2) -> None:
        """Behave as `seed` says, and refuse no event more often than `rude_max` times."""
        self._rude_max = rude_max
        self.webhooks: dict[str, str] = {}
        self.secrets: dict[str, str] = {}
        self.told: defaultdict[str, Told] = defaultdict(Told)
        self.counts: Counter[str] = Counter()
        self.problems: list[str] = []
        self.port = free_port()
        self._dice = random.Random(f"{seed} receiver")
        self._rude: Counter[str] = Counter()
        self._accepted = asyncio.Event()
        self._runner: web.AppRunner | None = None
        self._site: web.TCPSite | None = None

    def url(self, account: str) -> str:
        """Where an account's events go."""
        return f"http://127.0.0.1:{self.port}/{account}"

    async def open(self) -> None:
        """Listen."""
        app = web.Application()
        app.router.add_post("/{account}", self._take)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0)
        await self._runner.setup()
        await self._listen()

    async def close(self) -> None:
        """Hang up."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def away(self, seconds: float) -> None:
        """Take no new connections for a while."""
        if self._site is not None:
            await self._site.stop()
        try:
            await asyncio.sleep(seconds)
        finally:
            await self._listen()

    async def wait(self, ended: dict[str, str], seconds: float) -> None:
        """Return when of all that `ended` the end was accepted, or the time is over."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self.missing(ended):
                    self._accepted.clear()
                    await self._accepted.wait()

    def missing(self, ended: dict[str, str]) -> list[str]:
        """Of the generations that `ended` so (id → status), those whose end was not accepted yet."""
        return [name for name, status in ended.items() if f"generation.{status}" not in self.told[name].types.values()]

    def check(self, ended: dict[str, str]) -> list[str]:
        """What is wrong with what was told, each as a sentence."""
        wrong = [*self.problems]
        wrong += [f"{name} {ended[name]}, and its account was never told" for name in self.missing(ended)]
        for name, told in self.told.items():
            if name not in ended:
                wrong.append(f"{name} was told of, and is no generation that ended")
                continue
            types = list(told.types.values())
            ends = [each for each in types if each != _RUNNING]
            if len(ends) > 1 or types.count(_RUNNING) > 1 or (_RUNNING in types and types[0] != _RUNNING):
                wrong.append(f"{name} was told of as {', '.join(types)}")
            if set(told.statuses.values()) - {ended[name]}:
                wrong.append(f"{name} {ended[name]}, and its end was told as {told.statuses}")
        return wrong

    async def _listen(self) -> None:
        if self._runner is None:
            raise RuntimeError("open it first")
        self._site = web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True)
        await self._site.start()

    async def _take(self, request: web.Request) -> web.Response:
        body = await request.read()
        event = self._verified(request, body)
        if event is None:
            return web.Response(status=400)
        if self._rude[event["id"]] < self._rude_max and self._dice.random() < _RUDE_SHARE:
            self._rude[event["id"]] += 1
            return await self._rudely(request)
        self.counts["accepted"] += 1
        self._accepted.set()
        told = self.told[event["data"]["id"]]
        self.counts["accepted again"] += event["id"] in told.types
        told.types.setdefault(event["id"], event["type"])
        if event["type"] != _RUNNING:
            told.statuses[event["id"]] = event["data"]["status"]
        return web.Response(status=204)

    def _verified(self, request: web.Request, body: bytes) -> dict[str, Any] | None:
        account = request.match_info["account"]
        try:
            Webhook(self.secrets[account]).verify(body, dict(request.headers))
        except (KeyError, WebhookVerificationError) as error:
            self.problems.append(f"an event for {account} was not signed as it must be: {type(error).__name__}")
            return None
        event: dict[str, Any] = json.loads(body)
        return event

    async def _rudely(self, request: web.Request) -> web.Response:
        manner = self._dice.choice(["500", "elsewhere", "hung up", "slow"])
        self.counts[manner] += 1
        if manner == "hung up" and request.transport is not None:
            request.transport.abort()
        if manner == "slow":  # and then refuses after all
            await asyncio.sleep(_SLOW_SECONDS)
        if manner == "elsewhere":
            return web.Response(status=302, headers={"Location": self.url("nobody")})
        return web.Response(status=500)
