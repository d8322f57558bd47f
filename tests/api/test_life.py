"""The life of a customer by the test clock: at each step the journal is a bank statement that sums to the balance.

Free, a plan, a top-up, an upgrade, a change at the period's end, a cancellation taken back, the lapse, and what can be
bought with what is left.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from gateway.ledger.payments import Paid
from tests.api.visitor import CARD, Visitor, open_gateway

ACCOUNT = "/v1/admin/accounts/acme"
SUBSCRIPTION = f"{ACCOUNT}/subscription"
BUCKETS = ("free", "subscription", "top_up")


def exact(number: float) -> Decimal:
    return Decimal(str(number))


@dataclass
class Customer:
    """An account, its key, and how much of its statement was read."""

    visitor: Visitor
    key: str
    seen: int = 0
    entries: list[Any] = field(default_factory=list)

    async def operate(self, method: str, path: str, body: Any = None) -> Any:
        reply = await self.visitor.call(method, path, self.visitor.admin, body)
        assert reply.status in {200, 201}, reply.raw
        return reply.body

    async def advance(self, days: int) -> Any:
        return await self.operate("POST", f"{ACCOUNT}/clock", {"advance_seconds": days * 86_400})

    async def buy(self, **body: Any) -> None:
        await self.visitor.finished(self.key, **body)

    async def balance(self) -> Any:
        return (await self.visitor.call("GET", "/v1/balance", self.key)).body

    async def statement(self) -> list[str]:
        """The lines that are new, oldest first: what happened, by how much, and what there was then.

        Proves on the way that the whole journal sums to the balance, in every bucket.
        """
        balance = await self.balance()
        page = (await self.visitor.call("GET", "/v1/journal?limit=100", self.key)).body
        assert page["next"] is None
        entries = page["data"][::-1]
        available = held = Decimal(0)
        for entry in entries:
            available, held = available + exact(entry["credits"]), held + exact(entry["held"])
            assert (available, held) == (exact(entry["available_after"]), exact(entry["held_after"])), entry
        assert (available, held) == (exact(balance["available"]), exact(balance["held"]))
        for bucket in BUCKETS:
            moved = sum(exact(entry["buckets"].get(bucket, {"credits": 0})["credits"]) for entry in entries)
            assert moved == exact(balance["buckets"][bucket]["available"]), bucket
        new, self.seen = entries[self.seen :], len(entries)
        return [line_of(entry) for entry in new]


def line_of(entry: Any) -> str:
    reason = entry.get("reason", "")
    return f"{entry['kind']:8}{entry['credits']:+10,}{entry['available_after']:>12,}  {reason}".rstrip()


@pytest.fixture
async def customer(redis_url: str, tmp_path: Path) -> AsyncIterator[Customer]:
    """A new account; its day turns twelve hours from now, so that no test sees it turn by itself."""
    noon = (datetime.now(UTC) + timedelta(hours=12)).strftime("%H:00")
    (tmp_path / "pricing.toml").write_text(CARD.read_text().replace("[free]\n", f'[free]\nreset_time = "{noon}"\n', 1))
    async with open_gateway(redis_url, tmp_path) as visitor:
        yield Customer(visitor, await visitor.account())


async def test_the_life_of_a_customer_reads_like_a_bank_statement(customer: Customer) -> None:
    await begins(customer)
    await changes_plans(customer)
    await stops_paying(customer)


async def begins(customer: Customer) -> None:
    # Free: the day's credits, and a picture of 5.
    await customer.buy()
    assert await customer.statement() == [
        "reset         +100         100  set to 100",
        "reserve         -5          95",
        "commit          +0          95",
    ]

    # Basic, monthly; then a pro picture, which takes the free credits first.
    await customer.operate("PUT", SUBSCRIPTION, {"plan": "basic", "interval": "monthly"})
    await customer.buy(model="gallery", settings={"resolution": "2K"}, outputs=2)
    assert await customer.statement() == [
        "refresh     +3,000       3,095  basic, set to 3000",
        "reserve       -147       2,948",
        "commit          +0       2,948",
    ]

    # A top-up never expires.
    checkout = (await customer.visitor.call("POST", "/v1/top-ups", customer.key, {"bundle": "small"})).body["id"]
    paid = await customer.visitor.ledger.pay(account="acme", checkout=checkout, ref="payment")
    assert isinstance(paid, Paid)
    assert await customer.statement() == ["grant       +1,000       3,948  bought Small"]


async def changes_plans(customer: Customer) -> None:
    # The upgrade takes effect at once: a new cycle, and what was left of the old plan stays until its own end.
    plan = await customer.operate("PATCH", SUBSCRIPTION, {"plan": "standard", "when": "now"})
    assert plan["balance"]["buckets"]["subscription"] == {
        "available": 10_948,
        "of": 8000,
        "refreshes_at": plan["balance"]["buckets"]["subscription"]["refreshes_at"],
    }
    assert await customer.statement() == [
        "change          +0       3,948  basic to standard monthly",
        "refresh     +8,000      11,948  standard, set to 8000",
    ]

    # Yearly from the end of the paid month on: nothing changes before, then a new cycle begins.
    scheduled = await customer.operate(
        "PATCH", SUBSCRIPTION, {"plan": "standard", "interval": "yearly", "when": "period_end"}
    )
    from_day = scheduled["balance"]["plan"]["scheduled"]["at"][:10]
    assert await customer.statement() == [f"change          +0      11,948  standard yearly from {from_day}"]
    yearly = (await customer.advance(32))["balance"]
    assert (yearly["plan"]["interval"], yearly["plan"]["scheduled"]) == ("yearly", None)
    assert await customer.statement() == [
        "expire      -2,948       9,000",
        "change          +0       9,000  standard to standard yearly",
        "refresh         +0       9,000  standard, set to 8000, 8000 left over ended",
        "reset         +100       9,100  set to 100",
    ]


async def stops_paying(customer: Customer) -> None:
    # Cancelled, and taken back.
    cancelled = await customer.operate("DELETE", SUBSCRIPTION)
    ends = cancelled["balance"]["plan"]["paid_through"]
    resumed = await customer.operate("POST", f"{SUBSCRIPTION}/resume")
    assert (cancelled["balance"]["plan"]["status"], resumed["balance"]["plan"]["status"]) == ("cancelled", "active")
    assert await customer.statement() == [
        f"change          +0       9,100  standard cancelled, ends {ends[:10]}",
        "change          +0       9,100  standard resumed",
    ]

    # Nobody pays for the next period: the plan's credits go with it, the top-up stays.
    now = datetime.fromisoformat(resumed["clock"]["now"])
    paid_through = (now + timedelta(days=20)).isoformat()
    await customer.operate(
        "PUT", SUBSCRIPTION, {"plan": "standard", "interval": "yearly", "paid_through": paid_through}
    )
    lapsed = (await customer.advance(21))["balance"]
    assert (lapsed["plan"]["id"], lapsed["top_up_allowed"]) == ("free", False)
    assert lapsed["buckets"]["top_up"]["available"] == 1000
    assert await customer.statement() == [
        f"change          +0       9,100  standard yearly renewed, paid through {paid_through[:10]}",
        "lapse       -8,000       1,100  standard ended",
        "reset           +0       1,100  set to 100, 100 left over ended",
    ]

    # A standard model can be paid with the top-up; a pro model asks for a subscription, and nothing moves.
    for _ in range(3):
        await customer.buy(tool="video", model="clip")
    assert (await customer.balance())["buckets"]["top_up"]["available"] == 962.525
    assert await customer.statement() == [
        "reserve    -45.825   1,054.175",
        "commit          +0   1,054.175",
        "reserve    -45.825    1,008.35",
        "commit          +0    1,008.35",
        "reserve    -45.825     962.525",
        "commit          +0     962.525",
    ]
    refused = await customer.visitor.create(customer.key, model="gallery")
    assert (refused.status, refused.code) == (403, "subscription_required")
    assert await customer.statement() == []
