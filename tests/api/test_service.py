"""Health, metrics, operations, the description, the log; starting without a ledger and stopping cleanly."""

from __future__ import annotations

import json
import logging
import re
from pathlib import Path
from typing import Any

import pytest
import structlog
from openapi_spec_validator import validate

from gateway.api import services
from gateway.api.description.openapi import codes_of
from gateway.api.errors import error_classes
from gateway.api.routes import ROUTES
from gateway.domain import FailureCode
from gateway.errors import LedgerBroken, RateCardError
from gateway.ledger import keys
from tests.api.visitor import Visitor, open_gateway
from tests.redis_servers import RedisServer
from tests.until import until


async def test_a_healthy_gateway_says_so(gateway: Visitor) -> None:
    assert (await gateway.call("GET", "/healthz")).body == {"status": "ok"}
    body = (await gateway.call("GET", "/readyz")).body
    assert (body["status"], body["problems"]) == ("ok", [])
    assert body["rate_card"].startswith("sha256:")


async def test_a_bad_rate_card_leaves_the_old_one_and_shows(gateway: Visitor, key: str) -> None:
    path = gateway.app[services.SETTINGS].rate_card
    assert path is not None
    path.write_text(path.read_text().replace("credits = 5\n", "credits = -5\n"))
    await gateway.until_ready("degraded")
    reply = await gateway.call("GET", "/readyz")
    assert (reply.status, reply.body["status"]) == (200, "degraded")
    assert "must not be negative" in reply.body["problems"][0]
    assert (await gateway.create(key)).body["price"]["credits"] == 5
    ops = (await gateway.call("GET", "/v1/ops/queues", gateway.admin)).body
    assert "must not be negative" in ops["rate_card"]["problem"]
    assert (await gateway.samples())["farebox_rate_card_degraded"] == {(): 1}


async def test_the_gateway_starts_without_a_ledger_and_recovers_by_itself(
    own_redis: RedisServer, tmp_path: Path
) -> None:
    own_redis.stop()
    async with open_gateway(own_redis.url, tmp_path) as gateway:
        assert (await gateway.call("GET", "/healthz")).status == 200
        ready = await gateway.call("GET", "/readyz")
        assert (ready.status, ready.body["status"]) == (503, "unavailable")
        assert int(ready.headers["Retry-After"]) > 0
        reply = await gateway.call("PUT", "/v1/admin/accounts/acme", gateway.admin, {})
        assert (reply.status, reply.code) == (503, "ledger_unavailable")
        assert "Nothing was done" in reply.message
        assert (await gateway.call("GET", "/v1/plans")).status == 200
        assert (await gateway.samples())["farebox_ledger_up"] == {(): 0}
        own_redis.start()
        await gateway.until_ready()
        assert (await gateway.create(await gateway.account())).status == 202


async def test_a_ledger_of_another_kind_stops_the_start(own_redis: RedisServer, tmp_path: Path) -> None:
    async with open_gateway(own_redis.url, tmp_path) as gateway:
        await gateway.ledger.redis.set(keys.META, "1,32")
    with pytest.raises(LedgerBroken, match="32 partitions"):
        async with open_gateway(own_redis.url, tmp_path):
            pass


async def test_a_bad_rate_card_stops_the_start(redis_url: str, tmp_path: Path) -> None:
    (tmp_path / "pricing.toml").write_text("[free]\n")
    with pytest.raises(RateCardError):
        async with open_gateway(redis_url, tmp_path):
            pass


async def test_the_queues_are_counted(gateway: Visitor, key: str) -> None:
    for _ in range(3):
        await gateway.made(key)
    clip = await gateway.made(key, tool="video", model="clip")
    await gateway.begin(clip)
    body: dict[str, Any] = {}

    async def dispatched() -> bool:  # and the ledger has heard of it: until then it may be overdue
        body.update((await gateway.call("GET", "/v1/ops/queues", gateway.admin)).body)
        return bool(body["queues"][0]["depth"] == 2 and body["overdue"] == 0)

    await until(dispatched)
    image, video = body["queues"]
    assert (image["tool"], image["depth"], image["waiting"], image["running"]) == ("image", 2, 1, 0)
    assert (video["tool"], video["depth"], video["waiting"], video["running"]) == ("video", 0, 0, 1)
    assert video["oldest_age_seconds"] is None
    assert (body["open"], body["accounts"], body["overdue"]) == (4, 1, 0)
    for tool, needed in (("image", 2), ("video", 1)):
        scale = (await gateway.call("GET", f"/v1/ops/scale/{tool}", gateway.admin)).body
        assert (scale["value"], scale["queued"] + scale["running"]) == (round(needed / 150, 3), needed)
    assert (await gateway.call("GET", "/v1/ops/scale/audio", gateway.admin)).code == "not_found"
    assert body["held_credits"] == 60.825  # three sketches, and a clip of four seconds: 30 + 3 × 5.275


async def test_metrics_have_what_an_operator_watches(gateway: Visitor, key: str) -> None:
    await gateway.finished(key)
    failed = await gateway.made(key)
    await gateway.begin(failed)
    await gateway.settle(failed, FailureCode.MODERATED)
    await gateway.made(key)
    await gateway.create(key, model="gallery")
    samples = await gateway.samples()
    assert samples["farebox_queue_depth"][("image",)] == 1
    assert samples["farebox_waiting"] == {("image",): 0, ("video",): 0}
    assert samples["farebox_in_work"][("image",)] == 1
    assert samples["farebox_held_credits"] == {(): 5}
    assert samples["farebox_deadlines_overdue"] == {(): 0}
    assert samples["farebox_generations_total"] == {
        ("", "sketch", "succeeded", "image"): 1,
        ("moderated", "sketch", "failed", "image"): 1,
    }
    assert samples["farebox_refusals_total"] == {("subscription_required",): 1}
    assert samples["farebox_transition_seconds_count"][("reserved", "reserve")] == 3
    assert samples["farebox_rate_card_info"] == {(gateway.app[services.RATE_CARDS].card.version,): 1}
    assert "farebox_queue_oldest_age_seconds" in samples


async def test_the_description_is_valid_openapi_and_has_every_route_with_its_scopes(gateway: Visitor) -> None:
    document = (await gateway.call("GET", "/openapi.json")).body
    validate(document)
    assert document["openapi"] == "3.1.0"
    described = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    assert described == {(route.method, route.path) for route in ROUTES}
    ids = [operation["operationId"] for methods in document["paths"].values() for operation in methods.values()]
    assert len(ids) == len(set(ids))
    for route in ROUTES:
        operation = document["paths"][route.path][route.method.lower()]
        assert operation["x-farebox-scopes"] == sorted(route.scopes)
        assert (operation["security"] == []) is (not route.scopes)


def test_every_code_of_a_route_is_one_that_exists() -> None:
    known = {error.code for error in error_classes()}
    assert {code for route in ROUTES for code in codes_of(route)} <= known


async def test_every_answer_of_a_read_has_the_described_shape(gateway: Visitor, key: str) -> None:
    """What is not in the schema is not in the answer, and what it requires is."""
    generation = await gateway.finished(key, webhook_url="https://example.com/one")
    (told, *_) = (await gateway.call("GET", "/v1/webhooks/default/deliveries", key)).body["data"]
    await gateway.subscribe()
    bought = (await gateway.call("POST", "/v1/top-ups", key, {"bundle": "small"})).body["id"]
    document = (await gateway.call("GET", "/openapi.json")).body
    for route in ROUTES:
        if route.method != "GET" or route.gives is None:
            continue
        path = route.path.format(
            generation=generation, account="acme", webhook="default", delivery=told["id"], checkout=bought, tool="image"
        )
        query = {"/v1/admin/accounts": "?email=a@b.c", "/v1/admin/search": "?q=acme"}.get(route.path, "")
        if query:
            await gateway.call("PUT", "/v1/admin/accounts/acme", gateway.admin, {"email": "a@b.c"})
        opener = key if "account" in route.scopes else gateway.admin
        body = (await gateway.call("GET", path + query, opener)).body
        schema = document["components"]["schemas"][route.gives.__name__]
        assert set(schema.get("required", ())) <= set(body) <= set(schema["properties"]), path


async def test_the_docs_page_is_complete_and_loads_nothing_from_other_hosts(gateway: Visitor) -> None:
    reply = await gateway.call("GET", "/docs")
    text = reply.raw.decode()
    assert reply.headers["Content-Type"] == "text/html; charset=utf-8"
    assert reply.headers["Content-Security-Policy"].startswith("default-src 'self'")
    for route in ROUTES:
        assert route.path in text
    for error in error_classes():
        assert f"<code>{error.code}</code>" in text
    text = text.replace(gateway.app[services.SETTINGS].public_address, "")
    assert "http://" not in text
    assert "https://" not in text.replace("https://example.com", "")
    scripts = re.findall(r'<script (?:type="module" )?src="/static/\w+/([\w.]+)">', text)
    assert (scripts, text.count("<script")) == (["theme.js", "docs.js"], 2)
    assert "style=" not in text
    assert 'aria-label="Pages"' in text, "it has the console's frame"
    style = await gateway.call("GET", "/static/docs.css")
    assert (style.status, style.headers["Content-Type"]) == (200, "text/css; charset=utf-8")


async def test_each_request_is_one_log_line_without_secrets(gateway: Visitor, caplog: pytest.LogCaptureFixture) -> None:
    key = await gateway.account()
    with structlog.testing.capture_logs() as lines:
        made = await gateway.create(key, once="my-idempotency-key", prompt="a very private prompt")
        url = (await gateway.call("GET", f"/v1/generations/{made.body['id']}?", key)).body["id"]
        await gateway.call("GET", f"/v1/generations/{url}/outputs/0?expires=1&signature=hush")
        await gateway.call("GET", "/v1/balance", "fbx_" + "s" * 43)
    requests = [line for line in lines if line["event"] == "request"]
    assert [(line["method"], line["route"], line["status"]) for line in requests] == [
        ("POST", "/v1/generations", 202),
        ("GET", "/v1/generations/{generation}", 200),
        ("GET", "/v1/generations/{generation}/outputs/{index}", 403),
        ("GET", "/v1/balance", 401),
    ]
    first = requests[0]
    assert (first["account"], first["generation"]) == ("acme", made.body["id"])
    assert first["request_id"] == made.headers["X-Request-Id"]
    assert first["duration_ms"] > 0
    text = json.dumps(lines, default=str) + caplog.text
    for secret in (key, "my-idempotency-key", "private prompt", "hush", "s" * 43):
        assert secret not in text
    assert logging.getLogger("aiohttp.access").handlers == []


async def test_the_rate_card_and_the_plans_are_public(gateway: Visitor) -> None:
    card = (await gateway.call("GET", "/v1/rate-card")).body
    models = {model["id"]: model for model in card["models"]}
    assert models["sketch"]["settings"]["strength"] == {"min": 0, "max": 1, "step": 0.25, "default": 0.5, "unit": None}
    assert models["gallery"]["rates"][1]["credits"] == 73.5
    assert models["gallery"]["pro"] is True
    assert models["clip"]["rates"][0]["credits_per"] == {"duration": {"credits": 5.275, "over": 1}}
    plans = (await gateway.call("GET", "/v1/plans")).body
    basic: dict[str, Any] = plans["data"][0]
    assert basic["price"] == {"monthly": 13, "quarterly": 33.15, "yearly": 109.2}
    assert basic["allow"] == {"video": {"resolution": ["480p", "720p"]}}
    assert basic["estimated_generations"]["image"] == {"model": "sketch", "generations": 600}
    assert plans["free"]["daily_credits"] == 100
    assert [one["output_days"] for one in (plans["free"], *plans["data"])] == [30, 30, 90], "30: FAREBOX_OUTPUT_DAYS"
    assert plans["upgrade_leftover"] == "keep"
    assert plans["rate_card"] == card["version"]


async def test_a_queue_that_is_away_is_in_readyz_and_what_was_ordered_meanwhile_is_queued_afterwards(
    redis_url: str, own_redis: RedisServer, tmp_path: Path
) -> None:
    async with open_gateway(redis_url, tmp_path, queue_url=own_redis.url) as gateway:
        key = await gateway.account()
        own_redis.stop()
        generation = await gateway.made(key)
        body = (await gateway.call("GET", "/readyz")).body
        assert body["status"] == "degraded"
        assert "the queue's Redis is not responding: work is accepted and starts when it is back" in body["problems"]
        own_redis.start()
        await gateway.until_ready()
        # What the gateway could not dispatch is a caretaker's: see tests/workers/test_dispatcher.py.
        assert (await gateway.call("GET", f"/v1/generations/{generation}", key)).body["status"] == "queued"


async def test_503_of_the_queue_names_the_queue(redis_url: str, own_redis: RedisServer, tmp_path: Path) -> None:
    """It said that the ledger did not answer, whose operator then looked at the wrong server."""
    async with open_gateway(redis_url, tmp_path, queue_url=own_redis.url) as gateway:
        assert (await gateway.call("GET", "/v1/ops/queues", gateway.admin)).status == 200
        own_redis.stop()
        reply = await gateway.call(
            "GET", "/v1/ops/series?from=2026-01-01T00:00:00Z&to=2026-01-02T00:00:00Z", gateway.admin
        )
        assert (reply.status, reply.code) == (503, "queue_unavailable")
        assert int(reply.headers["Retry-After"]) > 0
        assert "ledger" not in reply.message
