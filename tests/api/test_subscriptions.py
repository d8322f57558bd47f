"""R3, R12 over HTTP: operators start, change, cancel and resume a subscription."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.visitor import Reply, Visitor
from tests.cases import cases

ACCOUNT = "/v1/admin/accounts/acme"
SUBSCRIPTION = f"{ACCOUNT}/subscription"
DAY_SECONDS = 86_400


@pytest.fixture
async def subscriber(gateway: Visitor) -> Visitor:
    """A gateway where acme has the plan basic."""
    await gateway.account()
    await gateway.subscribe()
    return gateway


async def change(visitor: Visitor, once: str | None = None, **body: Any) -> Reply:
    headers = {} if once is None else {"Idempotency-Key": once}
    return await visitor.call("PATCH", SUBSCRIPTION, visitor.admin, body, headers)


async def advance(visitor: Visitor, days: int) -> Any:
    body = {"advance_seconds": days * DAY_SECONDS}
    return (await visitor.call("POST", f"{ACCOUNT}/clock", visitor.admin, body)).body["balance"]


async def test_r12_a_change_at_period_end_is_shown_with_its_time_and_can_be_unscheduled(subscriber: Visitor) -> None:
    reply = await change(subscriber, plan="standard", interval="yearly", when="period_end")
    plan = reply.body["balance"]["plan"]
    assert plan["id"] == "basic"
    refreshes_at = reply.body["balance"]["buckets"]["subscription"]["refreshes_at"]
    assert plan["scheduled"] == {"plan": "standard", "interval": "yearly", "at": refreshes_at}
    resumed = await subscriber.call("POST", f"{SUBSCRIPTION}/resume", subscriber.admin)
    assert resumed.body["balance"]["plan"]["scheduled"] is None


async def test_r12_the_same_plan_mints_nothing(subscriber: Visitor) -> None:
    key = await subscriber.account()
    await subscriber.finished(key, outputs=4)
    before = (await subscriber.call("GET", "/v1/journal", key)).body
    assert (await change(subscriber, plan="basic", when="now")).status == 200
    assert (await subscriber.call("GET", "/v1/journal", key)).body == before


async def test_r3_a_cancellation_ends_with_the_period_and_can_be_undone_until_then(subscriber: Visitor) -> None:
    cancelled = await subscriber.call("DELETE", SUBSCRIPTION, subscriber.admin)
    assert cancelled.status == 200
    plan = cancelled.body["balance"]["plan"]
    assert (plan["id"], plan["status"]) == ("basic", "cancelled")
    assert plan["paid_through"] == cancelled.body["balance"]["buckets"]["subscription"]["refreshes_at"]
    resumed = await subscriber.call("POST", f"{SUBSCRIPTION}/resume", subscriber.admin)
    assert resumed.body["balance"]["plan"]["status"] == "active"
    await subscriber.call("DELETE", SUBSCRIPTION, subscriber.admin)
    balance = await advance(subscriber, 32)
    assert balance["plan"] == {
        "id": "free",
        "status": "none",
        "interval": None,
        "paid_through": None,
        "scheduled": None,
    }
    assert balance["buckets"]["subscription"]["available"] == 0


async def test_r11_a_repeated_change_answers_as_before(subscriber: Visitor) -> None:
    first = await change(subscriber, "k1", plan="standard", when="now")
    await advance(subscriber, 1)
    again = await change(subscriber, "k1", plan="standard", when="now")
    assert again.headers["Idempotent-Replay"] == "true"
    assert again.body == first.body
    other = await change(subscriber, "k1", plan="basic", when="now")
    assert other.code == "idempotency_key_reused"


async def test_r11_two_deletes_are_one_cancellation(subscriber: Visitor) -> None:
    replies = [await subscriber.call("DELETE", SUBSCRIPTION, subscriber.admin) for _ in range(2)]
    plans = [reply.body["balance"]["plan"] for reply in replies]
    assert plans[0] == plans[1]


@cases(
    ("body", "field"),
    [
        ({"plan": "gold", "when": "now"}, "plan"),
        ({"plan": "standard", "when": "tomorrow"}, "when"),
        ({"plan": "standard", "when": "now", "interval": "weekly"}, "interval"),
        ({"when": "now"}, "plan"),
        ({"plan": "standard"}, "when"),
        ({"plan": "standard", "when": "now", "leftover": "keep"}, "leftover"),
    ],
)
async def test_a_change_that_cannot_be_made_names_the_field(
    subscriber: Visitor, body: dict[str, Any], field: str
) -> None:
    reply = await change(subscriber, **body)
    assert (reply.status, reply.code, reply.fields) == (422, "invalid_request", [field])


async def test_without_a_subscription_there_is_nothing_to_change_cancel_or_resume(gateway: Visitor) -> None:
    await gateway.account()
    replies = {
        "plan": await change(gateway, plan="basic", when="now"),
        "subscription": await gateway.call("DELETE", SUBSCRIPTION, gateway.admin),
    }
    for field, reply in replies.items():
        assert (reply.status, reply.code, reply.fields) == (422, "invalid_request", [field])
        assert "no subscription" in reply.message
    resumed = await gateway.call("POST", f"{SUBSCRIPTION}/resume", gateway.admin)
    assert (resumed.code, resumed.fields) == ("invalid_request", ["subscription"])
