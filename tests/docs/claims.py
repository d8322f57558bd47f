"""What stands right of the arrow in docs/credits.md."""

from __future__ import annotations

from gateway.domain import State
from tests.docs.example import BUCKETS, NAME, NUMBER, Example, Language, number


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
