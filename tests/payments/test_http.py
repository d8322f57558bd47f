"""Buying over HTTP: the bundles, a test checkout from its page, and Stripe from the call to the webhook."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import stripe
from aiohttp import FormData

from tests.api.visitor import Reply, Visitor, open_gateway
from tests.cases import cases
from tests.payments import stripe_shapes as shapes
from tests.payments.shop import read_checkout
from tests.payments.stripe_server import KEY, StripeServer


async def begin(gateway: Visitor, key: str, path: str = "/v1/top-ups", once: str | None = None, **body: Any) -> Reply:
    headers = {} if once is None else {"Idempotency-Key": once}
    return await gateway.call("POST", path, key, body or {"bundle": "small"}, headers)


def page_of(begun: Reply) -> str:
    """The path of a checkout's page; the gateway under test is not at its public address."""
    url = urlsplit(begun.body["checkout_url"])
    return f"{url.path}?{url.query}"


async def press(gateway: Visitor, page: str, answer: str = "pay", **headers: str) -> Reply:
    """Send the page's form as a browser does; the page that follows."""
    path, _, query = page.partition("?")
    form = FormData({"token": query.removeprefix("token="), "answer": answer})
    sent = {"Origin": gateway.address, **headers}
    async with gateway.session.post(gateway.address + path, data=form, headers=sent) as response:
        return Reply(response.status, response.headers, await response.read())


async def top_up(gateway: Visitor, key: str) -> Any:
    return (await gateway.call("GET", "/v1/balance", key)).body["buckets"]["top_up"]["available"]


async def subscriber(gateway: Visitor) -> str:
    key = await gateway.account()
    await gateway.subscribe()
    return key


async def test_the_bundles_are_public_and_can_be_compared(gateway: Visitor) -> None:
    reply = await gateway.call("GET", "/v1/bundles")
    assert reply.body["data"] == [
        {"id": "small", "name": "Small", "credits": 1000, "price": 5, "currency": "USD", "price_per_100": 0.5}
    ]


async def test_a_bundle_is_bought_at_a_click_and_said_to_be_a_test(gateway: Visitor) -> None:
    key = await subscriber(gateway)
    begun = await begin(gateway, key)
    assert begun.status == 201
    assert re.fullmatch(r"chk_[a-z2-7]{24}", begun.body["id"])
    shown = await gateway.call("GET", page_of(begun))
    assert shown.status == 200
    for text in ("This is a test", "1,000 credits", "5.00 USD", "Pay 5.00 USD", "Decline"):
        assert text in shown.raw.decode()
    paid = await press(gateway, page_of(begun))
    assert "1,000 credits were added" in paid.raw.decode()
    assert "<button" not in paid.raw.decode()
    assert await top_up(gateway, key) == 1000


async def test_the_page_runs_no_script_but_the_themes_and_names_no_other_site(gateway: Visitor) -> None:
    begun = await begin(gateway, await subscriber(gateway))
    shown = await gateway.call("GET", page_of(begun))
    policy = shown.headers["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy
    text = shown.raw.decode()
    assert re.findall(r"<script(.*?)>", text) == [' src="/static/theme.js"']
    assert "style=" not in text
    assert (await gateway.call("GET", re.findall(r'href="([^"]+\.css)"', text)[0])).status == 200
    # Else a browser sends the form with the origin `null`, which is nobody's.
    assert shown.headers["Referrer-Policy"] == "same-origin"


async def test_two_clicks_pay_once(gateway: Visitor) -> None:
    key = await subscriber(gateway)
    page = page_of(await begin(gateway, key))
    await press(gateway, page)
    await press(gateway, page)
    assert await top_up(gateway, key) == 1000


async def test_a_declined_checkout_charges_and_adds_nothing(gateway: Visitor) -> None:
    key = await subscriber(gateway)
    page = page_of(await begin(gateway, key))
    assert "Nothing was charged" in (await press(gateway, page, "decline")).raw.decode()
    assert "Nothing was charged" in (await press(gateway, page, "pay")).raw.decode()
    assert await top_up(gateway, key) == 0


async def test_only_the_page_itself_can_pay(gateway: Visitor) -> None:
    key = await subscriber(gateway)
    page = page_of(await begin(gateway, key))
    assert (await press(gateway, page, Origin="https://evil.example")).code == "forbidden"
    assert (await press(gateway, page, Origin="null")).code == "forbidden"
    assert (await press(gateway, page[:-3])).status == 404
    assert (await press(gateway, page, "perhaps")).code == "invalid_request"
    assert await top_up(gateway, key) == 0


@cases(
    "content_type",
    ["multipart/form-data", "multipart/form-data; boundary=x", "application/json", "text/plain; charset=nonsense"],
)
async def test_what_is_no_form_is_refused(gateway: Visitor, content_type: str) -> None:
    """A form without its boundary was a 500: aiohttp's reader of forms raises a plain ValueError for it."""
    page = page_of(await begin(gateway, await subscriber(gateway))).partition("?")[0]
    refused = await gateway.call("POST", page, headers={"Content-Type": content_type}, raw=b"answer=pay&token=x")
    assert (refused.status, refused.code) == (422, "invalid_request")


@cases("form", [b"\xff\xfe=", b"a=&" * 2000, b"answer=pay", b"answer=perhaps&token=x"])
async def test_a_form_that_cannot_be_read_is_refused(gateway: Visitor, form: bytes) -> None:
    page = page_of(await begin(gateway, await subscriber(gateway))).partition("?")[0]
    headers = {"Content-Type": "application/x-www-form-urlencoded; charset=nonsense"}
    refused = await gateway.call("POST", page, headers=headers, raw=form)
    assert (refused.status, refused.code) == (422, "invalid_request")


async def test_a_link_shows_its_own_purchase_only(gateway: Visitor) -> None:
    key = await subscriber(gateway)
    one, other = page_of(await begin(gateway, key)), page_of(await begin(gateway, key))
    crossed = one.partition("?")[0] + "?" + other.partition("?")[2]
    for path in (crossed, one.partition("?")[0]):
        reply = await gateway.call("GET", path)
        assert reply.status == 404
        assert "text/html" in reply.headers["Content-Type"]


async def test_a_plan_is_bought_and_a_better_one_after_it(gateway: Visitor) -> None:
    key = await gateway.account()
    begun = await begin(gateway, key, "/v1/subscriptions", plan="basic", interval="yearly")
    assert "The plan Basic is active" in (await press(gateway, page_of(begun))).raw.decode()
    plan = (await gateway.call("GET", "/v1/balance", key)).body["plan"]
    assert (plan["id"], plan["interval"], plan["status"]) == ("basic", "yearly", "active")
    begun = await begin(gateway, key, "/v1/subscriptions", plan="standard", interval="monthly")
    await press(gateway, page_of(begun))
    balance = (await gateway.call("GET", "/v1/balance", key)).body
    assert balance["plan"]["id"] == "standard"
    assert balance["buckets"]["subscription"]["available"] == 11_000


@cases(
    ("path", "body", "field", "words"),
    [
        ("/v1/top-ups", {"bundle": "huge"}, "bundle", "must be one of small"),
        ("/v1/top-ups", {}, "bundle", "is required"),
        ("/v1/subscriptions", {"plan": "gold", "interval": "monthly"}, "plan", "must be one of basic, standard"),
        ("/v1/subscriptions", {"plan": "standard", "interval": "yearly"}, "interval", "must be one of monthly"),
        ("/v1/subscriptions", {"plan": "basic", "interval": "monthly"}, "plan", "is already"),
    ],
)
async def test_what_cannot_be_bought_says_what_can(
    gateway: Visitor, path: str, body: dict[str, str], field: str, words: str
) -> None:
    key = await subscriber(gateway)
    refused = await gateway.call("POST", path, key, body)
    assert (refused.status, refused.fields) == (422, [field])
    assert words in refused.message


async def test_r4_a_top_up_without_a_subscription_is_refused(gateway: Visitor) -> None:
    refused = await begin(gateway, await gateway.account())
    assert (refused.status, refused.code) == (403, "subscription_required")


async def test_r11_the_same_key_begins_one_purchase(gateway: Visitor) -> None:
    key = await subscriber(gateway)
    first, again = await begin(gateway, key, once="k1"), await begin(gateway, key, once="k1")
    assert again.body == first.body
    assert again.headers["Idempotent-Replay"] == "true"
    assert (await begin(gateway, key, once="k2")).body["id"] != first.body["id"]


async def test_payments_that_are_off_say_so(redis_url: str, tmp_path: Path) -> None:
    async with open_gateway(redis_url, tmp_path, test_mode=False) as gateway:
        refused = await begin(gateway, await subscriber(gateway))
        assert (refused.status, refused.code) == (403, "forbidden")
        assert "Payments are disabled" in refused.message
        assert (await gateway.call("POST", "/v1/payments/stripe/webhook", raw=b"{}")).status == 404


async def hook(gateway: Visitor, event: shapes.Event) -> Reply:
    body, headers = shapes.signed(event)
    return await gateway.call("POST", "/v1/payments/stripe/webhook", headers=headers, raw=body)


async def test_stripe_from_the_call_to_the_webhook(selling: Visitor, stripe_server: StripeServer) -> None:
    key = await subscriber(selling)
    begun = await begin(selling, key)
    assert begun.body["checkout_url"].startswith("https://checkout.stripe.com/")
    checkout = await read_checkout(selling.ledger, "acme", begun.body["id"])
    back = urlsplit(stripe_server.sessions[0]["success_url"])
    assert "Not paid yet" in (await selling.call("GET", f"{back.path}?{back.query}")).raw.decode()
    for _ in range(3):
        assert (await hook(selling, shapes.bundle_paid(checkout, "pi_1", 1_795_000_000))).body == {"received": True}
    assert await top_up(selling, key) == 1000
    assert "Paid" in (await selling.call("GET", f"{back.path}?{back.query}")).raw.decode()
    await hook(selling, shapes.refunded(checkout, "pi_1", 500, 1_795_000_001))
    assert await top_up(selling, key) == 0


async def test_stripes_checkout_cannot_be_paid_at_a_click(selling: Visitor, stripe_server: StripeServer) -> None:
    key = await subscriber(selling)
    await begin(selling, key)
    back = urlsplit(stripe_server.sessions[0]["success_url"])
    assert (await press(selling, f"{back.path}?{back.query}")).status == 404
    assert await top_up(selling, key) == 0


@cases(
    ("once", "more"),
    [
        ('"payment_status": "paid"', '"payment_status": "unpaid", "payment_status": "paid"'),
        ('"payment_status": "paid"', r'"payment_status": "paid", "payment\u005fstatus": "paid"'),
        ('"payment_status": "paid"', '"payment_status": "paid", "amount_odd": 1e999'),
    ],
)
async def test_a_signed_event_that_can_be_read_in_two_ways_is_refused(selling: Visitor, once: str, more: str) -> None:
    """The signature is of its bytes; what they say is a reader's business, and readers differ."""
    key = await subscriber(selling)
    checkout = await read_checkout(selling.ledger, "acme", (await begin(selling, key)).body["id"])
    whole, _ = shapes.signed(shapes.bundle_paid(checkout, "pi_1", 1_795_000_000))
    assert once in whole.decode()
    body = whole.decode().replace(once, more)
    header = stripe.WebhookSignature.generate_signature_header(body, shapes.SECRET)
    refused = await selling.call(
        "POST", "/v1/payments/stripe/webhook", headers={"Stripe-Signature": header}, raw=body.encode()
    )
    assert (refused.status, refused.code) == (400, "invalid_request")
    assert await top_up(selling, key) == 0


async def test_an_event_without_stripes_signature_is_400_and_does_nothing(selling: Visitor) -> None:
    key = await subscriber(selling)
    checkout = await read_checkout(selling.ledger, "acme", (await begin(selling, key)).body["id"])
    body, headers = shapes.signed(shapes.bundle_paid(checkout, "pi_1", 1_795_000_000), secret="whsec_forged")
    for sent in (headers, {}):
        refused = await selling.call("POST", "/v1/payments/stripe/webhook", headers=sent, raw=body)
        assert (refused.status, refused.code) == (400, "invalid_request")
    assert await top_up(selling, key) == 0


async def test_an_event_that_is_none_of_ours_is_taken_and_left(selling: Visitor) -> None:
    assert (await hook(selling, shapes.event_of("customer.created", {"id": "cus_1"}, 1))).status == 200


async def test_an_outage_of_stripe_is_said_and_the_same_key_goes_on(
    selling: Visitor, stripe_server: StripeServer
) -> None:
    key = await subscriber(selling)
    stripe_server.failing = 3
    refused = await begin(selling, key, once="k1")
    assert refused.status == 503
    assert "Retry-After" in refused.headers
    assert "payment provider" in refused.message
    assert (await begin(selling, key, once="k1")).status == 201
    assert len(stripe_server.sessions) == 1


async def test_r22_a_test_account_gets_the_reason_why_it_cannot_pay(selling: Visitor) -> None:
    key = await subscriber(selling)
    await selling.ledger.advance(account="acme", operation="op-1", advance_ms=1)
    refused = await begin(selling, key)
    assert (refused.status, refused.code) == (403, "forbidden")
    assert "test account" in refused.message


async def test_no_secret_of_stripe_is_logged(selling: Visitor, capsys: pytest.CaptureFixture[str]) -> None:
    key = await subscriber(selling)
    checkout = await read_checkout(selling.ledger, "acme", (await begin(selling, key)).body["id"])
    await hook(selling, shapes.bundle_paid(checkout, "pi_1", 1_795_000_000))
    said = "".join(capsys.readouterr())
    assert "checkout_started" in said
    for secret in (KEY, shapes.SECRET, "ann@example.com"):
        assert secret not in said
    assert re.search(r"\b4242\b", said) is None, "the card's last digits"  # an id may hold them too
