"""One person is one Stripe customer: checkouts carry the account's customer, or its email where there is none."""

from __future__ import annotations

from typing import Any

from tests.api.visitor import Visitor
from tests.payments import stripe_shapes as shapes
from tests.payments.shop import read_checkout
from tests.payments.stripe_server import StripeServer

EMAIL = "ann@example.com"


async def subscriber(gateway: Visitor) -> str:
    key = await gateway.account()
    put = await gateway.call("PUT", "/v1/admin/accounts/acme", gateway.admin, {"email": EMAIL})
    assert put.status == 200
    await gateway.subscribe()
    return key


async def top_up(gateway: Visitor, key: str) -> Any:
    begun = await gateway.call("POST", "/v1/top-ups", key, {"bundle": "small"})
    assert begun.status == 201, begun.raw
    return await read_checkout(gateway.ledger, "acme", begun.body["id"])


async def test_all_checkouts_of_an_account_carry_one_customer(selling: Visitor, stripe_server: StripeServer) -> None:
    key = await subscriber(selling)
    await top_up(selling, key)
    await top_up(selling, key)
    plan = await selling.call("POST", "/v1/subscriptions", key, {"plan": "standard", "interval": "monthly"})
    assert plan.status == 201, plan.raw
    ((customer, made),) = stripe_server.customers.items()
    assert made == {"email": EMAIL, "metadata": {"farebox_account": "acme"}}
    assert [session["customer"] for session in stripe_server.sessions] == [customer] * 3
    assert not any({"customer_email", "customer_creation"} & session.keys() for session in stripe_server.sessions)


async def test_a_key_that_may_not_make_customers_sends_the_email_and_learns_the_customer(
    selling: Visitor, stripe_server: StripeServer
) -> None:
    key = await subscriber(selling)
    stripe_server.without_customers = True
    checkout = await top_up(selling, key)
    (session,) = stripe_server.sessions
    assert (session["customer_email"], session["customer_creation"]) == (EMAIL, "always")
    stripe_server.customers["cus_ann"] = {}
    event = shapes.bundle_paid(checkout, "pi_1", 1_795_000_000)
    event["data"]["object"]["customer"] = "cus_ann"
    body, headers = shapes.signed(event)
    assert (await selling.call("POST", "/v1/payments/stripe/webhook", headers=headers, raw=body)).status == 200
    await top_up(selling, key)
    assert stripe_server.sessions[1]["customer"] == "cus_ann"


async def test_a_customer_that_was_deleted_in_stripe_does_not_stop_a_sale(
    selling: Visitor, stripe_server: StripeServer
) -> None:
    key = await subscriber(selling)
    await top_up(selling, key)
    stripe_server.customers.clear()
    await top_up(selling, key)
    assert stripe_server.sessions[1]["customer_email"] == EMAIL


async def test_a_purchase_keeps_the_customer_that_it_was_begun_with(
    selling: Visitor, stripe_server: StripeServer
) -> None:
    """Sent again, it must ask for the same: Stripe refuses an idempotency key that comes with other parameters."""
    checkout = await top_up(selling, await subscriber(selling))
    (customer,) = stripe_server.customers
    await selling.ledger.set_customer(account="acme", customer="cus_other", replace=True)
    assert (await read_checkout(selling.ledger, "acme", checkout.id)).customer == customer


async def test_an_unknown_account_has_no_customer(selling: Visitor) -> None:
    assert await selling.ledger.set_customer(account="nobody", customer="cus_1") is None
