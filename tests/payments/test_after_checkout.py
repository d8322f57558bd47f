"""After a checkout: its customer goes back to the product, which can ask what became of it, and what there is now."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from gateway.api.services import SETTINGS
from gateway.clock import LedgerTimeSigner
from gateway.domain import partition_of_account
from gateway.errors import SettingsError
from gateway.ledger import keys
from gateway.ledger.trimming import trim_all
from gateway.outside.cors import parse_origins
from gateway.outside.return_urls import ReturnUrls, with_checkout
from gateway.payments.links import LINK_SECONDS
from gateway.settings import load_settings
from tests.api.visitor import Reply, Visitor, open_gateway
from tests.cases import cases
from tests.invariants.checks import check_invariants
from tests.payments import stripe_shapes as shapes
from tests.payments.shop import read_checkout
from tests.payments.stripe_server import StripeServer
from tests.payments.test_http import begin, hook, page_of, press, subscriber

SHOP = "https://shop.example.com"
NOW = 1_795_000_000


@pytest.fixture
async def gateway(redis_url: str, tmp_path: Path) -> AsyncIterator[Visitor]:
    """A gateway in test mode, to whose payment pages a shop sends its customers."""
    async with open_gateway(redis_url, tmp_path, return_origins=f"{SHOP}, https://app.example.com:8443") as visitor:
        yield visitor
        await check_invariants(visitor.ledger.redis, visitor.ledger.partitions)


async def read(gateway: Visitor, path: str, key: str) -> Any:
    reply = await gateway.call("GET", path, key)
    assert reply.status == 200, reply.raw
    return reply.body


async def pressed(gateway: Visitor, begun: Reply, answer: str) -> str:
    """Where the browser is sent after a button of the test page was pressed."""
    path, _, query = page_of(begun).partition("?")
    form = {"token": query.removeprefix("token="), "answer": answer}
    sent = {"Origin": gateway.address}
    async with gateway.session.post(gateway.address + path, data=form, headers=sent, allow_redirects=False) as response:
        assert response.status == 303, await response.text()
        return response.headers["Location"]


# --- where a customer goes back to ------------------------------------------------------------------------------------


async def test_a_customer_goes_back_to_the_product_with_the_checkouts_id(gateway: Visitor) -> None:
    """Both links of a checkout led to the gateway's own page, where a product's customer was left."""
    key = await subscriber(gateway)
    back: dict[str, Any] = {"success_url": f"{SHOP}/paid?from=plans#top", "cancel_url": "http://localhost:3000/plans"}
    paid, declined = [await begin(gateway, key, bundle="small", **back) for _ in range(2)]
    policy = (await gateway.call("GET", page_of(paid))).headers["Content-Security-Policy"]
    assert policy.endswith(f"form-action 'self' {SHOP} http://localhost:3000"), "or the browser stops the redirect"
    assert await pressed(gateway, paid, "pay") == f"{SHOP}/paid?from=plans&checkout={paid.body['id']}#top"
    assert await pressed(gateway, declined, "decline") == f"http://localhost:3000/plans?checkout={declined.body['id']}"
    assert f'href="{SHOP}/paid?from=plans&amp;checkout=' in (await gateway.call("GET", page_of(paid))).raw.decode()


async def test_without_a_return_url_the_gateways_page_says_it_and_leads_on(gateway: Visitor) -> None:
    begun = await begin(gateway, await subscriber(gateway))
    assert (await pressed(gateway, begun, "pay")).startswith("/checkout/")
    assert 'href="/"' in (await gateway.call("GET", page_of(begun))).raw.decode()


async def test_stripe_is_given_the_products_own_pages(selling: Visitor, stripe_server: StripeServer) -> None:
    key = await subscriber(selling)
    own = selling.app[SETTINGS].public_address
    begun = await begin(selling, key, bundle="small", success_url=f"{own}/plans?x={{CHECKOUT_SESSION_ID}}")
    made = stripe_server.sessions[0]
    assert made["success_url"] == f"{own}/plans?x={{CHECKOUT_SESSION_ID}}&checkout={begun.body['id']}"
    back = urlsplit(made["cancel_url"])
    shown = (await selling.call("GET", f"{back.path}?{back.query}")).raw.decode()
    assert "Not paid yet" in shown
    assert 'http-equiv="refresh"' in shown
    assert 'href="/"' in shown


@pytest.mark.parametrize("field", ["success_url", "cancel_url"])
@pytest.mark.parametrize("call", ["/v1/top-ups", "/v1/subscriptions"])
async def test_an_open_redirect_is_refused_and_the_refusal_names_field_and_setting(
    gateway: Visitor, field: str, call: str
) -> None:
    key = await subscriber(gateway)
    bought = {"bundle": "small"} if call == "/v1/top-ups" else {"plan": "standard", "interval": "monthly"}
    refused = await gateway.call("POST", call, key, bought | {field: "https://evil.example/paid"})
    assert (refused.status, refused.code, refused.fields) == (422, "invalid_request", [field])
    assert "FAREBOX_RETURN_ORIGINS" in refused.message
    assert "https://evil.example" in refused.message
    assert (await read(gateway, "/v1/purchases", key))["data"] == [], "nothing was begun"


@cases(
    "url",
    [
        "https://shop.example.com.evil.example/", "https://shop.example.com@evil.example/", "//evil.example/",
        "https://evil.example/https://shop.example.com/", r"https://shop.example.com\@evil.example/",
        r"https://evil.example\.shop.example.com/", "https://shop.example.com:444/", "http://shop.example.com/",
        "javascript:alert(1)", "data:text/html,x", "https:shop.example.com", "https:///shop.example.com/",
        "https://shop.example.com%2eevil.example/", "https://shop.example.com /", "https://shop.example.com/\r\nX: y",
        "https://shop。example.com/", "https://shop.example.com./", "https://[::1/", "https://shop.example.com:x/", "",
        "https://localhost:3000/", "http://127.0.0.1/", "https://shop.example.com/?checkout=chk_other",
        f"https://shop.example.com/{'x' * 2000}",
    ],
)  # fmt: skip
def test_what_any_reader_could_take_for_another_origin_is_none_of_the_list(url: str) -> None:
    assert ReturnUrls(parse_origins(SHOP)).problem(url) is not None


@pytest.mark.parametrize(
    "url",
    [
        f"{SHOP}", f"{SHOP}/", f"{SHOP}:443/a/b?c=d&e=%20#f", "https://SHOP.example.com/x", f"{SHOP}?a",
        "http://localhost:3000/", "http://127.0.0.1:5173/x", "http://[::1]:80/", "https://app.localhost/",
    ],
)  # fmt: skip
def test_pages_of_allowed_origins_and_in_test_mode_of_this_machine(url: str) -> None:
    assert ReturnUrls(parse_origins(SHOP), loopback=True).problem(url) is None
    assert with_checkout(url, "chk_a").partition("#")[0].endswith(("?checkout=chk_a", "&checkout=chk_a"))


@pytest.mark.parametrize("url", ["https://[::1]evil.example/", "https://evil.example[::1]/", "https://[::1][::2]/"])
def test_a_host_beside_brackets_is_not_the_address_within_them(url: str) -> None:
    """Python's reader took it for the address, which an operator may allow, as test mode does for this machine."""
    allowed = ReturnUrls(parse_origins("https://[::1],https://[2001:db8::1]"), loopback=True)
    assert allowed.problem(url) is not None
    assert allowed.problem(url.replace("::1", "2001:db8::1")) is not None


@pytest.mark.parametrize(
    "text", ["shop.example.com", "https://shop.example.com/paid", "https://a@b.example", "https://x?y"]
)
def test_a_setting_that_is_no_list_of_origins_stops_the_start(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("FAREBOX_RETURN_ORIGINS", f"https://ok.example.com,{text}")
    with pytest.raises(
        SettingsError, match=r"FAREBOX_RETURN_ORIGINS: must be comma-separated origins such as https://"
    ):
        load_settings()


# --- what became of it ------------------------------------------------------------------------------------------------


async def test_a_checkout_says_what_became_of_it_and_what_it_gave(gateway: Visitor) -> None:
    key = await subscriber(gateway)
    begun = await begin(gateway, key)
    path = f"/v1/checkouts/{begun.body['id']}"
    opened = await read(gateway, path, key)
    assert opened == opened | {
        "id": begun.body["id"], "object": "purchase", "account": "acme", "status": "open", "bundle": "small",
        "plan": None, "interval": None, "name": "Small", "credits": 1000, "price": 5, "currency": "USD",
        "granted": None, "refunded": 0, "taken_back": 0, "paid_at": None,
    }  # fmt: skip
    await press(gateway, page_of(begun))
    paid = await read(gateway, path, key)
    assert (paid["status"], paid["granted"]["bucket"], paid["granted"]["credits"]) == ("paid", "top_up", 1000)
    grants = {grant["id"]: grant["granted"] for grant in (await read(gateway, "/v1/balance", key))["grants"]}
    assert grants[paid["granted"]["grant"]] == 1000
    assert paid["paid_at"] >= opened["created_at"]
    plan = await begin(gateway, key, "/v1/subscriptions", plan="standard", interval="monthly")
    await press(gateway, page_of(plan))
    bought = await read(gateway, f"/v1/checkouts/{plan.body['id']}", key)
    assert (bought["plan"], bought["bundle"], bought["interval"]) == ("standard", None, "monthly")
    assert bought["granted"] == {"bucket": "subscription", "credits": 8000, "grant": None}


async def test_a_declined_purchase_has_failed_and_one_with_an_old_link_has_expired(
    gateway: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = await subscriber(gateway)
    declined, left = await begin(gateway, key), await begin(gateway, key)
    await press(gateway, page_of(declined), "decline")
    assert (await read(gateway, f"/v1/checkouts/{declined.body['id']}", key))["status"] == "failed"
    later = int(time.time()) + LINK_SECONDS + 60
    monkeypatch.setattr(LedgerTimeSigner, "get_timestamp", lambda _: later)
    monkeypatch.setattr("gateway.views.purchases.now_ms", lambda: later * 1000)
    assert (await gateway.call("GET", page_of(left))).status == 404
    assert (await read(gateway, f"/v1/checkouts/{left.body['id']}", key))["status"] == "expired"


async def test_stripes_word_that_it_expired_or_failed_and_its_last_word_that_it_was_paid(selling: Visitor) -> None:
    key = await subscriber(selling)
    for kind, status in (("expired", "expired"), ("async_payment_failed", "failed")):
        begun = await begin(selling, key)
        checkout = await read_checkout(selling.ledger, "acme", begun.body["id"])
        event = shapes.bundle_paid(checkout, f"pi_{status}", NOW, payment_status="unpaid")
        await hook(selling, event | {"type": f"checkout.session.{kind}", "id": f"evt_{kind}"})
        assert (await read(selling, f"/v1/checkouts/{checkout.id}", key))["status"] == status
        await hook(selling, shapes.bundle_paid(checkout, f"pi_{status}", NOW))
        assert (await read(selling, f"/v1/checkouts/{checkout.id}", key))["status"] == "paid"
        await hook(selling, event | {"type": f"checkout.session.{kind}", "id": f"evt_{kind}_again"})
        assert (await read(selling, f"/v1/checkouts/{checkout.id}", key))["status"] == "paid"


async def test_the_end_of_a_checkout_of_another_ledger_is_left_and_not_kept(selling: Visitor) -> None:
    """Nothing was paid: kept as an event to be applied it would only fill the room for those that matter."""
    await subscriber(selling)
    checkout = await read_checkout(selling.ledger, "acme", (await begin(selling, await selling.account())).body["id"])
    event = shapes.bundle_paid(checkout, "pi_1", NOW, payment_status="unpaid") | {"type": "checkout.session.expired"}
    event["data"]["object"]["metadata"]["farebox_checkout"] = "chk_elsewhere"
    assert (await hook(selling, event)).status == 200
    assert (await read(selling, "/v1/ops/payment-events", selling.admin))["data"] == []


async def test_refunds_are_shown_as_money_and_as_credits(selling: Visitor) -> None:
    key = await subscriber(selling)
    checkout = await read_checkout(selling.ledger, "acme", (await begin(selling, key)).body["id"])
    await hook(selling, shapes.bundle_paid(checkout, "pi_1", NOW))
    await hook(selling, shapes.refunded(checkout, "pi_1", 125, NOW + 1))
    shown = await read(selling, f"/v1/checkouts/{checkout.id}", key)
    assert (shown["refunded"], shown["taken_back"], shown["status"]) == (1.25, 250, "paid")


async def test_a_plans_refunds_are_the_sum_over_its_invoices(selling: Visitor, stripe_server: StripeServer) -> None:
    key = await selling.account()
    begun = await begin(selling, key, "/v1/subscriptions", plan="standard", interval="monthly")
    checkout = await read_checkout(selling.ledger, "acme", begun.body["id"])
    now = int(time.time()) - 3600
    invoice = shapes.invoice(checkout, "sub_1", now, now + 30 * shapes.DAY)
    stripe_server.payment_intents["pi_sub"] = {}
    stripe_server.invoices["pi_sub"] = invoice["data"]["object"]
    await hook(selling, invoice)
    refund = shapes.refunded(checkout, "pi_sub", 750, now + 10)
    refund["data"]["object"]["metadata"] = {}
    await hook(selling, refund)
    (shown,) = (await read(selling, "/v1/purchases", key))["data"]
    assert (shown["status"], shown["plan"], shown["refunded"]) == ("paid", "standard", 7.5)
    assert shown["paid_at"] is not None
    present = await read(selling, "/v1/subscription", key)
    assert (present["status"], present["payment_provider"], present["changeable"]) == ("active", "stripe", True)
    assert present["renews_at"] == present["paid_through"]
    assert present["ends_at"] is None


# --- the list ---------------------------------------------------------------------------------------------------------


async def test_purchases_are_listed_newest_first_page_by_page_and_by_time(gateway: Visitor) -> None:
    key = await subscriber(gateway)
    made = [(await begin(gateway, key)).body["id"] for _ in range(5)]
    page = await read(gateway, "/v1/purchases?limit=2", key)
    found = page["data"]
    while page["next"]:
        assert len(page["data"]) == 2
        page = await read(gateway, f"/v1/purchases?limit=2&before={page['next']}", key)
        found += page["data"]
    # Within a millisecond the order is that of the ids.
    assert [one["id"] for one in found] == sorted(made, key=lambda one: _at(found, one), reverse=True)
    middle = found[2]["created_at"]
    earlier = await read(gateway, f"/v1/purchases?created_before={middle}", key)
    later = await read(gateway, f"/v1/purchases?created_after={middle}", key)
    assert earlier["data"] + later["data"] != []
    assert {one["id"] for one in earlier["data"]}.isdisjoint(one["id"] for one in later["data"])
    assert sorted(one["id"] for one in earlier["data"] + later["data"]) == sorted(made)
    assert found[2] in later["data"]
    for query, field in (
        ("before=chk_nonsense", "before"),
        ("created_after=yesterday", "created_after"),
        (f"created_after={middle}&created_before={middle}", "created_before"),
    ):
        refused = await gateway.call("GET", f"/v1/purchases?{query}", key)
        assert (refused.status, refused.fields) == (422, [field])
    unknown = await gateway.call("GET", f"/v1/purchases?before=chk_{'a' * 24}", key)
    assert unknown.status == 404


def _at(found: list[dict[str, Any]], one: str) -> tuple[str, str]:
    return next((shown["created_at"], shown["id"]) for shown in found if shown["id"] == one)


async def test_an_account_reads_its_own_and_an_admin_anybodys(gateway: Visitor) -> None:
    key, other = await subscriber(gateway), await gateway.account("other")
    begun = (await begin(gateway, key)).body["id"]
    for path in (f"/v1/checkouts/{begun}", f"/v1/checkouts/{begun}?account=acme", "/v1/purchases?account=acme"):
        assert (await gateway.call("GET", path, other)).status == 404
    assert (await read(gateway, "/v1/purchases", other))["data"] == []
    shown = await read(gateway, f"/v1/checkouts/{begun}?account=acme", gateway.admin)
    assert shown == await read(gateway, f"/v1/checkouts/{begun}", key)
    assert (await read(gateway, "/v1/purchases?account=acme", gateway.admin))["data"] == [shown]
    for path in ("/v1/purchases", f"/v1/checkouts/{begun}", "/v1/subscription"):
        refused = await gateway.call("GET", path, gateway.admin)
        assert (refused.status, refused.fields) == (422, ["account"])


async def test_a_purchase_of_before_there_was_a_list_is_listed_by_the_next_nightly_round(gateway: Visitor) -> None:
    key = await subscriber(gateway)
    begun = (await begin(gateway, key)).body["id"]
    await gateway.ledger.redis.delete(keys.purchases(partition_of_account("acme", gateway.ledger.partitions), "acme"))
    assert (await read(gateway, "/v1/purchases", key))["data"] == []
    await trim_all(gateway.ledger, rest=0)
    assert [one["id"] for one in (await read(gateway, "/v1/purchases", key))["data"]] == [begun]


async def test_purchases_whose_records_have_expired_leave_the_list(gateway: Visitor) -> None:
    key = await subscriber(gateway)
    partition = partition_of_account("acme", gateway.ledger.partitions)
    listed = keys.purchases(partition, "acme")
    await gateway.ledger.redis.zadd(listed, {f"chk_{number}": number for number in range(10)})
    begun = (await begin(gateway, key)).body["id"]
    assert await gateway.ledger.redis.zrange(listed, 0, -1) == [begun.encode()]


# --- the plan ---------------------------------------------------------------------------------------------------------


async def test_the_present_plan_says_what_comes_next(gateway: Visitor) -> None:
    key = await gateway.account()
    free = await read(gateway, "/v1/subscription", key)
    assert (free["plan"], free["status"], free["renews_at"], free["ends_at"]) == ("free", "none", None, None)
    begun = await begin(gateway, key, "/v1/subscriptions", plan="basic", interval="quarterly")
    await press(gateway, page_of(begun))
    active = await read(gateway, "/v1/subscription", key)
    assert active == active | {
        "object": "subscription", "account": "acme", "plan": "basic", "name": "Basic", "status": "active",
        "interval": "quarterly", "price": 33.15, "currency": "USD", "monthly_credits": 3000, "paid_through": None,
        "cancel_at_period_end": False, "ends_at": None, "scheduled": None, "payment_provider": None, "changeable": True,
    }  # fmt: skip
    assert active["started_at"] < active["refreshes_at"] < active["renews_at"]
    await gateway.call("PATCH", "/v1/subscription", key, {"plan": "standard", "interval": "monthly"})
    changing = await read(gateway, "/v1/subscription", key)
    assert (changing["scheduled"]["plan"], changing["scheduled"]["at"]) == ("standard", active["renews_at"])
    await gateway.call("DELETE", "/v1/subscription", key)
    ending = await read(gateway, "/v1/subscription", key)
    assert (ending["status"], ending["cancel_at_period_end"], ending["renews_at"]) == ("cancelled", True, None)
    assert ending["ends_at"] == active["renews_at"], "the renewal that is shown is the one that the ledger counts to"


@pytest.mark.parametrize("interval", ["monthly", "quarterly", "yearly"])
async def test_a_renewal_is_where_the_ledger_ends_a_period_whatever_the_day(gateway: Visitor, interval: str) -> None:
    key = await gateway.account()
    for start in ("2026-01-31T23:59:59.999Z", "2024-02-29T12:00:00Z", "2025-12-15T00:00:00Z"):
        await gateway.call("PUT", "/v1/admin/accounts/acme", gateway.admin, {})
        body = {"plan": "basic", "interval": interval, "started_at": start}
        reply = await gateway.call("PUT", "/v1/admin/accounts/acme/subscription", gateway.admin, body)
        assert reply.status == 200, reply.raw
        renews = (await read(gateway, "/v1/subscription", key))["renews_at"]
        await gateway.call("DELETE", "/v1/subscription", key)
        assert (await read(gateway, "/v1/subscription", key))["ends_at"] == renews


async def test_what_an_operator_arranged_for_a_time_ends_and_is_the_operators(redis_url: str, tmp_path: Path) -> None:
    async with open_gateway(redis_url, tmp_path, test_mode=False) as gateway:
        key = await gateway.account()
        through = "2030-01-01T00:00:00.000Z"
        body = {"plan": "basic", "interval": "monthly", "paid_through": through}
        await gateway.call("PUT", "/v1/admin/accounts/acme/subscription", gateway.admin, body)
        shown = await read(gateway, "/v1/subscription", key)
        assert (shown["ends_at"], shown["renews_at"], shown["changeable"]) == (through, None, False)
