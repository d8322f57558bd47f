"""R20: `POST /v1/estimates` computes the seed's example to the digit, advises on plans, never refuses for gating."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from gateway.domain import FailureCode
from gateway.pricing.load import default_card_path
from tests.api.visitor import Reply, Visitor, open_gateway
from tests.cases import cases

IMAGES = {"tool": "image", "model": "nano-banana", "per_day": 30, "days": 22}
VIDEOS = {
    "tool": "video",
    "model": "seedance-pro-fast",
    "settings": {"resolution": "720p", "duration": 6},
    "per_day": 10,
    "days": 22,
}


@pytest.fixture
async def shop(redis_url: str, tmp_path: Path) -> AsyncIterator[Visitor]:
    """A gateway with the default rate card."""
    async with open_gateway(redis_url, tmp_path, rate_card=default_card_path()) as visitor:
        yield visitor


async def ask(visitor: Visitor, key: str | None = None, **body: Any) -> Reply:
    return await visitor.call("POST", "/v1/estimates", key, body)


@cases("field", ["buffer", "per_day"])
async def test_a_number_beyond_all_limits_is_refused_in_words(shop: Visitor, field: str) -> None:
    """A 500 that the fuzz found: to round 7e307 to three decimals takes more digits than Python's decimals have."""
    body = {"items": [IMAGES], "buffer": 7e307} if field == "buffer" else {"items": [IMAGES | {"per_day": 7e307}]}
    refused = await ask(shop, **body)
    assert (refused.status, refused.code) == (422, "invalid_request")
    assert "less than or equal to" in refused.message


@cases(("buffer", "with_buffer"), [(0.20, 74_448), (0.25, 77_550), (0.30, 80_652)])
async def test_r20_the_seeds_example_comes_out_to_the_digit(shop: Visitor, buffer: float, with_buffer: int) -> None:
    body = (await ask(shop, items=[IMAGES, VIDEOS], buffer=buffer)).body
    assert [(item["unit_credits"], item["credits"]) for item in body["items"]] == [(24, 15_840), (210, 46_200)]
    assert (body["credits"], body["with_buffer"]) == (62_040, with_buffer)
    covers = {plan["plan"]: plan["covers"] for plan in body["plans"]}
    assert covers == {"basic": False, "standard": False, "ultimate": False, "creator": True}
    assert body["cheapest_plan"] == "creator"


async def test_r20_the_buffer_is_a_quarter_unless_said_otherwise(shop: Visitor) -> None:
    body = (await ask(shop, items=[IMAGES, VIDEOS])).body
    assert (body["buffer"], body["with_buffer"]) == (0.25, 77_550)


async def test_r20_the_cheapest_plan_is_the_one_that_costs_least_of_those_that_cover_it(shop: Visitor) -> None:
    found = {}
    for per_day in (1, 3, 8, 12, 100, 200):
        found[per_day] = (await ask(shop, items=[IMAGES | {"per_day": per_day}], buffer=0)).body["cheapest_plan"]
    assert found == {1: "basic", 3: "basic", 8: "standard", 12: "standard", 100: "creator", 200: None}


async def test_r20_fractions_are_exact_and_rounded_up_to_the_millicredit(gateway: Visitor) -> None:
    item = {"tool": "video", "model": "clip", "settings": {"duration": 2}, "per_day": 0.333, "days": 7}
    body = (await ask(gateway, items=[item, item], buffer=0.001)).body
    assert body["items"][0]["credits"] == 82.227, "35.275 × 0.333 × 7 = 82.226025, up"
    assert body["credits"] == 164.454, "the items add up"
    assert body["with_buffer"] == 164.619, "164.618454, up"


async def test_r20_outputs_count(gateway: Visitor) -> None:
    item = {"tool": "image", "model": "sketch", "outputs": 3, "per_day": 2, "days": 10}
    assert (await ask(gateway, items=[item])).body["credits"] == 300


async def test_r6_an_estimate_never_refuses_for_gating_but_says_what_the_plan_allows(gateway: Visitor) -> None:
    key = await gateway.account()
    pro = {"tool": "image", "model": "gallery", "per_day": 1, "days": 1}
    large = {"tool": "video", "model": "clip", "settings": {"resolution": "1080p"}, "per_day": 1, "days": 1}
    for asked in (None, key, await gateway.operator_key("ops")):
        body = (await ask(gateway, asked, items=[pro, large])).body
        shown = [(item["allowed"], item["reason"]) for item in body["items"]]
        assert shown == [(False, "subscription_required"), (True, None)]
    await gateway.subscribe("basic")
    body = (await ask(gateway, key, items=[pro, large])).body
    assert [(item["allowed"], item["reason"]) for item in body["items"]] == [(True, None), (False, "plan_limit")]
    advice = {plan["plan"]: (plan["allowed"], plan["covers"]) for plan in body["plans"]}
    assert advice == {"basic": (False, False), "standard": (True, True)}
    assert body["cheapest_plan"] == "standard", "basic has the credits but not the resolution"


async def test_r20_from_the_last_30_days_is_what_they_cost(gateway: Visitor, key: str) -> None:
    await gateway.grant(500)
    await gateway.finished(key, outputs=3)
    await gateway.finished(key, tool="video", model="clip", settings={"duration": 2})
    await gateway.finished(key, tool="video", model="clip", settings={"duration": 3})
    failed = await gateway.made(key)
    await gateway.begin(failed)
    await gateway.settle(failed, FailureCode.MODERATED)
    body = (await ask(gateway, key, **{"from": "last_30_days", "buffer": 0.2})).body
    items = [
        {name: item[name] for name in ("model", "per_day", "days", "unit_credits", "credits")} for item in body["items"]
    ]
    assert items == [
        {"model": "sketch", "per_day": 0.1, "days": 30, "unit_credits": 5, "credits": 15},
        {"model": "clip", "per_day": 0.067, "days": 30, "unit_credits": 37.912, "credits": 75.825},
    ]
    assert (body["credits"], body["with_buffer"], body["cheapest_plan"]) == (90.825, 108.99, "basic")
    totals = (await gateway.call("GET", "/v1/usage", key)).body["totals"]
    assert body["credits"] == totals["credits"]


async def test_r20_days_before_the_last_30_do_not_count(gateway: Visitor, key: str) -> None:
    await gateway.finished(key)
    for seconds, credits_ in ((86_400 * 29, 5), (86_400, 0)):
        await gateway.call("POST", "/v1/admin/accounts/acme/clock", gateway.admin, {"advance_seconds": seconds})
        assert (await ask(gateway, key, **{"from": "last_30_days"})).body["credits"] == credits_


async def test_usage_takes_the_accounts_key(gateway: Visitor) -> None:
    assert (await ask(gateway, **{"from": "last_30_days"})).code == "invalid_key"
    assert (await ask(gateway, gateway.admin, **{"from": "last_30_days"})).fields == ["from"]
    assert (await ask(gateway, "fbx_wrong", items=[IMAGES])).code == "invalid_key", "a key that is sent must be one"


@cases(
    ("body", "code", "field"),
    [
        ({}, "invalid_request", "items"),
        ({"items": []}, "invalid_request", "items"),
        ({"items": [IMAGES], "from": "last_30_days"}, "invalid_request", "items"),
        ({"from": "last_year"}, "invalid_request", "from"),
        ({"items": [IMAGES], "buffer": -0.1}, "invalid_request", "buffer"),
        ({"items": [IMAGES], "buffer": "25 %"}, "invalid_request", "buffer"),
        ({"items": [IMAGES | {"per_day": 0}]}, "invalid_request", "items.0.per_day"),
        ({"items": [IMAGES | {"per_day": 0.0001}]}, "invalid_request", "items.0.per_day"),
        ({"items": [IMAGES | {"days": 32}]}, "invalid_request", "items.0.days"),
        ({"items": [IMAGES, IMAGES | {"model": "nano-bananna"}]}, "unknown_model", "items.1.model"),
        ({"items": [VIDEOS | {"settings": {"duration": 99}}]}, "invalid_settings", "items.0.settings.duration"),
    ],
)
async def test_an_estimate_that_cannot_be_made_names_the_field(
    shop: Visitor, body: dict[str, Any], code: str, field: str
) -> None:
    reply = await ask(shop, **body)
    assert (reply.status, reply.code, reply.fields) == (422, code, [field])
