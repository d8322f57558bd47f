"""R31: `GET /v1/ops/margin`, for operators who see money; no customer is ever shown what something costs."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from gateway.api.routes import ROUTES
from gateway.domain import Cost, FailureCode, Scope, operation_id
from gateway.facades.routes import FACADE_ROUTES
from gateway.ledger import outcomes
from tests.api.visitor import CARD, Visitor, open_gateway
from tests.ledger.world import an_output

SECRET = "0.0471193"
"""The cost of a sketch: no other number in an answer has these digits."""
DIGITS = re.compile("47119|47120")
NAMES = re.compile(r'"(?:cost|costs|cost_add_ons|amount_per|margin|losses|worth|revenue|assumed|booked)"')
OF_CUSTOMERS = {Scope.ACCOUNT, Scope.TOKEN}
SSE = "text/event-stream"
DOCUMENTATION = {"/openapi.json", "/docs"}


@pytest.fixture
async def gateway(redis_url: str, tmp_path: Path) -> AsyncIterator[Visitor]:
    """A gateway whose card says what a sketch costs."""
    model = '[models.sketch]\nname = "Sketch"\n'
    text = CARD.read_text()
    assert text.count(model) == 1
    (tmp_path / "pricing.toml").write_text(text.replace(model, f"{model}cost = {SECRET}\n"))
    async with open_gateway(redis_url, tmp_path) as visitor:
        yield visitor


async def finish(gateway: Visitor, generation: str, *costs: Cost, failure: FailureCode | None = None) -> None:
    """Make its outputs, at these costs, or fail."""
    await gateway.begin(generation)
    for index, cost in enumerate(() if failure else costs):
        output = replace(an_output(index), cost=cost)
        noted = await gateway.ledger.deliver(generation=generation, attempt=1, output=output)
        assert isinstance(noted, outcomes.Noted)
    settled = await gateway.ledger.settle(
        generation=generation, attempt=1, operation=operation_id(), failure=failure, lost=costs if failure else ()
    )
    assert isinstance(settled, outcomes.Ended)


async def some_history(gateway: Visitor) -> str:
    """Free credits, a plan's and paid ones; a refund that cost something; a correction. A key of the account."""
    key = await gateway.owner()
    await gateway.subscribe("standard")
    grant = {"bucket": "top_up", "credits": 100, "paid": 2.5, "reason": "an invoice"}
    assert (await gateway.call("POST", "/v1/admin/accounts/acme/grants", gateway.admin, grant)).status == 201
    for number in range(8):  # 100 free credits, then 60 of the plan
        made = await gateway.made(key, outputs=4)
        await finish(gateway, made, *[Cost("sandbox", 10_000, 12_000 if number == 0 else None)] * 4)
    failed = await gateway.made(key)
    await finish(gateway, failed, Cost("sandbox", 7_000), failure=FailureCode.PROVIDER_REJECTED)
    corrected = f"/v1/admin/generations/{made}/refund"
    assert (await gateway.call("POST", corrected, gateway.admin, {"reason": "blurred"})).status == 200
    return key


async def margin(gateway: Visitor, query: str = "", key: str | None = None) -> Any:
    reply = await gateway.call("GET", f"/v1/ops/margin{query}", key or gateway.admin)
    assert reply.status == 200, reply.raw
    return reply.body


async def test_margin_shows_what_was_earned_what_it_cost_and_how_far_the_card_is_off(gateway: Visitor) -> None:
    await some_history(gateway)
    body = await margin(gateway)
    (row,) = body["data"]
    assert (row["day"], row["model"], row["provider"]) == (body["last_day"], "sketch", "sandbox")
    totals = body["totals"]
    assert {name: row[name] for name in totals} == totals
    assert totals == {
        "generations": 9,
        "credits": 140,
        "credits_by_bucket": {"free": 100, "subscription": 40, "top_up": 0},
        "revenue": "0.150000",  # 30.00 for 8,000 credits
        "revenue_by_bucket": {"free": "0.000000", "subscription": "0.150000", "top_up": "0.000000"},
        "cost": "0.335000",  # 7 × 4 × 0.01 + 4 × 0.012 + 0.007
        "margin": "-0.185000",
        "assumed": "0.287000",
        "reported": "0.048000",
        "losses": "0.047000",  # the failure, and what was given back
        "unknown": {"credits": 0, "generations": 0},
        "drift": {"reported": "0.048000", "assumed": "0.040000", "percent": 20.0, "flagged": True},
    }
    assert (body["currency"], body["timezone"]) == ("USD", "UTC")


async def test_rows_of_buckets_sum_to_the_whole_and_free_credits_earn_nothing(gateway: Visitor) -> None:
    await some_history(gateway)
    body = await margin(gateway, "?group_by=bucket")
    rows = {row["bucket"]: row for row in body["data"]}
    assert rows.keys() == {"free", "subscription"}
    assert rows["free"]["revenue"] == "0.000000"
    assert rows["free"]["margin"] == f"-{rows['free']['cost']}"
    for name in ("revenue", "cost", "losses", "reported"):
        whole = sum(int(row[name].replace(".", "")) for row in rows.values())
        assert whole == int(body["totals"][name].replace(".", "")), name


async def test_csv_has_the_same_numbers_and_a_header_without_rows(gateway: Visitor) -> None:
    await some_history(gateway)
    body = await margin(gateway, "?group_by=model,bucket")
    accept = {"Accept": "text/csv"}
    reply = await gateway.call("GET", "/v1/ops/margin?group_by=model,bucket", gateway.admin, headers=accept)
    assert reply.headers["Content-Type"] == "text/csv; charset=utf-8"
    rows = list(csv.DictReader(io.StringIO(reply.raw.decode())))
    assert [row["bucket"] for row in rows] == [row["bucket"] for row in body["data"]]
    for cells, row in zip(rows, body["data"], strict=True):
        assert (cells["revenue"], cells["cost"], cells["losses"]) == (row["revenue"], row["cost"], row["losses"])
        assert float(cells["credits"]) == row["credits"]
        assert cells["drift_flagged"] == str(row["drift"]["flagged"]).lower()
        assert (cells["currency"], cells["timezone"]) == ("USD", "UTC")
    empty = await gateway.call("GET", "/v1/ops/margin?to=2020-01-01", gateway.admin, headers=accept)
    (header,) = csv.reader(io.StringIO(empty.raw.decode()))
    assert [*rows[0]] == ["model", "bucket", *header[3:]]


async def test_filters_choose_and_wrong_ones_are_named(gateway: Visitor) -> None:
    await some_history(gateway)
    assert (await margin(gateway, "?model=clip"))["data"] == []
    assert (await margin(gateway, "?provider=sandbox&group_by=provider"))["data"][0]["generations"] == 9
    for query, field in (
        ("group_by=tool", "group_by"), ("group_by=day,day", "group_by"), ("from=2026-02-30", "from"),
        ("from=2026-03-02&to=2026-03-01", "from"), ("from=2020-01-01&to=2022-01-01", "from"),
        ("account=acme", "account"),
    ):  # fmt: skip
        refused = await gateway.call("GET", f"/v1/ops/margin?{query}", gateway.admin)
        assert (refused.status, refused.body["error"]["fields"][0]["path"]) == (422, field), query


async def test_only_billing_and_admin_see_money(gateway: Visitor) -> None:
    key = await gateway.account()
    for role in ("ops", "viewer", "support"):
        assert (await gateway.call("GET", "/v1/ops/margin", await gateway.operator_key(role))).status == 403
    assert (await gateway.call("GET", "/v1/ops/margin", key)).status == 403
    assert (await margin(gateway, key=await gateway.operator_key("billing")))["data"] == []


async def test_what_was_paid_for_a_grant_is_a_sum_of_money(gateway: Visitor) -> None:
    await gateway.account()
    for paid, status in ((0, 201), (0.005, 201), (-1, 422), ("5", 422), (10_000_001, 422)):
        body = {"bucket": "top_up", "credits": 5, "paid": paid, "reason": "a deal"}
        reply = await gateway.call("POST", "/v1/admin/accounts/acme/grants", gateway.admin, body)
        assert reply.status == status, (paid, reply.raw)


async def test_no_customer_is_shown_a_cost(gateway: Visitor) -> None:
    """Every call that customers or anybody may make, on things that have a cost: no answer has it."""
    key = await gateway.owner()
    await gateway.grant(100)
    costly = Cost("sandbox", 47_119, 47_120)
    generation = await gateway.made(key, outputs=2)
    await finish(gateway, generation, costly, costly)
    failed = await gateway.made(key)
    await finish(gateway, failed, costly, failure=FailureCode.PROVIDER_REJECTED)
    hook = await gateway.call("POST", "/v1/webhooks", key, {"url": "https://example.com/hook", "events": ["*"]})
    named = {"generation": generation, "index": "0", "webhook": str((hook.body or {}).get("id")), "account": "acme"}
    asked = 0
    for route in (*ROUTES, *FACADE_ROUTES):
        if route.method != "GET" or route.media == SSE or (route.scopes and not route.scopes & OF_CUSTOMERS):
            continue
        path = re.sub(r"{(\w+)[^}]*}", lambda match: named.get(match[1], "none"), route.path)
        reply = await gateway.call("GET", path, key)
        _check(reply.raw, path, names=urlsplit(path).path not in DOCUMENTATION)
        asked += reply.status == 200
    quoted = {"tool": "image", "model": "sketch", "settings": {}, "outputs": 2}
    estimate = {"items": [{"tool": "image", "model": "sketch", "per_day": 3, "days": 4}]}
    for path, body in (
        ("/v1/quotes", quoted), ("/v1/estimates", estimate), ("/v1/generations", {**quoted, "prompt": "x"}),
        ("/v1/generations", {**quoted, "prompt": "x", "max_credits": 1}),
        ("/v1/generations", {**quoted, "prompt": "x", "settings": {"strength": 9}}),
        ("/v1/generations", {**quoted, "prompt": "x", "outputs": 99}),
    ):  # fmt: skip
        reply = await gateway.call("POST", path, key, body)
        _check(reply.raw, path)
        asked += reply.status < 500
    assert asked > 20
    shown = await gateway.call("GET", "/metrics", gateway.admin)
    assert b"farebox_cost_total" in shown.raw, "operators see it, so it was there to be seen"


def _check(raw: bytes, path: str, *, names: bool = True) -> None:
    text = raw.decode(errors="replace")
    assert not DIGITS.search(text), path
    assert not names or not NAMES.search(text), path
