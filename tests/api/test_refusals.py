"""Every error code of these calls, and that its message is one a person can act on."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from gateway.api import services
from gateway.api.errors import error_classes
from gateway.api.routes import ROUTES
from tests.api.visitor import CARD, SKETCH, Visitor, open_gateway
from tests.cases import cases
from tests.redis_servers import RedisServer


async def test_400_a_body_that_is_not_json_says_where(gateway: Visitor, key: str) -> None:
    for raw in (b'{"tool": ', b"", b"\xff\xfe", b'{"prompt": "\\ud800"}'):
        reply = await gateway.call("POST", "/v1/generations", key, raw=raw)
        assert (reply.status, reply.code) == (400, "invalid_json"), raw
        assert "is not JSON" in reply.message


@cases(
    ("change", "path", "said"),
    [
        ({"prompt": ""}, "prompt", "is required by Sketch"),
        ({"prompt": "x" * 10_001}, "prompt", "at most 10000 characters"),
        ({"prompt": None}, "prompt", "valid string"),
        ({"tool": 5}, "tool", "valid string"),
        ({"outputs": 0}, "outputs", "greater than or equal to 1"),
        ({"outputs": "2"}, "outputs", "valid integer"),
        ({"outputs": True}, "outputs", "valid integer"),
        ({"max_credits": "5"}, "max_credits", "must be a number of credits"),
        ({"max_credits": True}, "max_credits", "must be a number of credits"),
        ({"max_credits": 1.0005}, "max_credits", "at most three decimals"),
        ({"max_credits": 1e15}, "max_credits", "at most 9,000,000,000 credits"),
        ({"max_credits": -1}, "max_credits", "greater than or equal to 0"),
        ({"unknown": 1}, "unknown", "is not a known field of this request"),
        ({"settings": {"strength": [1]}}, "settings.strength", "must be text, a number, true or false"),
        ({"metadata": {"x": "y" * 17_000}}, "metadata", "at most 16 KiB"),
        ({"metadata": {"x": float("nan")}}, "metadata.x", "finite number"),
        ({"metadata": []}, "metadata", "should be an object"),
        ({"tags": dict.fromkeys("abcdefghi", "x")}, "tags", "at most 8 tags; these are 9"),
        ({"tags": {"n" * 65: "x"}}, "tags", "names must be 1 to 64 characters long"),
        ({"tags": {"": "x"}}, "tags", "names must be 1 to 64 characters long"),
        ({"tags": {"a,b": "x"}}, "tags", "without commas, brackets"),
        ({"tags": {"a\tb": "x"}}, "tags", "without commas, brackets"),
        ({"tags": {"project": "x" * 65}}, "tags.project", "at most 64 characters"),
        ({"tags": {"project": ""}}, "tags.project", "at least 1 character"),
        ({"tags": {"project": "a\nb"}}, "tags.project", "must not contain control characters"),
        ({"tags": {"project": 7}}, "tags.project", "valid string"),
        ({"tags": ["project"]}, "tags", "should be an object"),
        (
            {"inputs": [{"kind": "image", "url": "http://example.com/a.png"}]},
            "inputs.0.url",
            "must start with https://",
        ),
        ({"inputs": [{"kind": "image", "url": "file:///etc/passwd"}]}, "inputs.0.url", "must start with https://"),
        ({"inputs": [{"kind": "image", "url": "data:text/html;base64,PGI+"}]}, "inputs.0.url", "image/png"),
        ({"inputs": [{"kind": "image", "url": "data:image/png;base64,!"}]}, "inputs.0.url", "not valid base64"),
        ({"inputs": [{"kind": "image", "url": "https://e.com"}] * 17}, "inputs", "at most 16 items"),
        ({"sandbox": {"delay_seconds": 601}}, "sandbox.delay_seconds", "less than or equal to 600"),
        ({"sandbox": {"surprise": 1}}, "sandbox.surprise", "is not a known field"),
    ],
)
async def test_422_a_wrong_field_is_named_with_what_is_right(
    gateway: Visitor, change: dict[str, Any], path: str, said: str
) -> None:
    reply = await gateway.create(await gateway.account(), **change)
    assert (reply.status, reply.code) == (422, "invalid_request")
    assert reply.fields[0] == path
    assert said in reply.message


async def test_422_a_missing_field_is_named(gateway: Visitor) -> None:
    reply = await gateway.call("POST", "/v1/generations", await gateway.account(), {"tool": "image"})
    assert reply.code == "invalid_request"
    assert reply.fields == ["model"]
    assert "`model` is required" in reply.message


async def test_422_a_query_is_checked_as_strictly(gateway: Visitor, key: str) -> None:
    wrong = {"limit=0": "limit", "limit=x": "limit", "colour=red": "colour", "limit=1&limit=2": "limit"}
    for query, path in wrong.items():
        reply = await gateway.call("GET", f"/v1/generations?{query}", key)
        assert (reply.status, reply.code, reply.fields) == (422, "invalid_request", [path])


async def test_422_a_format_is_described_in_words_not_as_a_pattern(gateway: Visitor, key: str) -> None:
    for path, caller, said in (
        ("/v1/generations?before=x", key, "`before` must be the `next` value of a page of this list"),
        ("/v1/journal?before=x", key, "`before` must be the `next` value of a page of this list"),
        ("/v1/usage?from=yesterday", key, "`from` must be a date, such as 2026-11-22"),
        ("/v1/admin/accounts?email=ada", gateway.admin, "`email` must be an email address, such as ada@example.com"),
    ):
        reply = await gateway.call("GET", path, caller)
        assert (reply.status, reply.code) == (422, "invalid_request")
        assert said in reply.message


async def test_422_a_setting_that_the_model_does_not_take_says_which_it_takes(gateway: Visitor) -> None:
    reply = await gateway.create(await gateway.account(), settings={"strength": 0.3})
    assert (reply.status, reply.code) == (422, "invalid_settings")
    assert reply.fields == ["settings.strength"]
    assert "from 0 to 1 in steps of 0.25" in reply.message


async def test_422_an_unknown_model_names_those_there_are(gateway: Visitor) -> None:
    reply = await gateway.create(await gateway.account(), model="sketsh")
    assert (reply.status, reply.code) == (422, "unknown_model")
    assert '"sketch"' in reply.message
    reply = await gateway.create(await gateway.account(), tool="sound")
    assert (reply.status, reply.code, reply.fields) == (422, "unknown_model", ["tool"])


async def test_422_sandbox_controls_are_for_sandbox_models(redis_url: str, tmp_path: Path) -> None:
    remote = '[models.remote]\nname = "Remote"\ntool = "image"\nprovider = '
    (tmp_path / "pricing.toml").write_text(
        CARD.read_text().replace(f'{remote}"sandbox"', f'{remote}"box"') + '\n[providers.box]\nkind = "openai"\n'
    )
    async with open_gateway(redis_url, tmp_path) as gateway:
        reply = await gateway.create(await gateway.account(), model="remote", sandbox={"hang": True})
        assert (reply.status, reply.code, reply.fields) == (422, "invalid_request", ["sandbox"])
        assert "only allowed for models of the sandbox provider" in reply.message


async def test_sandbox_controls_and_clocks_are_for_test_mode(redis_url: str, tmp_path: Path) -> None:
    async with open_gateway(redis_url, tmp_path, test_mode=False) as live:
        reply = await live.create(await live.account(), sandbox={"hang": True})
        assert (reply.status, reply.fields) == (422, ["sandbox"])
        assert "FAREBOX_TEST_MODE=1" in reply.message
        reply = await live.call("POST", "/v1/admin/accounts/acme/clock", live.admin, {"advance_seconds": 60})
        assert (reply.status, reply.code) == (403, "forbidden")
        assert "FAREBOX_TEST_MODE=1" in reply.message


async def test_401_without_a_key_it_says_how_to_send_one(gateway: Visitor) -> None:
    for headers in ({}, {"Authorization": "Basic dXNlcg=="}, {"Authorization": "Bearer "}):
        reply = await gateway.call("GET", "/v1/balance", headers=headers)
        assert (reply.status, reply.code) == (401, "invalid_key")
        assert "Bearer fbx_" in reply.message
        assert reply.headers["WWW-Authenticate"] == 'Bearer realm="farebox"'
    for key in ("fbx_" + "x" * 43, "sk-12345"):
        reply = await gateway.call("GET", "/v1/balance", key)
        assert (reply.status, reply.code) == (401, "invalid_key")
        assert key not in reply.raw.decode()


async def test_403_the_wrong_kind_of_key_names_the_right_one(gateway: Visitor, key: str) -> None:
    reply = await gateway.call("POST", "/v1/generations", gateway.admin, SKETCH)
    assert (reply.status, reply.code) == (403, "forbidden")
    assert "POST /v1/admin/accounts/{id}/keys" in reply.message
    reply = await gateway.call("GET", "/v1/ops/queues", key)
    assert (reply.status, reply.code) == (403, "forbidden")
    assert "role ops, viewer, support, billing or admin" in reply.message


async def test_403_a_pro_model_needs_a_subscription(gateway: Visitor, key: str) -> None:
    await gateway.grant(1000)
    reply = await gateway.create(key, model="gallery")
    assert (reply.status, reply.code) == (403, "subscription_required")
    assert "Gallery requires an active subscription" in reply.message
    assert "GET /v1/plans" in reply.message
    await gateway.subscribe()
    assert (await gateway.create(key, model="gallery")).status == 202


async def test_403_a_plans_limit_names_the_values_it_opens(gateway: Visitor, key: str) -> None:
    await gateway.subscribe("basic")
    reply = await gateway.create(key, tool="video", model="clip", settings={"resolution": "1080p"})
    assert (reply.status, reply.code) == (403, "plan_limit")
    assert 'The Basic plan allows "480p" or "720p" for resolution, not "1080p".' in reply.message
    assert reply.error["allowed"] == ["480p", "720p"]
    assert reply.fields == ["settings.resolution"]


async def test_r13_says_what_is_missing_and_the_ways_out(gateway: Visitor, key: str) -> None:
    await gateway.made(key, outputs=4)
    reply = await gateway.create(key, model="remote", outputs=1, max_credits=10)
    assert reply.status == 202
    for _ in range(1):
        await gateway.create(key, tool="video", model="clip", settings={"duration": 8})
    reply = await gateway.create(key, outputs=4)
    assert (reply.status, reply.code) == (402, "insufficient_credits")
    error = reply.error
    # 100 − 20 (four sketches) − 10 (remote) − 66.925 (a clip: 30 + 7 × 5.275)
    assert (error["needed"], error["available"], error["held"]) == (20, 3.075, 96.925)
    assert "the price is 20, and 3.075 are available (16.925 short)" in reply.message
    assert "Another 96.925 are held by 3 other generations" in reply.message
    balance = (await gateway.call("GET", "/v1/balance", key)).body
    assert error["ways_out"]["wait"] == [
        {"bucket": "free", "at": balance["buckets"]["free"]["resets_at"], "credits": 100}
    ]
    assert error["ways_out"]["top_up"] == {
        "allowed": False,
        "reason": "subscription_required",
        "bundles": [{"id": "small", "name": "Small", "credits": 1000, "price": 5}],
    }
    assert error["ways_out"]["upgrade"] == [
        {
            "id": "basic",
            "name": "Basic",
            "credits": 3000,
            "price": {"monthly": 13, "quarterly": 33.15, "yearly": 109.2},
        },
        {"id": "standard", "name": "Standard", "credits": 8000, "price": {"monthly": 30}},
    ]


async def test_r13_of_a_subscriber_offers_bundles_and_only_larger_plans(gateway: Visitor, key: str) -> None:
    await gateway.subscribe("basic")
    body = {"bucket": "subscription", "credits": -3000, "reason": "a test"}
    await gateway.call("POST", "/v1/admin/accounts/acme/adjustments", gateway.admin, body)
    body = {"bucket": "free", "credits": -100, "reason": "a test"}
    await gateway.call("POST", "/v1/admin/accounts/acme/adjustments", gateway.admin, body)
    error = (await gateway.create(key)).error
    assert [way["bucket"] for way in error["ways_out"]["wait"]] == ["free", "subscription"]
    assert error["ways_out"]["wait"][1]["credits"] == 3000
    assert error["ways_out"]["top_up"]["allowed"] is True
    assert [plan["id"] for plan in error["ways_out"]["upgrade"]] == ["standard"]


async def test_404_says_what_there_is_not(gateway: Visitor, key: str) -> None:
    reply = await gateway.call("GET", "/v1/generations/gen_nothing", key)
    assert (reply.status, reply.code) == (404, "not_found")
    assert "gen_nothing" in reply.message
    reply = await gateway.call("GET", "/v1/nothing", key)
    assert (reply.status, reply.code) == (404, "not_found")
    assert "/docs" in reply.message
    reply = await gateway.call("GET", "/v1/admin/accounts/nobody", gateway.admin)
    assert (reply.status, reply.code, reply.message) == (404, "not_found", "There is no account nobody.")


async def test_405_says_what_the_address_takes(gateway: Visitor) -> None:
    reply = await gateway.call("DELETE", "/v1/balance", await gateway.account())
    assert (reply.status, reply.code, reply.headers["Allow"]) == (405, "method_not_allowed", "GET, HEAD")
    assert "Supported: GET, HEAD" in reply.message


async def test_409_a_price_above_the_ceiling_says_the_price(gateway: Visitor, key: str) -> None:
    reply = await gateway.create(key, outputs=3, max_credits=14.999)
    assert (reply.status, reply.code) == (409, "price_above_ceiling")
    assert (reply.error["price"], reply.error["max_credits"]) == (15, 14.999)
    assert "price is 15 credits, above your `max_credits` of 14.999" in reply.message
    assert (await gateway.create(key, outputs=3, max_credits=15)).status == 202


async def test_413_a_body_over_a_mebibyte_suggests_urls(gateway: Visitor, key: str) -> None:
    raw = json.dumps(SKETCH | {"prompt": "x" * (1024 * 1024)}).encode()
    reply = await gateway.call("POST", "/v1/generations", key, raw=raw)
    assert (reply.status, reply.code) == (413, "body_too_large")
    assert "https:" in reply.message


async def test_429_a_full_waiting_room_says_the_limit_and_when_to_come_back(gateway: Visitor, key: str) -> None:
    assert [(await gateway.create(key)).status for _ in range(3)] == [202] * 3
    reply = await gateway.create(key)
    assert (reply.status, reply.code) == (429, "waiting_room_full")
    assert int(reply.headers["Retry-After"]) > 0
    assert "The free plan allows 1 waiting image generation; the limit is reached." in reply.message


async def test_500_reveals_no_internals(gateway: Visitor, key: str) -> None:
    await gateway.ledger.redis.set(gateway.ledger.account_key("acme"), "not a hash")
    reply = await gateway.call("GET", "/v1/balance", key)
    assert (reply.status, reply.code) == (500, "internal")
    assert "request_id" in reply.message
    for inside in (b"WRONGTYPE", b"Traceback", b"lua", b"redis"):
        assert inside not in reply.raw


async def test_503_a_silent_ledger_asks_for_the_same_key_again(own_redis: RedisServer, tmp_path: Path) -> None:
    async with open_gateway(own_redis.url, tmp_path) as gateway:
        key = await gateway.account()
        own_redis.kill()
        reply = await gateway.create(key, once="a")
        assert (reply.status, reply.code) == (503, "ledger_unavailable")
        assert int(reply.headers["Retry-After"]) > 0
        assert "same Idempotency-Key" in reply.message
        assert (await gateway.call("GET", "/v1/balance", key)).status == 503
        assert (await gateway.call("GET", "/readyz")).status == 503
        own_redis.start()
        await gateway.until_ready()
        assert (await gateway.create(key, once="a")).status == 202


async def test_every_error_has_its_request_id_and_no_answer_is_cached(gateway: Visitor) -> None:
    replies = [
        await gateway.call("GET", "/v1/nothing"),
        await gateway.call("GET", "/v1/balance"),
        await gateway.call("PATCH", "/v1/balance"),
    ]
    for reply in replies:
        assert reply.error["request_id"] == reply.headers["X-Request-Id"]
        assert reply.headers["Cache-Control"] == "no-store"
        assert reply.headers["X-Content-Type-Options"] == "nosniff"
        assert reply.headers["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert len({reply.headers["X-Request-Id"] for reply in replies}) == 3


async def test_refusals_are_counted_by_code(gateway: Visitor) -> None:
    await gateway.call("GET", "/v1/nothing")
    text = (await gateway.call("GET", "/metrics")).raw.decode()
    assert 'farebox_refusals_total{code="not_found"} 1.0' in text


def test_every_code_of_the_contract_has_one_class_and_says_what_it_means() -> None:
    known = {error.code: error.status for error in error_classes()}
    below_the_contract = {"invalid_http": 400, "body_too_slow": 408, "headers_too_large": 431}
    below_the_contract |= dict.fromkeys(
        (
            "overloaded",
            "queue_unavailable",
            "no_worker",
            "paused",
            "store_unavailable",
            "payments_unavailable",
            "provider_unavailable",
        ),
        503,
    )
    assert known == below_the_contract | {
        "invalid_json": 400,
        "invalid_request": 422,
        "invalid_settings": 422,
        "unknown_model": 422,
        "idempotency_key_reused": 422,
        "quote_mismatch": 422,
        "invalid_key": 401,
        "subscription_required": 403,
        "plan_limit": 403,
        "key_restricted": 403,
        "forbidden": 403,
        "insufficient_credits": 402,
        "limit_reached": 402,
        "not_found": 404,
        "method_not_allowed": 405,
        "price_above_ceiling": 409,
        "quote_expired": 409,
        "body_too_large": 413,
        "range_not_satisfiable": 416,
        "internal": 500,
        "waiting_room_full": 429,
        "rate_limited": 429,
        "ledger_unavailable": 503,
    }
    assert all((error.__doc__ or "").strip().endswith(".") for error in error_classes())


async def test_a_refused_request_leaves_no_trace(gateway: Visitor, key: str) -> None:
    before = (await gateway.call("GET", "/v1/journal", key)).body
    picture = base64.b64encode(b"\x89PNG\r\n\x1a\n").decode()
    await gateway.create(key, model="gallery", once="k")
    await gateway.create(key, outputs=4, inputs=[{"kind": "image", "url": f"data:image/png;base64,{picture}"}] * 5)
    assert (await gateway.call("GET", "/v1/journal", key)).body == before
    assert (await gateway.call("GET", "/v1/generations", key)).body["data"] == []
    totals = await gateway.app[services.LEDGER].totals()
    assert (totals.open, totals.held_millicredits) == (0, 0)


SHAPES: set[type[BaseModel]] = {
    shape for route in ROUTES for shape in (route.takes, route.gives, *route.events.values()) if shape
}


@cases("shape", sorted(SHAPES, key=str))
def test_a_shape_that_does_not_fit_says_so_without_what_it_was_given(shape: type[BaseModel]) -> None:
    """An answer that does not fit is a 500, and its traceback goes to the log: pydantic's text quoted the prompt."""
    with pytest.raises(ValidationError) as raised:
        shape.model_validate({"prompt": ["a lighthouse"], "unknown": "a lighthouse"})
    assert "lighthouse" not in str(raised.value)
