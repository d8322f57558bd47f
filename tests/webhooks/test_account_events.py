"""What a backend is told of credits, purchases and plans: short forms, as they were when it happened."""

from __future__ import annotations

import json
from typing import Any

from tests.api.visitor import Visitor
from tests.payments.test_http import begin, page_of, press
from tests.webhooks.receiving import Receiver, register, send_round
from workers.webhooks.sender import WebhookSender

ACCOUNT = "/v1/admin/accounts/acme"


async def told_of(sender: WebhookSender, receiver: Receiver) -> list[tuple[str, dict[str, Any]]]:
    """What came since the last time."""
    await send_round(sender)
    events = [json.loads(told.body) for told in receiver.told]
    receiver.told.clear()
    return [(event["type"], event["data"]) for event in events]


async def adjust(gateway: Visitor, bucket: str, credits_: float) -> None:
    body = {"bucket": bucket, "credits": credits_, "reason": "spent elsewhere"}
    assert (await gateway.call("POST", f"{ACCOUNT}/adjustments", gateway.admin, body)).status == 201


async def test_low_and_exhausted_credits_events_have_the_amount_left(
    gateway: Visitor, key: str, sender: WebhookSender, receiver: Receiver
) -> None:
    await gateway.subscribe()
    await register(gateway, key, receiver.url, "credits.low", "credits.exhausted")
    await adjust(gateway, "subscription", -2400.5)
    assert await told_of(sender, receiver) == []
    await adjust(gateway, "subscription", -100)
    low = {"account": "acme", "available": 599.5, "of": 3000, "threshold": 0.2}
    assert await told_of(sender, receiver) == [("credits.low", low)]
    await adjust(gateway, "subscription", -499.5)
    await adjust(gateway, "free", -100)
    none = {"account": "acme", "available": 0, "of": 3000, "threshold": 0}
    assert await told_of(sender, receiver) == [("credits.exhausted", none)]
    await adjust(gateway, "subscription", 1000)
    await adjust(gateway, "subscription", -1000)
    assert {kind for kind, _ in await told_of(sender, receiver)} == {"credits.low", "credits.exhausted"}


async def test_a_paid_bundle_emits_one_event(gateway: Visitor, sender: WebhookSender, receiver: Receiver) -> None:
    key = await gateway.account()
    await gateway.subscribe()
    await register(gateway, key, receiver.url, "top_up.paid")
    begun = await begin(gateway, key)
    assert await told_of(sender, receiver) == []
    for _ in range(2):
        await press(gateway, page_of(begun))
    paid = {
        "account": "acme", "checkout": begun.body["id"], "bundle": "small", "name": "Small", "credits": 1000,
        "price": 5, "currency": "USD", "available": 4100,
    }  # fmt: skip
    assert await told_of(sender, receiver) == [("top_up.paid", paid)]


async def test_each_change_of_a_plan_emits_the_plan_as_the_balance_shows_it(
    gateway: Visitor, key: str, sender: WebhookSender, receiver: Receiver
) -> None:
    await register(gateway, key, receiver.url, "subscription.changed")
    path = f"{ACCOUNT}/subscription"
    for method, where, body, before in (
        ("PUT", path, {"plan": "basic", "interval": "monthly"}, "free"),
        ("PATCH", path, {"plan": "standard", "when": "period_end"}, "basic"),
        ("POST", f"{path}/resume", {}, "basic"),
        ("PATCH", path, {"plan": "standard", "when": "now"}, "basic"),
        ("DELETE", path, None, "standard"),
        ("POST", f"{ACCOUNT}/clock", {"advance_seconds": 40 * 86_400}, "standard"),
    ):
        assert (await gateway.call(method, where, gateway.admin, body)).status == 200
        plan = (await gateway.call("GET", "/v1/balance", key)).body["plan"]
        told = await told_of(sender, receiver)
        assert told == [("subscription.changed", {"account": "acme", "plan": plan, "previous_plan": before})]
    await gateway.finished(key)
    assert await told_of(sender, receiver) == []
