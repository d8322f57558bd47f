"""Customers who follow their generations live, over connections that break: whoever comes back sees every end."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, ClassVar, NamedTuple

import aiohttp

from chaos.actor import Actor
from chaos.checks import Checks
from chaos.load import ACCEPTED, Load
from chaos.times import seconds_of

Shown = dict[str, Any]

_ACCOUNT = "watcher"
_FINAL = frozenset({"succeeded", "failed", "cancelled"})
_BREAK_SHARE = 0.5
_AWAY_SECONDS = (0.1, 5.0)
_FINISH_SECONDS = 90
_CHECK_SECONDS = 0.2
_OK, _NO_CONTENT = 200, 204
_NOTHING_MORE = "nothing more"


class Event(NamedTuple):
    """One event of a stream."""

    id: str
    name: str
    data: Shown


@dataclass(slots=True)
class Followed:
    """What the streams of one generation told. `open_version`: the largest at which it was shown as not ended."""

    account: str
    status: str | None = None
    outputs: set[int] = field(default_factory=set)
    open_version: int = 0
    seen_version: int = 0
    breaks: int = 0
    dismissed: bool = False
    """It was answered that there is nothing more to tell (`204`): right only after the end."""

    def over(self) -> bool:
        """Whether there is nothing more to hear."""
        return self.dismissed or self.status is not None


class Streams(Actor):
    """Follows its own orders one by one, and its account as a whole."""

    name: ClassVar[str] = "events"
    rounds_min: ClassVar[int] = 6
    pause_seconds: ClassVar[tuple[float, float]] = (0.2, 0.8)

    def __init__(self, load: Load, checks: Checks, seed: int) -> None:
        super().__init__(load, checks, seed)
        self.followed: dict[str, Followed] = {}
        self._connected_at = math.inf
        self._due: set[str] = set()
        """What was open or made while the newest connection to the account's stream was there: its end must be told."""
        self._told: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._of_account: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """An account that can pay, and its stream."""
        await self.load.join(_ACCOUNT, "large")
        await self.load.grant(_ACCOUNT, 2000, "to be watched")
        self._of_account = asyncio.create_task(self._follow_account())

    async def act(self) -> None:
        """Order, and follow what was accepted to its end."""
        outputs = self.dice.randint(1, 3)
        sandbox = {"delay_seconds": round(self.dice.uniform(0, 3), 3), "deliver": self.dice.randint(1, outputs)}
        answer = await self.load.submit(self.order(_ACCOUNT, outputs=outputs, sandbox=sandbox))
        if answer.status in ACCEPTED:
            self.followed[answer.body["id"]] = Followed(_ACCOUNT)
            self._tasks.add(asyncio.create_task(self._follow(answer.body["id"])))
            if seconds_of(answer.body["created_at"]) > self._connected_at:
                self._due.add(answer.body["id"])

    async def finish(self) -> None:
        """Wait until all streams have told the ends, then hang up."""
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=_FINISH_SECONDS)
            for task in late:
                task.cancel()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_FINISH_SECONDS):
                await self._account_is_told()

    async def close(self) -> None:
        """Hang up."""
        tasks = [*self._tasks, *([self._of_account] if self._of_account is not None else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def count(self, everything: dict[str, Shown]) -> None:
        """Every end was told as it is, with every output; and versions rose."""
        for name, told in self.followed.items():
            shown = everything[name]
            said = (told.status, told.outputs)
            self.checks.that(
                said == (shown["status"], {output["index"] for output in shown["outputs"]}),
                "streams that told the end",
                f"{name} {shown['status']} with {len(shown['outputs'])} outputs, and its stream said {said}",
            )
            self.checks.seen["streams that came back after a break"] += told.breaks > 0
        self.checks.problems += [
            f"{name} ended, and the account's stream was silent" for name in self._due - self._told
        ]

    # --- one generation ---------------------------------------------------------------------------------------------

    async def _follow(self, generation: str) -> None:
        """Connect, hang up now and then, and come back, until the end was told."""
        told = self.followed[generation]
        path, number = f"/v1/generations/{generation}/events", len(self.followed)
        while not told.over():
            # Every other one is broken off at first, so that a short run has some.
            breaks = self.dice.random() < _BREAK_SHARE or (told.breaks == 0 and number % 2 == 0)
            async with contextlib.aclosing(self._events(path, told.seen_version)) as events:
                async for event in events:
                    if event.name == _NOTHING_MORE:
                        told.dismissed = True
                        break
                    self._hear(generation, told, event)
                    if told.over() or (breaks and event.data.get("status") not in _FINAL):
                        break
            told.breaks += not told.over()
            await asyncio.sleep(self.dice.uniform(*_AWAY_SECONDS))

    def _hear(self, generation: str, told: Followed, event: Event) -> None:
        version = int(event.id)
        if version < told.seen_version:
            self.checks.problems.append(f"{generation}: version {version} was told after {told.seen_version}")
        told.seen_version = version
        if event.name == "output":
            told.outputs.add(event.data["output"]["index"])
        elif event.data["status"] not in _FINAL:
            told.open_version = version
            told.outputs |= {output["index"] for output in event.data.get("outputs", ())}
        elif event.name == "done":
            told.status = event.data["status"]
            told.outputs |= {output["index"] for output in event.data["outputs"]}
            if version <= told.open_version:
                self.checks.problems.append(f"{generation}: its end is version {version}, and it was open at that")

    # --- the account ------------------------------------------------------------------------------------------------

    async def _follow_account(self) -> None:
        """All that the account's stream tells, over one connection after the other; only the newest is remembered."""
        while True:
            self._due.clear()
            self._connected_at = math.inf
            told: set[str] = set()
            async with contextlib.aclosing(self._events("/v1/events")) as events:
                async for event in events:
                    if event.name == "balance" and not told:  # the first: from here on it is told everything
                        self._connected_at = min(self._connected_at, time.time())
                    elif event.name == "snapshot" and event.data["status"] not in _FINAL:
                        self._due.add(event.data["id"])
                    elif event.name == "done":
                        self._hear_end(told, event.data["id"])
            await asyncio.sleep(_CHECK_SECONDS)

    def _hear_end(self, told: set[str], generation: str) -> None:
        subject = "ends told to an account's stream"
        self.checks.that(generation not in told, subject, f"{generation} was told twice to have ended, in one stream")
        told.add(generation)
        self._told = told

    async def _account_is_told(self) -> None:
        while True:
            if not self._due - self._told:
                return
            await asyncio.sleep(_CHECK_SECONDS)

    # --- the wire ---------------------------------------------------------------------------------------------------

    async def _events(self, path: str, last: int = 0) -> AsyncGenerator[Event, None]:
        """The events of one connection to the next gateway, until it breaks. `last`: the id of the last one, or 0."""
        try:
            async with self.load.stream(path, self.load.keys[_ACCOUNT], last) as answer:
                self.load.check_status(path, answer.status)
                if answer.status == _NO_CONTENT:
                    yield Event("0", _NOTHING_MORE, {})
                if answer.status != _OK:
                    return
                fields: dict[str, str] = {}
                async for line in answer.content:
                    text = line.decode().rstrip("\n")
                    if not text and "data" in fields:
                        data = json.loads(fields["data"], parse_float=Decimal)
                        yield Event(fields.get("id", "0"), fields["event"], data)
                    if not text:
                        fields = {}
                        continue
                    name, _, value = text.partition(": ")
                    fields[name] = value
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
            return  # it broke, maybe within an event
