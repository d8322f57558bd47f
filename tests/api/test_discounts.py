"""What an account pays: quoted, shown, estimated, held and charged alike (R7).

By its plan's discounts, its own factors and the price lists of its time.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from gateway.api import services
from gateway.clock import now_ms
from gateway.domain import Interval, operation_id
from gateway.ledger import outcomes
from gateway.ledger.life import Reservation
from gateway.ledger.price_basis import PricedOtherwise
from gateway.pricing.discounts import PricedFor
from tests.api.test_support_commands import command, run
from tests.api.visitor import CARD, SKETCH, Reply, Visitor, open_gateway
from tests.cases import cases
from tests.made_media import picture

DAY = 86_400
PICTURE_URL = f"data:image/png;base64,{base64.b64encode(picture('PNG')).decode()}"
IN_TEN_DAYS = datetime.fromtimestamp(now_ms() // 1000, UTC) + timedelta(days=10)
ADDED = f"""
[free.discounts]
video = 0.9
[plans.basic.discounts]
image = 0.75
remote = 0.5
[[models.sketch.prices]]
valid_from = {IN_TEN_DAYS:%Y-%m-%dT%H:%M:%S}Z
[[models.sketch.prices.rates]]
credits = 8
"""


@pytest.fixture
async def shop(redis_url: str, tmp_path: Path) -> AsyncIterator[Visitor]:
    """A gateway whose card has discounts and a price list that begins in ten days."""
    (tmp_path / "pricing.toml").write_text(CARD.read_text() + ADDED)
    async with open_gateway(redis_url, tmp_path) as visitor:
        yield visitor


async def set_factors(shop: Visitor, factors: dict[str, float], key: str | None = None) -> Reply:
    body = {"factors": factors, "reason": "a contract"}
    return await shop.call("PUT", "/v1/admin/accounts/acme/factors", key or shop.admin, body)


async def quoted(shop: Visitor, key: str, **wishes: Any) -> Any:
    return (await shop.call("POST", "/v1/quotes", key, SKETCH | wishes)).body


async def to_plan(shop: Visitor, plan: str) -> None:
    """A change that this gateway is not told of."""
    changed = await shop.ledger.subscribe(
        account="acme", plan=plan, interval=Interval.MONTHLY, operation=operation_id()
    )
    assert isinstance(changed, outcomes.Applied), changed


@pytest.fixture
def reserves(shop: Visitor, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The models of all calls of `reserve`."""
    called: list[str] = []
    reserve = shop.ledger.reserve

    async def noted(**arguments: Any) -> Reservation:
        called.append(arguments["request"].model)
        return await reserve(**arguments)

    monkeypatch.setattr(shop.ledger, "reserve", noted)
    return called


async def test_r7_what_is_quoted_shown_and_charged_is_one_price(shop: Visitor) -> None:
    key = await shop.account()
    await shop.subscribe("basic")
    assert (await set_factors(shop, {"image": 0.9, "*": 0.5})).body["factors"] == {"*": 0.5, "image": 0.9}
    lines = [
        {"label": "Sketch", "credits": 5, "count": 3, "total": 15},
        {"label": "Basic: × 0.75", "credits": -3.75, "count": 1, "total": -3.75},
        {"label": "Your account: × 0.9", "credits": -1.125, "count": 1, "total": -1.125},
    ]
    quote = await quoted(shop, key, outputs=3)
    assert (quote["credits"], quote["lines"]) == (10.125, lines)
    item = {"tool": "image", "model": "sketch", "outputs": 3, "per_day": 1, "days": 1}
    estimate = (await shop.call("POST", "/v1/estimates", key, {"items": [item], "buffer": 0})).body
    assert estimate["credits"] == 10.125
    by_plan = {plan["plan"]: plan["with_buffer"] for plan in estimate["plans"]}
    assert by_plan == {"basic": 10.125, "standard": 13.5}, "the account's factor is the same with every plan"
    discounts = (await shop.call("GET", "/v1/discounts", key)).body
    assert discounts["plan"] == "basic"
    own = {"name": "Your account", "factor": 0.9}
    assert {one["model"]: (one["factor"], one["discounts"]) for one in discounts["data"]} == {
        "sketch": (0.675, [{"name": "Basic", "factor": 0.75}, own]),
        "gallery": (0.675, [{"name": "Basic", "factor": 0.75}, own]),
        "remote": (0.45, [{"name": "Basic", "factor": 0.5}, own]),
        "clip": (0.5, [{"name": "Your account", "factor": 0.5}]),
    }
    plans = (await shop.call("GET", "/v1/plans")).body
    assert plans["data"][0]["discounts"] == {"image": 0.75, "remote": 0.5}
    assert plans["free"]["discounts"] == {"video": 0.9}
    assert "discounts" not in plans["data"][1]
    made = await shop.made(key, outputs=3)
    await shop.begin(made)
    await shop.deliver(made)
    await shop.settle(made)
    receipt = (await shop.call("GET", f"/v1/generations/{made}/receipt", key)).body
    assert (receipt["credits"], receipt["lines"]) == (10.125, lines)
    assert (receipt["committed"], receipt["refunded"]) == (3.375, 6.75), "one of three"


async def test_a_change_of_plan_is_priced_again_in_the_same_call_and_only_once(
    shop: Visitor, reserves: list[str]
) -> None:
    """The gateway knows the account from its key, as of ten minutes ago; `reserve` knows what it has."""
    key = await shop.account()
    assert (await shop.create(key, model="remote")).body["price"]["credits"] == 10
    await to_plan(shop, "basic")
    assert (await shop.create(key, model="remote")).body["price"]["credits"] == 5
    assert len(reserves) == 3, "one, and two"
    for _ in range(3):
        assert (await shop.create(key, model="remote")).body["price"]["credits"] == 5
    assert len(reserves) == 6, "no second call for each order"
    await shop.ledger.set_factors(account="acme", operation="two", factors={"*": Decimal(0)})
    free = (await shop.create(key, model="remote")).body
    assert (free["price"]["credits"], free["price"]["lines"][-1]["label"]) == (0, "Your account: × 0")


async def test_r3_a_plan_that_lapses_takes_its_discount_with_it(shop: Visitor) -> None:
    key = await shop.account()
    now = (await shop.call("GET", "/v1/admin/accounts/acme", shop.admin)).body["clock"]["now"]
    paid_through = datetime.fromisoformat(now) + timedelta(days=2)
    body = {"plan": "basic", "interval": "monthly", "paid_through": paid_through.isoformat()}
    assert (await shop.call("PUT", "/v1/admin/accounts/acme/subscription", shop.admin, body)).status == 200
    assert (await shop.create(key, model="remote")).body["price"]["credits"] == 5
    await shop.call("POST", "/v1/admin/accounts/acme/clock", shop.admin, {"advance_seconds": 3 * DAY})
    assert (await quoted(shop, key, model="remote"))["credits"] == 10
    assert (await shop.create(key, model="remote")).body["price"]["credits"] == 10


async def test_r23_a_ceiling_is_held_against_the_price_of_the_plan_as_it_is(shop: Visitor) -> None:
    key = await shop.account()
    assert (await shop.create(key, model="remote", max_credits=5)).code == "price_above_ceiling"
    await to_plan(shop, "basic")
    assert (await shop.create(key, model="remote", max_credits=5)).status == 202
    await to_plan(shop, "standard")
    refused = await shop.create(key, model="remote", max_credits=5)
    assert (refused.code, refused.error["price"]) == ("price_above_ceiling", 10)
    assert (await shop.create(key, model="remote")).body["price"]["credits"] == 10  # what `reserve` found is known now
    await to_plan(shop, "basic")
    assert (await shop.create(key, model="remote", max_credits=5)).status == 202


async def test_r23_a_quote_holds_whatever_the_plan_and_the_list_are_by_then(shop: Visitor) -> None:
    key = await shop.account()
    await shop.subscribe("basic")
    quote = await quoted(shop, key)
    await shop.ledger.set_factors(account="acme", operation="one", factors={"image": Decimal(1)})
    await shop.subscribe("standard")
    await shop.call("POST", "/v1/admin/accounts/acme/clock", shop.admin, {"advance_seconds": 11 * DAY})
    made = (await shop.create(key, quote=quote["quote"])).body
    assert (made["price"]["credits"], made["price"]["lines"]) == (3.75, quote["lines"])
    assert (await shop.create(key)).body["price"]["credits"] == 8


async def test_r13_a_larger_plan_is_offered_at_its_own_price(redis_url: str, tmp_path: Path) -> None:
    text = CARD.read_text().replace("credits = 10\n", "credits = 12000\n")
    (tmp_path / "pricing.toml").write_text(text + "[plans.standard.discounts]\nimage = 0.6\n")
    async with open_gateway(redis_url, tmp_path) as shop:
        refused = await shop.create(await shop.account(), model="remote")
        assert refused.error["needed"] == 12_000
        assert [plan["id"] for plan in refused.error["ways_out"]["upgrade"]] == ["standard"]
        quote = await quoted(shop, await shop.account(), model="remote")
        assert [plan["id"] for plan in quote["ways_out"]["upgrade"]] == ["standard"], "8,000 and 100 cover 7,200"


async def test_a_price_list_begins_for_whoever_has_its_time(shop: Visitor, reserves: list[str]) -> None:
    """A test account's clock moves its prices too, so that they can be seen before the day."""
    key, other = await shop.account(), await shop.account("other")
    assert (await shop.create(key)).body["price"]["credits"] == 5
    sketch = (await shop.call("GET", "/v1/rate-card")).body["models"][0]
    assert sketch["prices_from"][0]["valid_from"] == f"{IN_TEN_DAYS:%Y-%m-%dT%H:%M:%S}.000Z"
    assert [rate["credits"] for rate in sketch["prices_from"][0]["rates"]] == [8]
    await shop.call("POST", "/v1/admin/accounts/acme/clock", shop.admin, {"advance_seconds": 10 * DAY + 60})
    assert (await shop.create(key)).body["price"]["credits"] == 8
    assert (await quoted(shop, key))["credits"] == 8
    item = {"tool": "image", "model": "sketch", "per_day": 1, "days": 1}
    assert (await shop.call("POST", "/v1/estimates", key, {"items": [item]})).body["credits"] == 8
    assert (await shop.create(other)).body["price"]["credits"] == 5
    assert (await shop.create(key)).body["price"]["credits"] == 8
    assert len(reserves) == 5, "one more, when the clock of the account was not known yet"


async def test_gateways_with_other_clocks_change_at_one_instant(shop: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    """A gateway that is a month ahead prices by the new list; the ledger's time says that the old one is in force."""
    key = await shop.account()
    month_ahead = now_ms() + 30 * DAY * 1000
    monkeypatch.setattr("gateway.api.ordering.prices.now_ms", lambda: month_ahead)
    body = (await shop.create(key)).body
    assert (body["price"]["credits"], body["price"]["lines"][0]["total"]) == (5, 5)
    monkeypatch.undo()
    await shop.call("POST", "/v1/admin/accounts/acme/clock", shop.admin, {"advance_seconds": 11 * DAY})
    long_ago = now_ms() - 300 * DAY * 1000
    monkeypatch.setattr("gateway.api.ordering.prices.now_ms", lambda: long_ago)
    assert (await shop.create(key)).body["price"]["credits"] == 8


async def test_a_plan_that_never_stands_still_is_answered_and_nothing_is_held(
    shop: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, calls = await shop.account(), []

    async def otherwise(**call: Any) -> PricedOtherwise:
        calls.append(call)
        return PricedOtherwise(PricedFor("basic" if len(calls) % 2 else "free"), now_ms())

    monkeypatch.setattr(shop.ledger, "reserve", otherwise)
    refused = await shop.create(key)
    assert (refused.status, refused.code) == (503, "ledger_unavailable")
    assert "plan or prices are being changed" in refused.message
    assert len(calls) == 4


async def test_inputs_are_stored_once_and_dropped_with_a_price_above_the_ceiling(
    shop: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = await shop.account()
    await shop.subscribe("basic")
    store, kept, dropped = shop.app[services.OUTPUTS], [], []
    put, delete = store.put, store.delete

    async def noted_put(object_key: str, data: bytes) -> None:
        kept.append(object_key)
        await put(object_key, data)

    async def noted_delete(object_keys: Any) -> None:
        dropped.extend(object_keys)
        await delete(object_keys)

    monkeypatch.setattr(store, "put", noted_put)
    monkeypatch.setattr(store, "delete", noted_delete)
    inputs = [{"kind": "image", "url": PICTURE_URL}]
    assert (await shop.create(key, inputs=inputs, max_credits=3.75)).status == 202
    await to_plan(shop, "standard")
    assert (await shop.create(key, inputs=inputs, max_credits=5)).status == 202
    assert (len(kept), dropped) == (2, [])
    await to_plan(shop, "basic")
    assert (await shop.create(key, inputs=inputs)).status == 202
    await to_plan(shop, "standard")
    assert (await shop.create(key, inputs=inputs, max_credits=4)).code == "price_above_ceiling"
    await asyncio.sleep(0)
    assert dropped == kept[3:]


async def test_factors_are_for_those_who_change_money_and_logged(shop: Visitor) -> None:
    await shop.account()
    assert (await set_factors(shop, {"image": 0.5}, await shop.operator_key("support"))).status == 403
    assert (await set_factors(shop, {"image": 0.5}, await shop.operator_key("billing"))).status == 200
    assert (await set_factors(shop, {"remote": 0.25})).status == 200
    log = (await shop.call("GET", "/v1/admin/audit-log?account=acme", shop.admin)).body["data"]
    newest = next(one for one in log if one["action"] == "setFactors")
    assert (newest["before"], newest["after"]) == ({"factors.image": 0.5}, {"factors.remote": 0.25})
    assert newest["reason"] == "a contract"


@cases(
    ("factors", "field", "said"),
    [
        ({"imag": 0.5}, "factors.imag", 'did you mean "image"?'),
        ({"image": 1.5}, "factors.image", "must be from 0 to 1 with at most 6 decimals, such as 0.9"),
        ({"image": 0.1234567}, "factors.image", "must be from 0 to 1 with at most 6 decimals, such as 0.9"),
        ({"image": "0.5"}, "factors.image", "must be a number from 0 to 1, such as 0.9"),
    ],
)
async def test_odd_factors_are_refused_by_name(
    gateway: Visitor, factors: dict[str, Any], field: str, said: str
) -> None:
    await gateway.account()
    refused = await set_factors(gateway, factors)
    assert (refused.status, refused.code, refused.fields) == (422, "invalid_request", [field])
    assert said in refused.message


async def test_the_command_line_sets_and_shows_them(gateway: Visitor) -> None:
    await gateway.account()
    said = await run(gateway, "account", "factors", "acme", "image=0.9", "*=0.95", "--reason", "a contract")
    assert "pays: * × 0.95, image × 0.9 of the prices, beside its plan's discounts" in said
    assert "pays:" not in await run(gateway, "account", "factors", "acme", "--none", "--reason", "ended")
    for arguments in (["image"], ["image=2"], [], ["image=0.5", "--none"]):
        code, _, complained = await command(gateway, "account", "factors", "acme", *arguments, "--reason", "x")
        assert code == 2
        assert "video=0.9" in complained
