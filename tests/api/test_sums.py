"""R28: by key, member, tag, model or day, the usage of a year is what the journal says, to the millicredit."""

from __future__ import annotations

import csv
import io
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest

from gateway.domain import FailureCode
from tests.api.visitor import Visitor

ACCOUNT = "/v1/admin/accounts/acme"
PROJECTS: list[dict[str, str]] = [
    {},
    {"project": "apollo"},
    {"project": "gemini", "team": "red"},
    {"team": "blue"},
    {"project": "other"},
]
ORDERS: list[dict[str, Any]] = [
    {"outputs": 1}, {"outputs": 4}, {"model": "gallery", "settings": {"resolution": "2K"}, "outputs": 3},
    {"tool": "video", "model": "clip", "settings": {"duration": 3}},
]  # fmt: skip

Sums = Counter[tuple[str | None, str]]
"""By group, `credits` and `refunded`: millicredits."""


@dataclass
class Year:
    """What a team does in a year: each generation's order, by its id; those that are still open."""

    gateway: Visitor
    dice: random.Random
    keys: list[str]
    orders: dict[str, dict[str, Any]] = field(default_factory=dict)
    open: list[str] = field(default_factory=list)

    async def work(self, generations: int) -> None:
        """Order so many on a day; end them, or leave them for the next day."""
        for _ in range(generations):
            order = self.dice.choice(ORDERS) | {"tags": self.dice.choice(PROJECTS)}
            made = await self.gateway.made(self.dice.choice(self.keys), **order)
            self.orders[made] = order
            self.open.append(made)
            if len(self.open) > self.dice.randint(0, 2):
                await self.end(self.open.pop(0))

    async def end(self, generation: str) -> None:
        """End it in one of the ways there are."""
        end = self.dice.choice(("whole", "part", "part", "failed", "cancelled"))
        if end == "cancelled":
            await self.gateway.ledger.cancel(generation=generation)
            return
        await self.gateway.begin(generation)
        outputs = self.orders[generation].get("outputs", 1)
        for index in range(outputs if end == "whole" else self.dice.randrange(outputs) if end == "part" else 0):
            await self.gateway.deliver(generation, index)
        await self.gateway.settle(generation, None if end == "whole" else FailureCode.PROVIDER_REJECTED)


async def a_team(gateway: Visitor) -> list[str]:
    """Keys of three members, one of whom has two, and one of the account's own."""
    keys = [await gateway.account()]
    await gateway.subscribe("standard")  # without a limit of seats
    await gateway.grant(1_000_000)
    for number in range(3):
        member = (await gateway.call("POST", f"{ACCOUNT}/members", gateway.admin, {"name": f"member {number}"})).body
        for _ in range(2 if number == 0 else 1):
            body = {"member": member["id"]}
            keys.append((await gateway.call("POST", f"{ACCOUNT}/keys", gateway.admin, body)).body["key"])
    return keys


@pytest.mark.parametrize(
    ("days", "generations"), [pytest.param(40, 2, id="short"), pytest.param(365, 14, id="long", marks=pytest.mark.long)]
)
async def test_every_grouping_of_a_year_is_what_the_journal_says(gateway: Visitor, days: int, generations: int) -> None:
    year = Year(gateway, random.Random(28), await a_team(gateway))
    for _ in range(days):
        await year.work(generations)
        advance = {"advance_seconds": 86_400}
        assert (await gateway.call("POST", f"{ACCOUNT}/clock", gateway.admin, advance)).status == 200
    while year.open:
        await year.end(year.open.pop())
    entries = await journal(gateway, year.keys[0])
    last = max(date.fromisoformat(entry["at"][:10]) for entry in entries)
    period = f"from={last - timedelta(days=days + 1)}&to={last}"
    for name, group_of in groupings(year.orders).items():
        wanted = Sums()
        for entry in entries:
            wanted[group_of(entry), "credits" if entry["kind"] == "commit" else "refunded"] -= millicredits(
                entry["held"]
            )
        usage = await gateway.call("GET", f"/v1/usage?{period}&group_by={name}", year.keys[0])
        found = Sums()
        for row in usage.body["data"]:
            found.update({(row[name], sum_): millicredits(row[sum_]) for sum_ in ("credits", "refunded")})
        assert +found == +wanted, name
        assert usage.body["totals"]["generations"] == len(year.orders) == days * generations
        assert len({group for group, _ in found}) > 1, "there was something to tell apart"


def groupings(orders: dict[str, dict[str, Any]]) -> dict[str, Callable[[dict[str, str]], str | None]]:
    """By what usage is grouped, and the group of a journal entry."""
    return {
        "key": lambda entry: entry["key"],
        "member": lambda entry: entry["member"] or None,
        "model": lambda entry: orders[entry["generation"]].get("model", "sketch"),
        "day": lambda entry: entry["at"][:10],
        "tag:project": lambda entry: orders[entry["generation"]]["tags"].get("project"),
        "tag:team": lambda entry: orders[entry["generation"]]["tags"].get("team"),
    }


async def journal(gateway: Visitor, key: str) -> list[dict[str, str]]:
    """The commits and refunds of the whole journal."""
    found = []
    for kind in ("commit", "refund"):
        path = f"/v1/journal?kind={kind}"
        reply = await gateway.call("GET", path, key, headers={"Accept": "text/csv"})
        found += list(csv.DictReader(io.StringIO(reply.raw.decode())))
    return found


def millicredits(amount: object) -> int:
    """Exactly: a fraction of one would be an error."""
    exact = Decimal(str(amount)) * 1000
    assert exact == int(exact)
    return int(exact)
