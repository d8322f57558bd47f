"""Prices by what was made this month: exact however many order at once, and each gives its place back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from gateway.api.services import LEDGER
from gateway.ledger import outcomes
from gateway.pricing.estimates import estimated_generations
from gateway.pricing.load import load_card
from tests.api.visitor import CARD, Visitor, open_gateway

MODEL = """
[models.bulk]
name = "Bulk"
tool = "image"
provider = "sandbox"
outputs_max = 4
[[models.bulk.rates]]
credits = 5
graduated = [{ over = 4, credits = 4 }, { over = 10, credits = 2.5 }]
"""


def price_of(number: int) -> float:
    """What so many cost in one month."""
    return sum(5 if one <= 4 else 4 if one <= 10 else 2.5 for one in range(1, number + 1))


@pytest.fixture
async def gateway(redis_url: str, tmp_path: Path) -> AsyncIterator[Visitor]:
    card = CARD.read_text().replace("concurrency = { image = 2", "concurrency = { image = 50", 1)
    (tmp_path / "pricing.toml").write_text(card + MODEL)
    async with open_gateway(redis_url, tmp_path) as visitor:
        yield visitor


def asked(**more: Any) -> dict[str, Any]:
    return {"tool": "image", "model": "bulk", "prompt": "x", **more}


async def ordered(gateway: Visitor, key: str, **more: Any) -> dict[str, Any]:
    made = await gateway.call("POST", "/v1/generations", key, asked(**more))
    assert made.status == 202, made.raw
    body: dict[str, Any] = made.body
    return body


async def quoted(gateway: Visitor, key: str, **more: Any) -> dict[str, Any]:
    body: dict[str, Any] = (await gateway.call("POST", "/v1/quotes", key, asked(**more))).body
    return body


async def test_each_output_costs_what_its_number_in_the_month_says(gateway: Visitor, key: str) -> None:
    assert (await ordered(gateway, key, outputs=3))["price"]["credits"] == 15
    across = await quoted(gateway, key, outputs=4)
    assert (across["credits"], [(line["label"], line["total"]) for line in across["lines"]]) == (
        17,
        [("Bulk", 5), ("Bulk · over 4 this month", 12)],
    )
    made = await ordered(gateway, key, outputs=4)
    assert (made["price"]["credits"], made["price"]["lines"]) == (17, across["lines"])
    rates = (await gateway.call("GET", "/v1/rate-card")).body["models"]
    assert next(one for one in rates if one["id"] == "bulk")["rates"][0]["graduated"] == [
        {"over": 4, "credits": 4},
        {"over": 10, "credits": 2.5},
    ]


async def test_who_orders_at_once_pays_together_what_one_after_the_other_would(gateway: Visitor, key: str) -> None:
    """Each is priced by the number that the ledger has when it reserves: no two have one place in the month."""
    prices = [(await gateway.call("GET", "/v1/balance", key)).body["available"]]
    made = await asyncio.gather(*(ordered(gateway, key, outputs=1 + number % 2) for number in range(12)))
    assert sum(one["price"]["credits"] for one in made) == price_of(18)
    assert (await gateway.call("GET", "/v1/balance", key)).body["available"] == prices[0] - price_of(18)


async def test_what_is_not_delivered_gives_its_place_back_and_a_new_month_begins_anew(
    gateway: Visitor, key: str
) -> None:
    first = (await ordered(gateway, key, outputs=4))["id"]
    second = (await ordered(gateway, key, outputs=2))["id"]
    assert (await quoted(gateway, key))["credits"] == 4
    await gateway.call("POST", f"/v1/generations/{second}/cancel", key)
    await gateway.finish(first, outputs=1)
    assert (await quoted(gateway, key, outputs=4))["credits"] == 3 * 5 + 4
    await ordered(gateway, key, outputs=4)
    assert (await quoted(gateway, key))["credits"] == 4
    month = {"advance_seconds": 32 * 86_400}
    assert (await gateway.call("POST", "/v1/admin/accounts/acme/clock", gateway.admin, month)).status == 200
    assert (await quoted(gateway, key))["credits"] == 5


async def test_a_quote_and_a_ceiling_hold(gateway: Visitor, key: str) -> None:
    """Beyond a tier's end a ceiling may refuse, and a quote keeps the price that it showed."""
    quote = (await quoted(gateway, key))["quote"]
    await ordered(gateway, key, outputs=4)
    assert (await ordered(gateway, key, quote=quote))["price"]["credits"] == 5
    refused = await gateway.call("POST", "/v1/generations", key, asked(max_credits=3.5))
    assert (refused.status, refused.code) == (409, "price_above_ceiling")
    assert (await ordered(gateway, key, max_credits=4))["price"]["credits"] == 4


async def test_a_repeated_request_is_counted_once(gateway: Visitor, key: str) -> None:
    headers = {"Idempotency-Key": "once"}
    for _ in range(2):
        await gateway.call("POST", "/v1/generations", key, asked(outputs=4), headers)
    assert (await quoted(gateway, key))["credits"] == 4


async def test_an_equal_request_that_was_faster_is_repeated_though_it_would_cost_more_by_now(
    gateway: Visitor, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both in flight, and then what had lowered the price is cancelled: nobody is told that nothing was reserved."""
    first, ledger, headers = (
        (await ordered(gateway, key, outputs=4))["id"],
        gateway.app[LEDGER],
        {"Idempotency-Key": "k"},
    )
    reserve = ledger.reserve
    made: list[Any] = []

    async def overtaken(**_: Any) -> Any:
        monkeypatch.setattr(ledger, "reserve", reserve)
        made.append((await gateway.call("POST", "/v1/generations", key, asked(max_credits=4), headers)).body)
        await gateway.call("POST", f"/v1/generations/{first}/cancel", key)
        return outcomes.VolumeMoved(1)

    monkeypatch.setattr(ledger, "reserve", overtaken)
    again = await gateway.call("POST", "/v1/generations", key, asked(max_credits=4), headers)
    assert (again.status, again.body["id"]) == (200, made[0]["id"])


async def estimated(gateway: Visitor, key: str | None, *items: dict[str, Any]) -> Any:
    asked_of = [{"tool": "image", "model": "bulk", "per_day": 1, "days": 1} | item for item in items]
    return (await gateway.call("POST", "/v1/estimates", key, {"items": asked_of, "buffer": 0})).body


async def test_an_estimate_begins_at_what_was_ordered_this_month_and_goes_on_from_tier_to_tier(
    gateway: Visitor, key: str
) -> None:
    await ordered(gateway, key, outputs=3)
    one, more = (await estimated(gateway, key, {}, {"per_day": 9, "outputs": 2}))["items"]
    assert (one["unit_credits"], one["ordered_this_month"], one["credits"]) == (5, 3, 5)
    assert (more["unit_credits"], more["ordered_this_month"]) == (9, 3)
    assert more["credits"] == price_of(3 + 1 + 18) - price_of(3 + 1)
    assert (await quoted(gateway, key, outputs=2))["credits"] == 9
    keyless = (await estimated(gateway, None, {"per_day": 1.5, "days": 31}))["items"][0]
    assert (keyless["unit_credits"], keyless["ordered_this_month"]) == (5, 0)
    assert keyless["credits"] == price_of(46) + 2.5 / 2
    assert "ordered_this_month" not in (await estimated(gateway, key, {"model": "sketch"}))["items"][0]


async def test_plans_are_advised_by_their_discounts_on_every_tier(redis_url: str, tmp_path: Path) -> None:
    added = "[plans.basic.discounts]\nbulk = 0.5\n"
    (tmp_path / "pricing.toml").write_text(CARD.read_text() + MODEL + added)
    async with open_gateway(redis_url, tmp_path) as gateway:
        plans = {one["plan"]: one for one in (await estimated(gateway, None, {"per_day": 20}))["plans"]}
        assert plans["standard"]["with_buffer"] == price_of(20)
        assert plans["basic"]["with_buffer"] == price_of(20) / 2
        key = await gateway.account()
        await gateway.subscribe("basic")
        item = (await estimated(gateway, key, {}))["items"][0]
        assert (item["unit_credits"], item["list_unit_credits"]) == (2.5, 5)


async def test_plans_say_how_many_their_credits_pay_for_tier_by_tier(tmp_path: Path) -> None:
    def estimated_with(baseline: str, credits_: float) -> object:
        card = CARD.read_text().replace('baseline_model = "sketch"', 'baseline_model = "bulk"', 1)
        (tmp_path / "pricing.toml").write_text(card + MODEL.replace("credits = 2.5 }", baseline))
        loaded = load_card(tmp_path / "pricing.toml")
        free = loaded.free.replaced(daily_millicredits=int(credits_ * 1000))
        return estimated_generations(loaded.replaced(free=free), "free").get("image")

    for number in range(14):
        for rest in (0, 1.5):
            paid = estimated_with("credits = 2.5 }", price_of(number) + rest)
            assert paid == {"model": "bulk", "generations": number}
    assert estimated_with("credits = 0 }", price_of(10)) is None, "without end"
    assert estimated_with("credits = 0 }", price_of(10) - 1) == {"model": "bulk", "generations": 9}
