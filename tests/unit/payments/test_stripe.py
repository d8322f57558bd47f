"""Stripe by its own library, against a server that speaks its wire format; events signed by its own signer."""

from __future__ import annotations

import time
from dataclasses import replace
from decimal import Decimal

import pytest

from gateway.domain import Interval
from gateway.errors import EventRefused, PaymentsUnavailable
from gateway.payments.base import Amount, PaymentMade, PaymentReturned, minor_units
from gateway.payments.links import CheckoutLinks
from gateway.payments.stripe import StripePayments
from tests.payments import stripe_shapes as shapes
from tests.payments.stripe_server import KEY, StripeServer
from tests.unit.payments.test_stripe_events import BUNDLE, PLAN, START

OURS = {"farebox_account": "ann", "farebox_checkout": "chk_1"}


async def test_a_bundle_is_one_payment_at_the_rate_cards_price(
    provider: StripePayments, stripe_server: StripeServer
) -> None:
    started = await provider.checkout(BUNDLE)
    assert started.url.startswith("https://checkout.stripe.com/")
    (asked,) = stripe_server.sessions
    page = asked.pop("success_url")
    assert page.startswith("http://gate.example/checkout/chk_1?token=")
    assert asked.pop("cancel_url") == page
    assert asked == {
        "mode": "payment",
        "client_reference_id": "chk_1",
        "metadata": OURS,
        "payment_intent_data": {"metadata": OURS},
        "line_items": {
            "0": {
                "quantity": "1",
                "price_data": {"currency": "usd", "unit_amount": "500", "product_data": {"name": "Small"}},
            }
        },
    }


@pytest.mark.parametrize(
    ("interval", "unit", "count"),
    [(Interval.MONTHLY, "month", "1"), (Interval.QUARTERLY, "month", "3"), (Interval.YEARLY, "year", "1")],
)
async def test_a_plan_is_a_subscription_that_carries_whose_it_is(
    provider: StripePayments, stripe_server: StripeServer, interval: Interval, unit: str, count: str
) -> None:
    await provider.checkout(replace(PLAN, interval=interval))
    (asked,) = stripe_server.sessions
    assert asked["mode"] == "subscription"
    assert asked["line_items"]["0"]["price_data"]["recurring"] == {"interval": unit, "interval_count": count}
    assert asked["line_items"]["0"]["price_data"]["unit_amount"] == "3000"
    assert asked["subscription_data"]["metadata"] == {
        "farebox_account": "ann",
        "farebox_checkout": "chk_2",
        "farebox_plan": "standard",
        "farebox_interval": interval,
    }
    assert "payment_intent_data" not in asked


async def test_r11_the_key_given_to_stripe_derives_from_the_purchase(
    provider: StripePayments, stripe_server: StripeServer
) -> None:
    await provider.checkout(BUNDLE)
    assert stripe_server.headers[0]["Idempotency-Key"] == "farebox-chk_1"


async def test_a_stumble_of_stripe_is_tried_again_with_the_same_key(
    provider: StripePayments, stripe_server: StripeServer
) -> None:
    stripe_server.failing = 1
    await provider.checkout(BUNDLE)
    assert [sent["Idempotency-Key"] for sent in stripe_server.headers] == ["farebox-chk_1"] * 2
    assert len(stripe_server.sessions) == 1


async def test_an_outage_of_stripe_is_said_without_stripes_own_words(
    provider: StripePayments, stripe_server: StripeServer
) -> None:
    stripe_server.failing = 10
    with pytest.raises(PaymentsUnavailable) as raised:
        await provider.checkout(BUNDLE)
    assert str(raised.value).startswith("checkout: APIError")


async def test_a_refused_key_is_not_repeated_in_the_error(stripe_server: StripeServer) -> None:
    """Stripe's message quotes the key that it refused."""
    links = CheckoutLinks("secret", "http://gate.example")
    key = "sk_live_very_secret_9"
    wrong = StripePayments(key=key, webhook_secret="whsec_x", links=links, api_base=stripe_server.address)
    try:
        with pytest.raises(PaymentsUnavailable) as raised:
            await wrong.checkout(BUNDLE)
    finally:
        await wrong.close()
    assert "secret_9" not in str(raised.value)
    assert raised.value.__cause__ is None


async def test_a_signed_event_is_read(provider: StripePayments) -> None:
    body, headers = shapes.signed(shapes.bundle_paid(BUNDLE, "pi_1", START))
    assert await provider.event(body, headers) == PaymentMade("ann", "chk_1", "pi_1")


async def test_an_event_that_stripe_did_not_sign_is_refused(provider: StripePayments) -> None:
    event = shapes.bundle_paid(BUNDLE, "pi_1", START)
    body, headers = shapes.signed(event)
    _, wrong_secret = shapes.signed(event, secret="whsec_other")
    _, too_old = shapes.signed(event, at=int(time.time()) - 301)
    forged = body.replace(b"chk_1", b"chk_9")
    for sent, sent_headers in (
        (body, {}), (body, wrong_secret), (body, too_old), (forged, headers), (b"", headers),
        (body, {"Stripe-Signature": "nonsense"}), (b"\xff\xfe", headers),
    ):  # fmt: skip
        with pytest.raises(EventRefused):
            await provider.event(sent, sent_headers)


async def test_a_dispute_finds_its_purchase_by_its_payment(
    provider: StripePayments, stripe_server: StripeServer
) -> None:
    stripe_server.payment_intents["pi_1"] = OURS
    said = await provider.event(*shapes.signed(shapes.disputed(BUNDLE, "pi_1", START, word="funds_withdrawn")))
    assert said == PaymentReturned("ann", "chk_1", Amount(500, "usd"), "dispute:dp_pi_1", START * 10 + 1)


async def test_a_dispute_of_what_we_did_not_sell_is_none_of_ours(
    provider: StripePayments, stripe_server: StripeServer
) -> None:
    stripe_server.payment_intents["pi_1"] = {"shop": "other"}
    for intent in ("pi_1", "pi_unknown"):
        assert (
            await provider.event(*shapes.signed(shapes.disputed(BUNDLE, intent, START, word="funds_withdrawn"))) is None
        )


async def test_a_dispute_during_an_outage_asks_to_be_sent_again(
    provider: StripePayments, stripe_server: StripeServer
) -> None:
    stripe_server.failing = 10
    with pytest.raises(PaymentsUnavailable):
        await provider.event(*shapes.signed(shapes.disputed(BUNDLE, "pi_1", START, word="funds_withdrawn")))


async def test_a_superseded_subscription_is_cancelled_once(
    provider: StripePayments, stripe_server: StripeServer
) -> None:
    stripe_server.subscriptions.add("sub_1")
    await provider.end("sub_1")
    await provider.end("sub_1")
    assert stripe_server.cancelled == ["sub_1"]
    assert stripe_server.headers[0]["Authorization"] == f"Bearer {KEY}"


def test_money_is_exact_cents() -> None:
    assert minor_units(Decimal("109.20")) == 10_920
    with pytest.raises(ValueError, match="two decimals"):
        minor_units(Decimal("0.005"))
