"""R26, R27: what a key may spend, and be used for, until when and from where; its own view, and its successor."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.api.visitor import SKETCH, Visitor, open_gateway

KEYS = "/v1/admin/accounts/acme/keys"
SKETCH_CREDITS = 5


async def limited(gateway: Visitor, credits_: float, period: str = "daily") -> dict[str, Any]:
    """A key that may spend so much; the account has a thousand."""
    await gateway.account()
    await gateway.grant(1_000)
    made = await gateway.call("POST", KEYS, gateway.admin, {"limit": {"credits": credits_, "period": period}})
    assert made.status == 201, made.raw
    return dict(made.body)


async def test_r26_a_reached_limit_says_whose_how_much_is_left_and_until_when(gateway: Visitor) -> None:
    key = await limited(gateway, 12)
    assert key["limit"] == {"credits": 12, "period": "daily"}
    assert (await gateway.create(key["key"], once="first")).status == 202
    refused = await gateway.create(key["key"], outputs=2)
    error = refused.error
    assert (refused.status, error["code"], error["whose"], error["limit"]) == (
        402,
        "limit_reached",
        "key",
        key["limit"],
    )
    assert (error["used"], error["remaining"]) == (SKETCH_CREDITS, 12 - SKETCH_CREDITS)
    assert error["resets_at"].endswith("T00:00:00.000Z")
    assert error.keys() == {"code", "message", "request_id", "whose", "limit", "used", "remaining", "resets_at"}
    assert refused.message == (
        f"This API key's daily limit of 12 credits is reached: the price is {2 * SKETCH_CREDITS}, and "
        f"{12 - SKETCH_CREDITS} are left. The limit resets at {error['resets_at']}. Until then, ask whoever manages "
        "this account's API keys to raise it. Nothing was reserved."
    )
    assert (await gateway.create(key["key"], once="first")).status == 200, "a retry is not counted again"
    assert (await gateway.create(await gateway.account(), outputs=2)).status == 202, "another key has none"


async def test_r26_a_limit_is_changed_and_removed_at_once(gateway: Visitor) -> None:
    key = await limited(gateway, 0, "never")
    path = f"{KEYS}/{key['id']}"
    refused = await gateway.create(key["key"])
    assert (refused.status, refused.error["resets_at"]) == (402, None)
    assert "The limit does not reset: ask whoever manages" in refused.message
    raised = await gateway.call("PATCH", path, gateway.admin, {"limit": {"credits": 5.5, "period": "monthly"}})
    assert (raised.status, raised.body["limit"]) == (200, {"credits": 5.5, "period": "monthly"})
    assert (await gateway.create(key["key"])).status == 202
    assert (await gateway.create(key["key"])).code == "limit_reached"
    named = await gateway.call("PATCH", path, gateway.admin, {"label": "shop"})
    assert (named.body["label"], named.body["limit"]) == ("shop", raised.body["limit"])
    assert named.body in (await gateway.call("GET", KEYS, gateway.admin)).body["data"]
    assert (await gateway.call("PATCH", path, gateway.admin, {"limit": None})).body["limit"] is None
    assert (await gateway.create(key["key"])).status == 202
    nobody = await gateway.call("PATCH", f"{KEYS}/key_none", gateway.admin, {"label": "x"})
    assert (nobody.status, nobody.code) == (404, "not_found")
    for wrong in ({"credits": -1, "period": "daily"}, {"credits": 1, "period": "hourly"}, {"credits": 1}, 5):
        assert (await gateway.call("PATCH", path, gateway.admin, {"limit": wrong})).code == "invalid_request"


async def test_r26_a_reached_limit_is_402_in_every_clients_own_form(gateway: Visitor) -> None:
    key = (await limited(gateway, 0))["key"]
    order = {"prompt": "a red bicycle"}
    openai = await gateway.call("POST", "/openai/v1/images/generations", key, {"model": "sketch"} | order)
    replicate = await gateway.call("POST", "/replicate/v1/models/farebox/sketch/predictions", key, {"input": order})
    fal = await gateway.call("POST", "/fal/farebox/sketch", key, order)
    for reply in (openai, replicate, fal):
        assert (reply.status, reply.headers["x-should-retry"]) == (402, "false"), reply.raw
        assert "daily limit of 0 credits is reached" in reply.raw.decode()
    assert (openai.body["error"]["code"], openai.body["error"]["type"]) == ("limit_reached", "insufficient_quota")
    assert (replicate.body["type"], replicate.body["whose"]) == ("limit_reached", "key")
    assert (fal.body["error_type"], fal.body["error"]["remaining"]) == ("limit_reached", 0)


async def test_r26_gating_and_an_empty_pool_outrank_a_limit_and_it_a_full_waiting_room(gateway: Visitor) -> None:
    other = await gateway.account()
    made = await gateway.call("POST", KEYS, gateway.admin, {"limit": {"credits": 0, "period": "weekly"}})
    key: str = made.body["key"]
    clip: dict[str, Any] = {"tool": "video", "model": "clip", "settings": {"duration": 8}}
    assert (await gateway.create(key, **clip)).code == "limit_reached"
    assert (await gateway.create(other, **clip)).status == 202
    assert (await gateway.create(key, **clip)).code == "insufficient_credits"
    assert (await gateway.create(key, model="gallery")).code == "subscription_required"
    while (reply := await gateway.create(other)).status == 202:
        pass
    assert (reply.status, reply.code) == (429, "waiting_room_full")
    assert (await gateway.create(key)).code == "limit_reached"


async def test_r27_a_key_sees_what_it_may_do_and_what_it_has_spent(gateway: Visitor) -> None:
    key = await limited(gateway, 60, "weekly")
    whole = await gateway.finished(key["key"], outputs=2)
    assert whole
    await gateway.made(key["key"])
    own = (await gateway.call("GET", "/v1/key", key["key"])).body
    assert own["limit_reset"].endswith("T00:00:00.000Z")
    assert own == {
        "id": key["id"], "label": None, "account": "acme", "member": None, "role": None, "models": None, "tools": None,
        "expires_at": None, "limit": {"credits": 60, "period": "weekly"}, "limit_remaining": 60 - 3 * SKETCH_CREDITS,
        "limit_reset": own["limit_reset"], "usage": 15, "usage_daily": 15, "usage_weekly": 15, "usage_monthly": 15,
        "member_limit": None, "rate_limit": None,
    }  # fmt: skip
    await gateway.call("POST", "/v1/admin/accounts/acme/clock", gateway.admin, {"advance_seconds": 40 * 86_400})
    later = (await gateway.call("GET", "/v1/key", key["key"])).body
    assert (later["usage"], later["usage_daily"], later["usage_weekly"], later["usage_monthly"]) == (15, 0, 0, 0)
    assert later["limit_remaining"] == 60
    other = (await gateway.call("GET", "/v1/key", await gateway.account())).body
    assert (other["usage"], other["limit"], other["limit_remaining"], other["limit_reset"]) == (0, None, None, None)
    assert (await gateway.call("GET", "/v1/key", gateway.admin)).code == "forbidden"


@pytest.mark.parametrize(
    ("bound", "refused"),
    [
        ({"tools": ["video"]}, 'may not be used for the tool "image": its tools are limited to "video"'),
        ({"models": ["gallery", "clip"]}, 'for the model "sketch": its models are limited to "gallery", "clip"'),
    ],
)
async def test_r27_a_key_bound_to_tools_or_models_is_refused_at_create_quote_and_in_the_facades(
    gateway: Visitor, bound: dict[str, Any], refused: str
) -> None:
    await gateway.account()
    key = (await gateway.call("POST", KEYS, gateway.admin, bound)).body["key"]
    order = {"prompt": "a red bicycle"}
    for path, body in (
        ("/v1/generations", SKETCH),
        ("/v1/quotes", SKETCH),
        ("/openai/v1/images/generations", {"model": "sketch"} | order),
        ("/replicate/v1/models/farebox/sketch/predictions", {"input": order}),
        ("/fal/farebox/sketch", order),
    ):
        reply = await gateway.call("POST", path, key, body)
        assert reply.status == 403, path
        assert "key_restricted" in reply.raw.decode()
        assert refused in json.dumps(reply.body, ensure_ascii=False).replace('\\"', '"')
    error = (await gateway.create(key)).error
    assert {error["restriction"]: error["allowed"]} == bound
    assert (await gateway.create(key, tool="video", model="clip")).status == 202
    own = (await gateway.call("GET", "/v1/key", key)).body
    assert own.items() >= bound.items()


async def test_r27_a_change_of_bounds_takes_effect_at_once_on_every_gateway(
    gateway: Visitor, redis_url: str, tmp_path: Path
) -> None:
    await gateway.account()
    await gateway.grant(1_000)
    made = (await gateway.call("POST", KEYS, gateway.admin, {"tools": ["image"]})).body
    path = f"{KEYS}/{made['id']}"
    async with open_gateway(redis_url, tmp_path) as other:
        for tools, status in ((["image"], 202), (["video"], 403), (None, 202), (["video"], 403), (["image"], 202)):
            changed = await gateway.call("PATCH", path, gateway.admin, {"tools": tools})
            assert changed.body["tools"] == tools, changed.raw
            for one in (gateway, other):
                reply = await one.create(made["key"])
                assert reply.status in {status, 429}, (tools, reply.raw)
    both = await gateway.call("PATCH", path, gateway.admin, {"models": ["clip"]})
    assert (both.body["tools"], both.body["models"]) == (["image"], ["clip"]), "those omitted are left unchanged"


async def test_r27_a_key_is_refused_from_elsewhere_and_after_it_has_expired(
    gateway: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    await gateway.account()
    made = (await gateway.call("POST", KEYS, gateway.admin, {"networks": ["203.0.113.0/24", "2001:db8::1"]})).body
    assert made["networks"] == ["203.0.113.0/24", "2001:db8::1/128"]
    for method, path, body in (
        ("GET", "/v1/key", None), ("GET", "/v1/balance", None), ("POST", "/v1/quotes", SKETCH),
        ("POST", "/session", {"key": made["key"]}),
    ):  # fmt: skip
        reply = await gateway.call(method, path, made["key"], body)
        assert (reply.status, reply.code, reply.error["restriction"]) == (403, "key_restricted", "networks")
        assert "may not be used from 127.0.0.1" in reply.message
        assert "203.0.113" not in reply.message, "whoever found the key learns nothing"
    path = f"{KEYS}/{made['id']}"
    expires_at = "2100-01-01T00:00:00.000Z"
    changed = await gateway.call("PATCH", path, gateway.admin, {"networks": ["127.0.0.0/8"], "expires_at": expires_at})
    assert (changed.status, changed.body["expires_at"]) == (200, expires_at)
    assert (await gateway.call("GET", "/v1/key", made["key"])).body["expires_at"] == expires_at
    monkeypatch.setattr("gateway.api.access.auth.now_ms", lambda: 4_102_444_800_000)
    for method, path, body in (("GET", "/v1/key", None), ("POST", "/session", {"key": made["key"]})):
        reply = await gateway.call(method, path, made["key"], body)
        assert (reply.status, reply.code) == (401, "invalid_key")
        assert f"expired at {expires_at}" in reply.message


async def test_r27_bounds_that_would_leave_a_key_useless_are_refused(gateway: Visitor) -> None:
    await gateway.account()
    for wrong, path, said in (
        ({"models": ["clip", "sketsh"]}, "models.1", 'did you mean "sketch"'),
        ({"tools": ["audio"]}, "tools.0", "is not on the rate card"),
        ({"tools": []}, "tools", "at least 1 item"),
        ({"networks": ["203.0.113.7/24"]}, "networks.0", "such as 203.0.113.0/24"),
        ({"networks": ["fe80::1%\x1b[2J"]}, "networks.0", "must not contain control characters"),
        ({"expires_at": "2020-01-01T00:00:00Z"}, "expires_at", "must be in the future"),
    ):
        reply = await gateway.call("POST", KEYS, gateway.admin, wrong)
        assert (reply.status, reply.code, reply.fields) == (422, "invalid_request", [path]), reply.raw
        assert said in reply.message


async def test_r27_a_rotated_key_has_a_successor_with_the_same_limit_and_lives_on_for_the_stated_time(
    gateway: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    await gateway.account()
    asked = {"label": "shop", "tools": ["image"], "limit": {"credits": 12, "period": "monthly"}}
    old = (await gateway.call("POST", KEYS, gateway.admin, asked)).body
    assert (await gateway.create(old["key"])).status == 202
    path, hour = f"{KEYS}/{old['id']}/rotate", {"overlap_seconds": 3600}
    once = {"Idempotency-Key": "rotate"}
    made = await gateway.call("POST", path, gateway.admin, hour, headers=once)
    new = made.body
    assert made.status == 201
    assert {name: new[name] for name in asked} == asked
    assert new["key"] not in {None, old["key"]}
    again = await gateway.call("POST", path, gateway.admin, hour, headers=once)
    assert (again.body["id"], "key" in again.body) == (new["id"], False), "a retry makes no second one"
    for key in (old["key"], new["key"]):
        assert (await gateway.call("GET", "/v1/key", key)).body["limit_remaining"] == 12 - SKETCH_CREDITS
    assert (await gateway.create(new["key"])).status == 202
    for key in (old["key"], new["key"]):
        assert (await gateway.create(key)).code == "limit_reached", "rotating makes no room"
    raised = await gateway.call("PATCH", f"{KEYS}/{new['id']}", gateway.admin, {"limit": None})
    assert raised.body["limit"] is None
    listed = {key["id"]: key for key in (await gateway.call("GET", KEYS, gateway.admin)).body["data"]}
    assert (listed[old["id"]]["limit"], listed[new["id"]]["expires_at"]) == (None, None)
    refused = await gateway.call("POST", path, gateway.admin, {})
    assert (refused.status, refused.code) == (422, "invalid_request")
    assert f"its successor is {new['id']}" in refused.message
    later = int(datetime.fromisoformat(listed[old["id"]]["expires_at"]).timestamp() * 1000)
    monkeypatch.setattr("gateway.api.access.auth.now_ms", lambda: later)
    assert (await gateway.call("GET", "/v1/balance", old["key"])).code == "invalid_key"
    assert (await gateway.call("GET", "/v1/balance", new["key"])).status == 200


async def test_r27_a_key_rotated_without_overlap_ends_at_once_and_its_count_goes_on_after_it(gateway: Visitor) -> None:
    await gateway.account()
    asked = {"limit": {"credits": 7, "period": "never"}}
    old = (await gateway.call("POST", KEYS, gateway.admin, asked)).body
    assert (await gateway.create(old["key"])).status == 202
    new = (await gateway.call("POST", f"{KEYS}/{old['id']}/rotate", gateway.admin, {"overlap_seconds": 0})).body
    assert (await gateway.create(old["key"])).code == "invalid_key"
    assert (await gateway.call("DELETE", f"{KEYS}/{old['id']}", gateway.admin)).status == 200
    own = (await gateway.call("GET", "/v1/key", new["key"])).body
    assert (own["usage"], own["limit_remaining"]) == (SKETCH_CREDITS, 7 - SKETCH_CREDITS)
    newest = (await gateway.call("POST", f"{KEYS}/{new['id']}/rotate", gateway.admin, {})).body
    assert (await gateway.create(newest["key"])).code == "limit_reached"
    for key in (new, newest):
        await gateway.call("DELETE", f"{KEYS}/{key['id']}", gateway.admin)
    nobody = await gateway.call("POST", f"{KEYS}/{old['id']}/rotate", gateway.admin, {})
    assert (nobody.status, nobody.code) == (404, "not_found")
    fields = await gateway.ledger.command("HKEYS", gateway.ledger.account_key("acme"))
    assert not [name for name in fields if old["id"] in name.decode()], "the last of them leaves nothing"
