"""What an account's own key may do with its subscription: with what it pays for, and for nothing (R3, R12)."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from tests.api.visitor import Reply, Visitor, open_gateway
from tests.cases import cases
from tests.payments import stripe_shapes as shapes
from tests.payments.shop import read_checkout
from tests.payments.stripe_server import StripeServer

OWN = "/v1/subscription"


async def plan(gateway: Visitor, key: str) -> dict[str, Any]:
    found: dict[str, Any] = (await gateway.call("GET", "/v1/balance", key)).body["plan"]
    return found


async def advance(gateway: Visitor, days: int) -> None:
    body = {"advance_seconds": days * 86_400}
    assert (await gateway.call("POST", "/v1/admin/accounts/acme/clock", gateway.admin, body)).status == 200


async def test_r3_a_cancellation_ends_with_the_period_and_is_undone_until_then(gateway: Visitor) -> None:
    key = await gateway.account()
    await gateway.subscribe()
    cancelled = (await gateway.call("DELETE", OWN, key)).body
    assert (cancelled["plan"]["id"], cancelled["plan"]["status"]) == ("basic", "cancelled")
    assert cancelled["plan"] == await plan(gateway, key)
    assert (await gateway.call("POST", f"{OWN}/resume", key)).body["plan"]["status"] == "active"
    await gateway.call("DELETE", OWN, key)
    await advance(gateway, 32)
    assert (await plan(gateway, key))["id"] == "free"


async def test_r12_a_change_comes_at_the_periods_end_mints_nothing_now_and_is_taken_back(gateway: Visitor) -> None:
    key = await gateway.account()
    await gateway.subscribe()
    before = (await gateway.call("GET", "/v1/balance", key)).body
    changed = (await gateway.call("PATCH", OWN, key, {"plan": "standard"})).body
    assert changed["plan"]["id"] == "basic"
    assert changed["plan"]["scheduled"]["plan"] == "standard"
    assert changed["available"] == before["available"]
    assert (await gateway.call("POST", f"{OWN}/resume", key)).body == before
    await gateway.call("PATCH", OWN, key, {"plan": "standard"})
    await advance(gateway, 32)
    assert (await plan(gateway, key))["id"] == "standard"


@cases(
    ("body", "field"),
    [
        ({"plan": "gold"}, "plan"),
        ({"plan": "standard", "interval": "yearly"}, "interval"),
        ({"plan": "standard", "when": "now"}, "when"),
        ({}, "plan"),
    ],
)
async def test_a_change_that_cannot_be_made_names_the_field(gateway: Visitor, body: dict[str, Any], field: str) -> None:
    key = await gateway.account()
    await gateway.subscribe()
    refused = await gateway.call("PATCH", OWN, key, body)
    assert (refused.status, refused.code, refused.fields) == (422, "invalid_request", [field])
    assert (await plan(gateway, key))["scheduled"] is None


async def test_without_a_subscription_there_is_nothing_to_change(gateway: Visitor) -> None:
    key = await gateway.account()
    for method, path, body in (("PATCH", OWN, {"plan": "basic"}), ("DELETE", OWN, None), ("POST", f"{OWN}/resume", {})):
        refused = await gateway.call(method, path, key, body)
        assert (refused.status, refused.code) == (422, "invalid_request")
        assert "Buy a plan" in refused.message


async def test_r11_a_repeated_change_answers_as_before(gateway: Visitor) -> None:
    key = await gateway.account()
    await gateway.subscribe()
    once = {"Idempotency-Key": "k1"}
    first = await gateway.call("PATCH", OWN, key, {"plan": "standard"}, once)
    again = await gateway.call("PATCH", OWN, key, {"plan": "standard"}, once)
    assert again.headers["Idempotent-Replay"] == "true"
    assert again.body == first.body


# --- Stripe ----------------------------------------------------------------------------------------------------------


async def hook(gateway: Visitor, event: shapes.Event) -> Reply:
    body, headers = shapes.signed(event)
    return await gateway.call("POST", "/v1/payments/stripe/webhook", headers=headers, raw=body)


async def paying(selling: Visitor, stripe_server: StripeServer) -> tuple[str, Any, int]:
    """An account whose plan Stripe renews: its key, its checkout, and when the subscription began."""
    key = await selling.account()
    begun = await selling.call("POST", "/v1/subscriptions", key, {"plan": "basic", "interval": "monthly"})
    checkout = await read_checkout(selling.ledger, "acme", begun.body["id"])
    start = int(time.time()) - 60
    stripe_server.subscriptions.add("sub_1")
    await hook(selling, shapes.plan_checked_out(checkout, "sub_1", start))
    await hook(selling, shapes.invoice(checkout, "sub_1", start, start + 30 * shapes.DAY))
    assert (await plan(selling, key))["id"] == "basic"
    return key, checkout, start


async def test_a_plan_that_stripe_renews_is_cancelled_and_resumed_at_stripe(
    selling: Visitor, stripe_server: StripeServer
) -> None:
    key, checkout, start = await paying(selling, stripe_server)
    asked = await selling.call("DELETE", OWN, key)
    assert asked.status == 200
    assert asked.body["plan"]["status"] == "active", "until Stripe says so"
    await selling.call("POST", f"{OWN}/resume", key)
    await selling.call("DELETE", OWN, key)
    said = [(name, params["cancel_at_period_end"]) for name, params in stripe_server.updates]
    assert said == [("sub_1", "true"), ("sub_1", "false"), ("sub_1", "true")]
    seen = shapes.subscription_seen(checkout, "sub_1", start, int(time.time()), cancel_at_period_end=True)
    await hook(selling, seen)
    assert (await plan(selling, key))["status"] == "cancelled"


async def test_a_change_is_not_put_off_with_stripe_and_an_outage_is_said(
    selling: Visitor, stripe_server: StripeServer
) -> None:
    key, _, _ = await paying(selling, stripe_server)
    refused = await selling.call("PATCH", OWN, key, {"plan": "standard"})
    assert (refused.status, refused.code) == (403, "forbidden")
    assert "billed by Stripe" in refused.message
    stripe_server.failing = 3
    refused = await selling.call("DELETE", OWN, key)
    assert (refused.status, refused.code) == (503, "payments_unavailable")
    assert "Nothing was changed" in refused.message
    assert stripe_server.updates == []


async def test_what_an_operator_arranged_is_not_the_accounts_to_change(selling: Visitor) -> None:
    """Else a key could undo a cancellation for want of payment, or give itself a larger plan for nothing."""
    key = await selling.account()
    await selling.subscribe()
    await selling.call("DELETE", "/v1/admin/accounts/acme/subscription", selling.admin)
    for method, path, body in (
        ("PATCH", OWN, {"plan": "standard"}),
        ("DELETE", OWN, None),
        ("POST", f"{OWN}/resume", {}),
    ):
        refused = await selling.call(method, path, key, body)
        assert (refused.status, refused.code) == (403, "forbidden")
        assert "managed by the operator of this gateway" in refused.message
    assert (await plan(selling, key))["status"] == "cancelled"


async def test_where_payments_are_off_nothing_is_the_accounts_to_change(redis_url: str, tmp_path: Path) -> None:
    async with open_gateway(redis_url, tmp_path, test_mode=False) as gateway:
        key = await gateway.account()
        await gateway.subscribe()
        assert (await gateway.call("DELETE", OWN, key)).code == "forbidden"
