"""Signing in to the console: cookies that stand for a key, changes from our own pages only, links that work once."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from itsdangerous import URLSafeTimedSerializer

from gateway.api import services
from gateway.api.access.sessions import COOKIE, LINK_SECONDS, ROOT_KEY_ID, SESSION_SECONDS, Sessions
from gateway.api.errors import InvalidKey
from tests.api.visitor import SKETCH, Reply, Visitor, open_gateway
from tests.cases import cases
from tests.redis_servers import RedisServer

OURS = {"Sec-Fetch-Site": "same-origin"}
ELSEWHERE: tuple[dict[str, str], ...] = (
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Origin": "https://evil.example"},
    {},
)


async def sign_in(gateway: Visitor, **body: str) -> Reply:
    return await gateway.call("POST", "/session", None, body, OURS)


def cookie_of(reply: Reply) -> dict[str, str]:
    """The header that a browser would send from now on."""
    assert reply.status == 201, reply.raw
    return {"Cookie": reply.headers["Set-Cookie"].partition(";")[0]}


async def signed_in(gateway: Visitor, key: str) -> dict[str, str]:
    return cookie_of(await sign_in(gateway, key=key))


async def link_of(gateway: Visitor, key: str) -> str:
    """The token of a new link."""
    made = await gateway.call("POST", "/v1/sign-in-links", key, {})
    assert made.status == 201
    return str(made.body["url"]).partition("#")[2]


async def test_a_session_does_what_its_key_does(gateway: Visitor, key: str) -> None:
    cookie = await signed_in(gateway, key)
    assert (await gateway.call("GET", "/session", None, None, cookie)).body == {"scope": "account", "account": "acme"}
    assert (await gateway.call("GET", "/v1/balance", None, None, cookie)).body["available"] == 100
    made = await gateway.call("POST", "/v1/generations", None, SKETCH, cookie | OURS)
    assert made.status == 202
    assert (await gateway.call("GET", f"/v1/generations/{made.body['id']}", key)).status == 200
    assert (await gateway.call("GET", "/v1/ops/queues", None, None, cookie)).code == "forbidden"


@cases("scope", ["ops", "admin"])
async def test_operators_sign_in_too(gateway: Visitor, scope: str) -> None:
    cookie = await signed_in(gateway, await gateway.operator_key(scope))
    assert (await gateway.call("GET", "/session", None, None, cookie)).body == {"scope": scope, "account": None}
    assert (await gateway.call("GET", "/v1/ops/queues", None, None, cookie)).status == 200


async def test_the_cookie_is_for_this_gateway_only_and_no_script_reads_it(gateway: Visitor, key: str) -> None:
    header = (await sign_in(gateway, key=key)).headers["Set-Cookie"]
    for part in ("HttpOnly", "SameSite=Strict", "Path=/", f"Max-Age={SESSION_SECONDS}"):
        assert part in header
    assert "Secure" not in header  # over http a browser would drop it
    assert key not in header
    assert key.removeprefix("fbx_")[:8] not in header


async def test_the_cookie_is_secure_where_the_gateway_is_reached_by_https(redis_url: str, tmp_path: Path) -> None:
    async with open_gateway(redis_url, tmp_path, public_url="https://media.example.com") as gateway:
        assert "Secure" in (await sign_in(gateway, key=await gateway.account())).headers["Set-Cookie"]


@cases("headers", ELSEWHERE)
async def test_a_change_with_a_cookie_is_refused_unless_a_page_of_ours_asks(
    gateway: Visitor, headers: dict[str, str]
) -> None:
    cookie = await signed_in(gateway, await gateway.account())
    for method, path in (("POST", "/v1/generations"), ("POST", "/v1/quotes"), ("DELETE", "/session")):
        reply = await gateway.call(method, path, None, SKETCH if method == "POST" else None, cookie | headers)
        assert (reply.status, reply.code) == (403, "forbidden")
    assert (await gateway.call("GET", "/v1/balance", None, None, cookie | headers)).body["held"] == 0


async def test_a_browser_that_only_sends_an_origin_is_believed_if_it_is_ours(gateway: Visitor) -> None:
    cookie = await signed_in(gateway, await gateway.account())
    made = await gateway.call("POST", "/v1/generations", None, SKETCH, cookie | {"Origin": gateway.address})
    assert made.status == 202


async def test_signing_in_from_another_origins_page_is_refused(gateway: Visitor) -> None:
    body = {"key": await gateway.account()}
    reply = await gateway.call("POST", "/session", None, body, {"Sec-Fetch-Site": "cross-site"})
    assert (reply.status, reply.code) == (403, "forbidden")
    assert "Set-Cookie" not in reply.headers


async def test_a_key_in_the_header_goes_before_the_cookie(gateway: Visitor) -> None:
    cookie = await signed_in(gateway, await gateway.account())
    other = await gateway.account("other")
    made = await gateway.call("POST", "/v1/generations", other, SKETCH, cookie)
    assert made.body["account"] == "other"


async def test_revoking_the_key_ends_its_sessions_at_once(gateway: Visitor) -> None:
    await gateway.account()
    made = (await gateway.call("POST", "/v1/admin/accounts/acme/keys", gateway.admin, {})).body
    cookie = await signed_in(gateway, made["key"])
    assert (await gateway.call("GET", "/v1/balance", None, None, cookie)).status == 200
    await gateway.call("DELETE", f"/v1/admin/accounts/acme/keys/{made['id']}", gateway.admin)
    refused = await gateway.call("GET", "/v1/balance", None, None, cookie)
    assert (refused.status, refused.code) == (401, "invalid_key")
    assert (await gateway.call("GET", "/session", None, None, cookie)).body == {"scope": None, "account": None}


async def test_a_session_follows_the_live_events(gateway: Visitor) -> None:
    cookie = await signed_in(gateway, await gateway.account())
    async with gateway.session.get(f"{gateway.address}/v1/events", headers=cookie) as response:
        assert response.status == 200
        assert (await response.content.readline()).startswith(b"retry:")


async def test_an_estimate_with_a_session_is_for_its_account(gateway: Visitor, key: str) -> None:
    await gateway.finished(key)
    cookie = await signed_in(gateway, key)
    estimate = await gateway.call("POST", "/v1/estimates", None, {"from": "last_30_days"}, cookie | OURS)
    assert estimate.body["items"][0]["model"] == "sketch"


async def test_signing_out_takes_the_cookie_away_and_leaves_the_key(gateway: Visitor, key: str) -> None:
    cookie = await signed_in(gateway, key)
    out = await gateway.call("DELETE", "/session", None, None, cookie | OURS)
    assert out.status == 204
    assert re.match(rf'{COOKIE}=""; .*Max-Age=0', out.headers["Set-Cookie"])
    assert (await gateway.call("GET", "/v1/balance", key)).status == 200


async def test_a_session_that_was_signed_out_is_over_at_every_gateway(
    gateway: Visitor, redis_url: str, tmp_path: Path
) -> None:
    """A copy of the cookie went on for a week: signing out only took it away from the browser."""
    for key in (await gateway.account(), await gateway.operator_key("ops"), gateway.admin):
        cookie, other = await signed_in(gateway, key), await signed_in(gateway, key)
        async with open_gateway(redis_url, tmp_path) as elsewhere:
            for one in (gateway, elsewhere):
                assert (await who(one, cookie))["scope"] is not None
            assert (await gateway.call("DELETE", "/session", None, None, cookie | OURS)).status == 204
            for one in (gateway, elsewhere):
                assert await who(one, cookie) == {"scope": None, "account": None}
                for path in ("/v1/balance", "/v1/ops/queues", "/v1/events"):
                    refused = await one.call("GET", path, None, None, cookie)
                    assert (refused.status, refused.code) == (401, "invalid_key")
                assert (await who(one, other))["scope"] is not None, "another session of the same key goes on"
        assert (await gateway.call("GET", "/session", key)).body["scope"] is not None, "and so does the key"
        assert (await gateway.call("DELETE", "/session", None, None, cookie | OURS)).status == 204, "again is as well"


async def test_a_session_of_a_link_is_signed_out_too(gateway: Visitor) -> None:
    cookie = cookie_of(await sign_in(gateway, link=await link_of(gateway, await gateway.account())))
    await gateway.call("DELETE", "/session", None, None, cookie | OURS)
    assert (await gateway.call("GET", "/v1/balance", None, None, cookie)).status == 401


async def test_a_cookie_that_names_no_session_is_none(gateway: Visitor) -> None:
    """Those of the version before could not be signed out."""
    await gateway.account()
    key_id = (await gateway.call("GET", "/v1/admin/accounts/acme/keys", gateway.admin)).body["data"][0]["id"]
    signing_key = gateway.app[services.SETTINGS].secret("signing-key")
    before = URLSafeTimedSerializer(signing_key, salt="farebox.session").dumps([key_id, ""])
    refused = await gateway.call("GET", "/v1/balance", None, None, {"Cookie": f"{COOKIE}={before}"})
    assert (refused.status, refused.code) == (401, "invalid_key")


async def test_signing_out_during_a_ledger_outage_is_not_confirmed(own_redis: RedisServer, tmp_path: Path) -> None:
    async with open_gateway(own_redis.url, tmp_path) as gateway:
        cookie = await signed_in(gateway, gateway.admin)
        own_redis.stop()
        refused = await gateway.call("DELETE", "/session", None, None, cookie | OURS)
        assert (refused.status, refused.code) == (503, "ledger_unavailable")
        assert "Set-Cookie" not in refused.headers
        own_redis.start()
        assert (await gateway.call("DELETE", "/session", None, None, cookie | OURS)).status == 204


async def test_a_key_in_the_header_asks_the_ledger_nothing_about_sessions(gateway: Visitor, key: str) -> None:
    cookie = await signed_in(gateway, key)
    for headers, asked in (({"Authorization": f"Bearer {key}"}, 0), (cookie, 1)):
        before = await times_called(gateway, "zmscore")
        assert (await gateway.call("GET", "/v1/balance", None, None, headers)).status == 200
        assert await times_called(gateway, "zmscore") - before == asked


async def times_called(gateway: Visitor, command: str) -> int:
    stats = await gateway.ledger.redis.info("commandstats")
    return int(stats.get(f"cmdstat_{command}", {"calls": 0})["calls"])


async def who(gateway: Visitor, cookie: dict[str, str]) -> Any:
    return (await gateway.call("GET", "/session", None, None, cookie)).body


async def test_a_forged_or_strange_cookie_is_no_session(gateway: Visitor) -> None:
    cookie = await signed_in(gateway, await gateway.account())
    for forged in (cookie["Cookie"][:-2] + "xx", f"{COOKIE}=", f"{COOKIE}=nonsense"):
        refused = await gateway.call("GET", "/v1/balance", None, None, {"Cookie": forged})
        assert (refused.status, refused.code) == (401, "invalid_key")


async def test_a_session_is_over_after_a_week(gateway: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    cookie = await signed_in(gateway, await gateway.account())
    monkeypatch.setattr("gateway.api.access.sessions.SESSION_SECONDS", -1)
    assert (await gateway.call("GET", "/v1/balance", None, None, cookie)).status == 401


def test_changing_the_admin_key_ends_the_sessions_and_links_of_the_old_one() -> None:
    before, after = (Sessions("signing", f"fbx_{root}", "http://127.0.0.1:8080") for root in ("old", "new"))
    response = web.Response()
    before.begin(response, ROOT_KEY_ID)
    cookie, token = response.cookies[COOKIE].value, before.link(ROOT_KEY_ID).partition("#")[2]
    assert before.open(cookie).key_id == before.open_link(token).key_id == ROOT_KEY_ID
    with pytest.raises(InvalidKey, match="changed"):
        after.open(cookie)
    with pytest.raises(InvalidKey, match="changed"):
        after.open_link(token)
    assert after.open_link(before.link("key_of_an_account").partition("#")[2]).key_id == "key_of_an_account"


async def test_a_link_signs_in_once_as_the_key_that_made_it(gateway: Visitor) -> None:
    token = await link_of(gateway, await gateway.account())
    cookie = cookie_of(await sign_in(gateway, link=token))
    assert (await gateway.call("GET", "/session", None, None, cookie)).body["account"] == "acme"
    again = await sign_in(gateway, link=token)
    assert (again.status, again.code) == (401, "invalid_key")
    assert "already been used" in again.message


async def test_an_expired_or_incomplete_link_or_one_of_a_revoked_key_is_refused(
    gateway: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    await gateway.account()
    made = (await gateway.call("POST", "/v1/admin/accounts/acme/keys", gateway.admin, {})).body
    token = await link_of(gateway, made["key"])
    assert (await sign_in(gateway, link=token[:-1])).status == 401
    with monkeypatch.context() as later:
        later.setattr("gateway.api.access.sessions.LINK_SECONDS", -1)
        assert (await sign_in(gateway, link=token)).status == 401
    await gateway.call("DELETE", f"/v1/admin/accounts/acme/keys/{made['id']}", gateway.admin)
    assert (await sign_in(gateway, link=token)).status == 401


async def test_a_links_token_is_in_the_fragment_and_a_replay_omits_it(gateway: Visitor, key: str) -> None:
    once = {"Idempotency-Key": "a-link"}
    made = await gateway.call("POST", "/v1/sign-in-links", key, {}, once)
    assert re.fullmatch(r"http://[^#?]+/sign-in#\S+", made.body["url"])
    assert "url" not in (await gateway.call("POST", "/v1/sign-in-links", key, {}, once)).body
    used = [name async for name in gateway.ledger.redis.scan_iter("fb:sign_in:*")]
    assert used == []
    await sign_in(gateway, link=made.body["url"].partition("#")[2])
    (used_up,) = [name async for name in gateway.ledger.redis.scan_iter("fb:sign_in:*")]
    assert 0 < await gateway.ledger.redis.ttl(used_up) <= LINK_SECONDS


async def test_a_session_makes_no_link_and_so_ends_within_a_week(gateway: Visitor) -> None:
    """By one link after another it went on for ever, for a person who had been removed at the OpenID provider."""
    cookie = await signed_in(gateway, await gateway.account())
    refused = await gateway.call("POST", "/v1/sign-in-links", None, {}, cookie | OURS)
    assert (refused.status, refused.code) == (403, "forbidden")


@cases("body", [{}, {"key": "fbx_a", "link": "b"}, {"key": ""}, {"key": 1}])
async def test_signing_in_takes_a_key_or_a_link(gateway: Visitor, body: dict[str, object]) -> None:
    assert (await gateway.call("POST", "/session", None, body, OURS)).code == "invalid_request"


async def test_an_invalid_key_does_not_sign_in(gateway: Visitor) -> None:
    for key in ("fbx_unknown", "nonsense"):
        reply = await sign_in(gateway, key=key)
        assert (reply.status, reply.code) == (401, "invalid_key")
        assert "Set-Cookie" not in reply.headers


@pytest.mark.parametrize("scope", ["account", "ops"])
async def test_a_stream_ends_when_its_session_is_signed_out(
    gateway: Visitor, redis_url: str, tmp_path: Path, scope: str
) -> None:
    account = await gateway.account()
    key = account if scope == "account" else await gateway.operator_key(scope)
    cookie, other = await signed_in(gateway, key), await signed_in(gateway, key)
    streams = [gateway.session.get(f"{gateway.address}/v1/events", headers=one) for one in (cookie, other)]
    async with streams[0] as ended, streams[1] as going_on:
        for response in (ended, going_on):
            assert (await response.content.readline()).startswith(b"retry:")
        async with open_gateway(redis_url, tmp_path) as elsewhere:
            await elsewhere.call("DELETE", "/session", None, None, cookie | OURS)
        generation = await gateway.made(account)
        await gateway.notice(generation)
        await ended.content.read()  # to its end
        await going_on.content.readuntil(b"event: queues" if scope == "ops" else generation.encode())


async def test_a_stream_of_one_generation_ends_with_its_session(gateway: Visitor, key: str) -> None:
    cookie, generation = await signed_in(gateway, key), await gateway.made(key)
    events = f"{gateway.address}/v1/generations/{generation}/events"
    async with gateway.session.get(events, headers=cookie) as response:
        await response.content.readline()
        await gateway.call("DELETE", "/session", None, None, cookie | OURS)
        await gateway.notice(generation)
        await response.content.read()  # to its end


async def test_a_stream_ends_when_its_sessions_key_is_revoked(gateway: Visitor) -> None:
    await gateway.account()
    made = (await gateway.call("POST", "/v1/admin/accounts/acme/keys", gateway.admin, {})).body
    cookie = await signed_in(gateway, made["key"])
    async with gateway.session.get(f"{gateway.address}/v1/events", headers=cookie) as response:
        await response.content.readline()
        await gateway.call("DELETE", f"/v1/admin/accounts/acme/keys/{made['id']}", gateway.admin)
        await gateway.notice("", "acme")
        await response.content.read()  # to its end
