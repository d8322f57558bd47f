"""Client tokens: a little of what their key may do, for an hour at most, and for so many credits."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gateway.api import limits
from tests.api.visitor import PICTURE, SKETCH, Visitor, open_stream
from tests.until import until

KEYS = "/v1/admin/accounts/acme/keys"


async def token_of(gateway: Visitor, key: str, **body: Any) -> str:
    made = await gateway.call("POST", "/v1/tokens", key, {"credits": 50} | body)
    assert made.status == 201, made.raw
    return str(made.body["token"])


async def test_a_token_quotes_generates_and_reads_what_it_made(gateway: Visitor, key: str) -> None:
    token, other = await token_of(gateway, key), await token_of(gateway, key)
    assert (await gateway.call("POST", "/v1/quotes", token, SKETCH)).status == 200
    mine = await gateway.made(token, once="same")
    await gateway.finish(mine)
    shown = await gateway.call("GET", f"/v1/generations/{mine}", token)
    parent = (await gateway.call("GET", "/v1/key", key)).body["id"]
    assert (shown.status, shown.body["key"], shown.body["prompt"]) == (200, parent, SKETCH["prompt"])
    assert (await gateway.call("GET", f"/v1/generations/{mine}/outputs/0", token)).raw == PICTURE
    async with open_stream(gateway, f"/v1/generations/{mine}/events", token) as stream:
        assert (await stream.until("done")).data["id"] == mine
    its_keys = await gateway.made(key)
    for generation, reader in ((its_keys, token), (mine, other)):
        reply = await gateway.call("GET", f"/v1/generations/{generation}", reader)
        assert (reply.status, reply.message) == (404, f"There is no generation {generation}.")
    assert (await gateway.made(other, once="same")) != mine, "nor does an idempotency key give another's generation"
    assert (await gateway.call("GET", f"/v1/generations/{mine}", key)).status == 200, "its key sees everything"


async def test_of_concurrent_requests_exactly_those_that_fit_succeed(gateway: Visitor, key: str) -> None:
    await gateway.grant(1000)
    token = await token_of(gateway, key, credits=9)
    replies = await asyncio.gather(*(gateway.create(token) for _ in range(20)))
    accepted = [reply for reply in replies if reply.status == 202]
    (refused, *_) = (reply for reply in replies if reply.status != 202)
    assert (len(accepted), refused.status, refused.code) == (1, 402, "limit_reached")
    assert (refused.error["whose"], refused.error["used"], refused.error["remaining"]) == ("token", 5, 4)
    assert "get a new token" in refused.message
    assert (await gateway.call("POST", f"/v1/generations/{accepted[0].body['id']}/cancel", key)).status == 200
    assert (await gateway.create(token)).status == 202, "what is refunded is room again"
    assert (await gateway.create(token)).code == "limit_reached"


async def test_a_token_ends_with_its_key_at_once_and_its_stream_too(gateway: Visitor) -> None:
    await gateway.account()
    made = (await gateway.call("POST", KEYS, gateway.admin, {})).body
    token = await token_of(gateway, made["key"])
    generation = await gateway.made(token)
    async with open_stream(gateway, f"/v1/generations/{generation}/events", token) as stream:
        await stream.until("snapshot")
        assert (await gateway.call("DELETE", f"{KEYS}/{made['id']}", gateway.admin)).status == 200
        await gateway.notice(generation)
        while await stream.next() is not None:
            pass
    for method, path, body in (("POST", "/v1/generations", SKETCH), ("GET", f"/v1/generations/{generation}", None)):
        reply = await gateway.call(method, path, token, body)
        assert (reply.status, reply.code) == (401, "invalid_key")


async def test_a_token_has_streams_of_its_own(gateway: Visitor, key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of an app's users shared their account's fifty, and one of them could keep out all others and its server."""
    monkeypatch.setattr(limits, "TOKEN_STREAMS_MAX", 1)
    monkeypatch.setattr(limits, "STREAMS_MAX", 1)
    one, other = await token_of(gateway, key), await token_of(gateway, key)
    path, others = [f"/v1/generations/{await gateway.made(token)}/events" for token in (one, other)]
    async with open_stream(gateway, path, one) as stream:
        await stream.until("snapshot")
        refused = await gateway.call("GET", path, one)
        assert (refused.status, refused.code, refused.error["streams_max"]) == (429, "rate_limited", 1)
        async with open_stream(gateway, others, other) as second, open_stream(gateway, "/v1/events", key) as servers:
            await second.until("snapshot")
            await servers.until("balance")


async def test_a_token_expires(gateway: Visitor, key: str) -> None:
    token = await token_of(gateway, key, expires_in_seconds=1)

    async def expired() -> bool:
        reply = await gateway.call("POST", "/v1/quotes", token, SKETCH)
        return reply.status == 401 and "token" in reply.message

    await until(expired)
    for seconds in (0, 3601):
        refused = await gateway.call("POST", "/v1/tokens", key, {"credits": 5, "expires_in_seconds": seconds})
        assert (refused.status, refused.fields) == (422, ["expires_in_seconds"])


async def test_a_token_signs_nobody_in_and_makes_nothing_that_lasts(gateway: Visitor, key: str) -> None:
    """A session, a link or a key of the token's key would outlive it, and may do everything."""
    made = (await gateway.call("POST", "/v1/tokens", key, {"credits": 5})).body
    page = {"Origin": gateway.address, "Sec-Fetch-Site": "same-origin"}
    for secret in (made["token"], made["id"]):
        reply = await gateway.call("POST", "/session", None, {"key": secret}, page)
        assert (reply.status, reply.code) == (401, "invalid_key")
        assert "Set-Cookie" not in reply.headers
    for path in ("/v1/tokens", "/v1/sign-in-links", "/v1/webhooks", "/openai/v1/images/generations"):
        assert (await gateway.call("POST", path, made["token"], {})).status == 403, path
    for forged in (made["id"], f"fbt_{made['id']}", made["token"][:-1], made["token"].replace("fbt_", "fbx_")):
        assert (await gateway.call("POST", "/v1/quotes", forged, SKETCH)).status == 401, "only the token itself"


async def test_a_token_may_do_no_more_than_its_key(gateway: Visitor) -> None:
    await gateway.account()
    bound = {"models": ["sketch"], "networks": ["127.0.0.0/8"], "limit": {"credits": 5, "period": "daily"}}
    key = str((await gateway.call("POST", KEYS, gateway.admin, bound)).body["key"])
    wider = await gateway.call("POST", "/v1/tokens", key, {"credits": 5, "models": ["gallery"]})
    assert (wider.status, wider.fields) == (422, ["models"])
    token = await token_of(gateway, key)
    restricted = await gateway.create(token, model="remote")
    assert (restricted.status, restricted.code) == (403, "key_restricted")
    await gateway.made(token)
    assert (await gateway.create(token)).error["whose"] == "key"


async def test_the_same_request_makes_one_token_which_is_shown_once(gateway: Visitor) -> None:
    key, once = await gateway.account(), {"Idempotency-Key": "once"}
    first = await gateway.call("POST", "/v1/tokens", key, {"credits": 5}, once)
    again = await gateway.call("POST", "/v1/tokens", key, {"credits": 5}, once)
    assert (again.status, again.body) == (200, {name: first.body[name] for name in first.body if name != "token"})
