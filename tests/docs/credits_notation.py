"""The notation of docs/credits.md: each line does something to a real gateway and says what is then so.

A line is `command; command → claim, claim`. `COMMANDS` and `CLAIMS` below are the whole language: a pattern and what
it does, tried in their order. A word that no pattern takes is an error, so that no example can pass unread.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from gateway.api import services
from gateway.domain import Bucket, FailureCode, State, operation_id
from gateway.ledger import outcomes as o
from tests.api.visitor import Reply, Visitor
from tests.ledger.world import World
from tests.redis_servers import RedisServer

UNITS = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400}
BUCKETS = {"free": "free", "plan": "subscription", "top-up": "top_up"}
SETTINGS = {"2K": {"resolution": "2K"}, "720p": {"resolution": "720p"}, "6 s": {"duration": 6}}
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
        await self.advance_to(nine)
        self.entries_told = len(await self.journal()) - 1  # the day's first reset is part of the story

    async def run(self, line: str) -> None:
        """Do what a line says and check what it claims."""
        commands, arrow, claims = line.partition("→")
        assert arrow, f"no arrow: {line}"
        for command in commands.split(";"):
            await self._take(COMMANDS, command.strip())
        for claim in re.split(r",(?!\d)", claims):
            if not claims.strip().startswith("journal:"):
                await self._take(CLAIMS, claim.strip())
        if claims.strip().startswith("journal:"):
            await journal_says(self, claims.strip().removeprefix("journal: "))

    async def _take(self, language: Language, phrase: str) -> None:
        for pattern, does in language.items():
            match = re.fullmatch(pattern, phrase)
            if match:
                await does(self, *match.groups())
                return
        raise AssertionError(f"nothing in this notation reads {phrase!r}")

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
        assert isinstance(found, o.Generation)
        return found

    async def journal(self) -> list[Any]:
        page = (await self.visitor.call("GET", "/v1/journal?limit=100", self.keys["ann"])).body
        entries: list[Any] = page["data"][::-1]
        return entries


Language = dict[str, Callable[..., Awaitable[None]]]


def number(text: str) -> float:
    """7,904 is seven thousand nine hundred and four."""
    return float(text.replace(",", ""))


def asked(tool: str, model: str, settings: str, outputs: str | None) -> dict[str, Any]:
    """A request's body."""
    chosen: dict[str, Any] = {}
    for words, members in SETTINGS.items():
        chosen |= members if words in settings else {}
    return {"tool": tool, "model": model, "settings": chosen, "outputs": int(outputs or 1)}


# --- commands --------------------------------------------------------------------------------------------------------


async def make(example: Example, account: str | None, name: str, *rest: str | None) -> None:
    request, (key, ceiling, quoted) = rest[:4], rest[4:]
    body = asked(*request) | {"prompt": "a lighthouse"}  # type: ignore[arg-type]  # the pattern has all but outputs
    if ceiling:
        body["max_credits"] = number(ceiling)
    if quoted:
        body["quote"] = example.quote
    reply = await example.call("POST", "/v1/generations", body, account or "ann", key)
    if reply.status in {200, 202}:
        example.made[name] = reply.body["id"]


async def five_at_once(example: Example, *request: str) -> None:
    body = asked(*request) | {"prompt": "a lighthouse"}
    replies = await asyncio.gather(
        *(example.visitor.call("POST", "/v1/generations", example.keys["ann"], body) for _ in range(5))
    )
    example.accepted = sum(reply.status == 202 for reply in replies)


async def ask_quote(example: Example, *request: str) -> None:
    reply = await example.call("POST", "/v1/quotes", asked(*request))
    example.quote = reply.body["quote"]


async def ask_estimate(example: Example, items: str, days: str) -> None:
    body = []
    for item in items.split(" + "):
        per_day, _, request = item.partition(" × ")
        match = re.fullmatch(ASKED, request)
        assert match, request
        body.append(asked(*match.groups()) | {"per_day": int(per_day), "days": int(days)})
    await example.call("POST", "/v1/estimates", {"items": body})


async def begin(example: Example, name: str) -> None:
    found = await example.generation(name)
    await example.visitor.begin(found.id, found.attempt + 1)


async def deliver(example: Example, count: str, name: str) -> None:
    found = await example.generation(name)
    for index in range(int(count)):
        await example.visitor.deliver(found.id, index, found.attempt)


async def end(example: Example, name: str) -> None:
    found = await example.generation(name)
    await example.visitor.settle(found.id, attempt=found.attempt)


async def finish(example: Example, name: str) -> None:
    await begin(example, name)
    await deliver(example, (await example.generation(name)).request.outputs, name)
    await end(example, name)


async def fail(example: Example, name: str) -> None:
    await begin(example, name)
    found = await example.generation(name)
    await example.visitor.settle(found.id, FailureCode.PROVIDER_REJECTED, found.attempt)


async def note(example: Example, name: str) -> None:
    found = await example.generation(name)
    noted = await example.visitor.ledger.note(generation=found.id, attempt=found.attempt, ref="job-7")
    assert isinstance(noted, o.Noted)


async def cancel(example: Example, name: str) -> None:
    await example.call("POST", f"/v1/generations/{example.made[name]}/cancel", {})


async def time_passes(example: Example, count: str, unit: str, name: str) -> None:
    """Real time for one generation, and a caretaker who looks after it as it does every second."""
    await example.world.pass_time(example.made[name], int(count) * UNITS[unit] * 1000)
    await example.world.rescue(example.made[name])


async def on_day(example: Example, day: str) -> None:
    """The next such day at nine and a second, when a plan begun at nine has renewed."""
    now = datetime.fromisoformat((await example.operate("GET", ""))["clock"]["now"])
    wanted = datetime.strptime(f"{day} {now.year} 09 +0000", "%d %B %Y %H %z")
    await example.advance_to(wanted if wanted > now else wanted.replace(year=now.year + 1))


async def after(example: Example, count: str, unit: str) -> None:
    await example.operate("POST", "/clock", {"advance_seconds": int(count) * UNITS[unit]})


async def subscribe(example: Example, plan: str, interval: str | None) -> None:
    await example.operate("PUT", "/subscription", {"plan": plan, "interval": interval or "monthly"})


async def change(example: Example, plan: str, when: str) -> None:
    whens = {"now": "now", "at period end": "period_end"}
    await example.operate("PATCH", "/subscription", {"plan": plan, "when": whens[when]})


async def cancel_plan(example: Example) -> None:
    await example.operate("DELETE", "/subscription")


async def resume_plan(example: Example) -> None:
    await example.operate("POST", "/subscription/resume")


async def top_up(example: Example, bundle: str) -> None:
    bought = example.visitor.app[services.RATE_CARDS].card.bundles[bundle]
    made = await example.visitor.ledger.top_up(
        account="ann", operation=operation_id(), millicredits=bought.millicredits, reason=bought.name
    )
    assert isinstance(made, o.Applied)


async def grant(example: Example, amount: str, bucket: str) -> None:
    body = {"bucket": BUCKETS[bucket], "credits": number(amount), "reason": "a gift"}
    await example.operate("POST", "/grants", body)


async def adjust(example: Example, bucket: str, amount: str) -> None:
    body = {"bucket": BUCKETS[bucket], "credits": number(amount), "reason": "a correction"}
    await example.operate("POST", "/adjustments", body)


async def double_prices(example: Example) -> None:
    """Save the card with every rate of an output doubled, and wait until the gateway has it."""
    cards = example.visitor.app[services.RATE_CARDS]
    before = cards.card.version
    example.card.write_text(
        re.sub(r"(?m)^credits = ([\d.]+)$", lambda rate: f"credits = {float(rate[1]) * 2:g}", example.card.read_text())
    )
    while cards.card.version == before:
        await asyncio.sleep(0.05)


async def ledger_stops(example: Example) -> None:
    example.server.kill()


async def ledger_is_back(example: Example) -> None:
    example.server.start()


COMMANDS: Language = {
    rf"(?:(bob): )?make {NAME}: {ASKED}(?:, key (\w+))?(?:, at most {NUMBER})?(, with the quote)?": make,
    rf"five at once: {ASKED}": five_at_once,
    rf"quote: {ASKED}": ask_quote,
    r"estimate: (.+), (\d+) days": ask_estimate,
    rf"begin {NAME}": begin,
    rf"deliver (\d) of {NAME}": deliver,
    rf"end {NAME}": end,
    rf"finish {NAME}": finish,
    rf"fail {NAME}": fail,
    rf"note {NAME}": note,
    rf"cancel {NAME}": cancel,
    rf"(\d+) (second|minute|hour)s? pass(?:es)? for {NAME}": time_passes,
    r"on (\d+ [A-Z][a-z]+)": on_day,
    r"after (\d+) (hour|day)s?": after,
    r"subscribe (\w+)(?: (monthly|quarterly|yearly))?": subscribe,
    r"change to (\w+) (now|at period end)": change,
    r"cancel plan": cancel_plan,
    r"resume plan": resume_plan,
    r"top up (\w+)": top_up,
    rf"grant {NUMBER} (free|plan|top-up)": grant,
    rf"adjust (free|plan|top-up) by {NUMBER}": adjust,
    r"double all prices": double_prices,
    r"the ledger stops": ledger_stops,
    r"the ledger is back": ledger_is_back,
}


# --- claims ----------------------------------------------------------------------------------------------------------


async def has(example: Example, bucket: str, amount: str) -> None:
    assert (await example.balance())["buckets"][BUCKETS[bucket]]["available"] == number(amount)


async def holds(example: Example, amount: str) -> None:
    assert (await example.balance())["held"] == number(amount)


async def costs(example: Example, amount: str) -> None:
    assert example.last is not None
    assert example.last.body["price"]["credits"] == number(amount)


async def refused(example: Example, code: str) -> None:
    assert example.last is not None
    assert example.last.code == code, example.last.raw


async def needs(example: Example, amount: str) -> None:
    assert example.last is not None
    assert example.last.error["needed"] == number(amount)


async def ways(example: Example, words: str) -> None:
    assert example.last is not None
    found = example.last.error["ways_out"]
    open_ways = {"wait": bool(found["wait"]), "top_up": found["top_up"]["allowed"], "upgrade": bool(found["upgrade"])}
    assert {way for way, is_open in open_ways.items() if is_open} == set(words.split())


async def is_in(example: Example, name: str, state: str) -> None:
    assert (await example.generation(name)).state == State(state)


async def is_the_same(example: Example, name: str, other: str) -> None:
    assert example.made[name] == example.made[other]


async def has_ahead(example: Example, name: str, count: str) -> None:
    """Its place in the queue, once it has been put there: that happens beside the answer."""
    owner = (await example.generation(name)).account
    place = None
    while place is None:
        reply = await example.call("GET", f"/v1/generations/{example.made[name]}", account=owner)
        place = reply.body["queue_position"]
    assert place == int(count)


async def plan_is(example: Example, plan: str, status: str) -> None:
    found = (await example.balance())["plan"]
    shown = "active" if found["status"] == "none" else found["status"]
    assert (found["id"], shown) == (plan, status)


async def quoted(example: Example, amount: str) -> None:
    assert example.last is not None
    assert example.last.body["credits"] == number(amount)


async def not_allowed(example: Example) -> None:
    assert example.last is not None
    assert example.last.body["allowed"] is False


async def were_accepted(example: Example, count: str) -> None:
    assert example.accepted == int(count)


async def with_buffer(example: Example, amount: str) -> None:
    assert example.last is not None
    assert example.last.body["with_buffer"] == number(amount)


async def covered_by(example: Example, plan: str) -> None:
    assert example.last is not None
    assert example.last.body["cheapest_plan"] == plan


async def is_a_test_account(example: Example) -> None:
    assert (await example.operate("GET", ""))["test"] is True


async def journal_says(example: Example, told: str) -> None:
    """The entries since the last time that they were told, kind and credits."""
    entries = await example.journal()
    new, example.entries_told = entries[example.entries_told :], len(entries)
    assert [f"{entry['kind']} {entry['credits']}" for entry in new] == told.split(", ")


CLAIMS: Language = {
    rf"(free|plan|top-up) {NUMBER}": has,
    rf"held {NUMBER}": holds,
    rf"costs {NUMBER}": costs,
    r"refused (\w+)": refused,
    rf"needs {NUMBER}": needs,
    r"ways ([\w ]+)": ways,
    rf"{NAME} (waiting|queued|running|succeeded|failed|cancelled)": is_in,
    rf"{NAME} is {NAME}": is_the_same,
    rf"{NAME} has (\d) ahead": has_ahead,
    r"(\w+) (active|cancelled)": plan_is,
    rf"quoted {NUMBER}": quoted,
    rf"{NUMBER} a month": quoted,
    rf"{NUMBER} with buffer": with_buffer,
    r"not allowed": not_allowed,
    r"(\w+) covers it": covered_by,
    r"(\d) accepted": were_accepted,
    r"a test account": is_a_test_account,
}
assert all(Bucket(name) for name in BUCKETS.values())
