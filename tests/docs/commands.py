"""What stands left of the arrow in docs/credits.md."""

from __future__ import annotations

import asyncio
import re
from datetime import datetime

from gateway.api import services
from gateway.domain import FailureCode
from gateway.ledger import outcomes
from gateway.ledger.payments import Paid
from tests.docs.example import ASKED, BUCKETS, NAME, NUMBER, UNITS, Example, Language, asked, number
from tests.until import until


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
    assert isinstance(noted, outcomes.Noted)


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
    begun = await example.visitor.call("POST", "/v1/top-ups", example.keys["ann"], {"bundle": bundle})
    assert begun.status == 201, begun.raw
    paid = await example.visitor.ledger.pay(account="ann", checkout=begun.body["id"], ref=begun.body["id"])
    assert isinstance(paid, Paid)


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
    await until(lambda: cards.card.version != before)


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
