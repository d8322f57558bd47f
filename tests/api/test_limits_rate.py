"""Requests a minute per key, counted for all gateways; and event streams at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from gateway.api import limits, services
from gateway.api.handlers import events
from gateway.errors import SettingsError
from gateway.ledger import keys
from gateway.ledger.allowances import Admitted
from gateway.settings import load_settings
from tests.api.visitor import SKETCH, Reply, Visitor, open_gateway, open_stream
from tests.redis_servers import RedisServer
from tests.until import until

HEADERS = ("RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset")


@pytest.fixture
async def limited(redis_url: str, tmp_path: Path) -> AsyncIterator[Visitor]:
    """A gateway whose keys may make three requests a minute."""
    async with open_gateway(redis_url, tmp_path, requests_per_minute=3) as visitor:
        yield visitor


def said(reply: Reply) -> list[int]:
    return [int(reply.headers[name]) for name in HEADERS]


async def test_a_key_over_its_rate_limit_gets_retry_after(limited: Visitor) -> None:
    key = await limited.account()
    for left in (2, 1, 0):
        reply = await limited.call("GET", "/v1/balance", key)
        limit, remaining, reset = said(reply)
        assert (reply.status, limit, remaining) == (200, 3, left)
        assert (2 - left) * 20 < reset <= (3 - left) * 20
    refused = await limited.call("GET", "/v1/balance", key)
    assert (refused.status, refused.code) == (429, "rate_limited")
    assert refused.error["requests_per_minute"] == 3
    assert 0 < int(refused.headers["Retry-After"]) <= 20
    assert f"Retry in {refused.headers['Retry-After']} second" in refused.message
    assert said(refused)[:2] == [3, 0]
    assert refused.headers["X-Request-Id"] == refused.error["request_id"]


async def test_replicates_packages_never_get_429(limited: Visitor) -> None:
    """They retry no create that is, and 503 wherever they retry 429. None waits longer than its client."""
    key = await limited.account()
    for _ in range(3):
        await limited.call("GET", "/v1/balance", key)
    asked, prefer = {"version": "farebox/sketch"}, {"Prefer": "wait=1"}
    refused = await limited.call("POST", "/replicate/v1/predictions", key, asked, prefer)
    assert (refused.status, refused.code) == (503, "rate_limited")
    assert 1 < int(refused.headers["Retry-After"]) <= 20
    assert "x-should-retry" not in refused.headers


async def test_all_gateways_count_together(limited: Visitor, redis_url: str, tmp_path: Path) -> None:
    key = await limited.account()
    async with open_gateway(redis_url, tmp_path, requests_per_minute=3) as other:
        statuses = [(await one.call("GET", "/v1/balance", key)).status for one in (limited, other, limited, other)]
    assert statuses == [200, 200, 200, 429]


async def test_each_key_of_an_account_has_its_own_rate(limited: Visitor) -> None:
    first, second = await limited.account(), await limited.account()
    for key in (first, second):
        for _ in range(3):
            assert (await limited.call("GET", "/v1/balance", key)).status == 200
        assert (await limited.call("GET", "/v1/balance", key)).status == 429


async def test_refusals_replays_and_streams_count_like_any_request(limited: Visitor) -> None:
    key = await limited.account()
    assert (await limited.call("GET", "/v1/ops/queues", key)).status == 403
    made = await limited.create(key, once="k")
    assert (made.status, said(made)[1]) == (202, 1)
    replay = await limited.create(key, once="k")
    assert (replay.status, replay.headers["Idempotent-Replay"], said(replay)[1]) == (200, "true", 0)
    assert (await limited.call("GET", "/v1/events", key)).code == "rate_limited"
    async with open_stream(limited, "/v1/events", await limited.account()) as stream:
        assert stream.response.headers["RateLimit-Remaining"] == "2"


async def test_a_limited_request_did_nothing(limited: Visitor) -> None:
    key = await limited.account()
    for _ in range(3):
        await limited.call("GET", "/v1/balance", key)
    assert (await limited.create(key, once="k")).code == "rate_limited"
    other = await limited.account()
    assert (await limited.call("GET", "/v1/generations", other)).body["data"] == []
    fresh = await limited.create(other, once="k")
    assert (fresh.status, "Idempotent-Replay" in fresh.headers) == (202, False)


async def test_ops_keys_count_and_admin_keys_do_not(limited: Visitor) -> None:
    """Whoever runs the gateway must be able to revoke the key that floods it."""
    ops, admin = await limited.operator_key("ops"), await limited.operator_key("admin")
    statuses = [(await limited.call("GET", "/v1/ops/queues", ops)).status for _ in range(4)]
    assert statuses == [200, 200, 200, 429]
    for key in (limited.admin, admin):
        for _ in range(4):
            reply = await limited.call("GET", "/v1/ops/queues", key)
            assert (reply.status, "RateLimit-Limit" in reply.headers) == (200, False)


async def test_what_needs_no_key_is_not_counted(limited: Visitor) -> None:
    for _ in range(4):
        reply = await limited.call("GET", "/v1/rate-card")
        assert (reply.status, "RateLimit-Limit" in reply.headers) == (200, False)
    for _ in range(4):
        assert (await limited.call("GET", "/v1/balance", "fbx_" + "0" * 43)).status == 401
    assert not await limited.ledger.redis.keys(f"{keys.rate('')}*"), "an unknown key leaves nothing in the ledger"


async def test_without_the_setting_nothing_is_counted(gateway: Visitor) -> None:
    reply = await gateway.call("GET", "/v1/balance", await gateway.account())
    assert not set(HEADERS) & set(reply.headers)
    assert not await gateway.ledger.redis.keys(f"{keys.rate('')}*")


async def test_a_prediction_waits_for_its_keys_turn(redis_url: str, tmp_path: Path) -> None:
    """Version 1 of `replicate` repeats no create: it was refused, and the program broke."""
    async with open_gateway(redis_url, tmp_path, requests_per_minute=120) as gateway:
        key, asked = await gateway.account(), {"version": "farebox/sketch", "input": {"prompt": "x"}}
        assert (await gateway.call("GET", "/v1/balance", key)).status == 200
        (rate,) = await gateway.ledger.redis.keys("fb:rate:*")
        key_id = rate.decode().removeprefix("fb:rate:")

        while isinstance(await gateway.ledger.admit(key_id=key_id, per_minute=120), Admitted):
            pass
        made = await gateway.call("POST", "/replicate/v1/predictions", key, asked)
        assert (made.status, made.body["status"]) == (201, "starting")


async def test_without_a_ledger_no_request_is_admitted(own_redis: RedisServer, tmp_path: Path) -> None:
    async with open_gateway(own_redis.url, tmp_path, requests_per_minute=3) as gateway:
        key = await gateway.account()
        assert (await gateway.call("POST", "/v1/quotes", key, SKETCH)).status == 200
        own_redis.stop()
        reply = await gateway.call("POST", "/v1/quotes", key, SKETCH)
        assert (reply.status, reply.code) == (503, "ledger_unavailable")
        assert int(reply.headers["Retry-After"]) > 0


@pytest.mark.parametrize("wrong", [0, -1, "many", 1_000_001])
def test_a_rate_that_is_none_stops_the_start(wrong: object) -> None:
    with pytest.raises(SettingsError, match="FAREBOX_REQUESTS_PER_MINUTE"):
        load_settings(requests_per_minute=wrong)


async def test_an_account_has_so_many_streams_at_once(gateway: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "STREAMS_MAX", 2)
    monkeypatch.setattr(events, "READ_AGAIN_SECONDS", 0.05)
    key, other = await gateway.account(), await gateway.account("other")
    generation = await gateway.made(key)
    async with AsyncExitStack() as open_ones:
        for path in ("/v1/events", f"/v1/generations/{generation}/events"):
            await open_ones.enter_async_context(open_stream(gateway, path, key))
        for path in ("/v1/events", f"/v1/generations/{generation}/events"):
            refused = await gateway.call("GET", path, key)
            assert (refused.status, refused.code) == (429, "rate_limited")
            assert (refused.error["streams_max"], refused.headers["Retry-After"]) == (2, "5")
        async with open_stream(gateway, "/v1/events", other) as stream:
            assert await stream.next() is not None
        assert (await gateway.call("GET", "/v1/balance", key)).status == 200
    await until(lambda: not gateway.app[services.HUB].watched)
    async with open_stream(gateway, "/v1/events", key) as stream:
        assert await stream.next() is not None


async def test_operators_streams_are_counted_by_key(gateway: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "STREAMS_MAX", 1)
    first, second = await gateway.operator_key("ops"), await gateway.operator_key("ops")
    async with open_stream(gateway, "/v1/events", first), open_stream(gateway, "/v1/events", second):
        assert (await gateway.call("GET", "/v1/events", first)).code == "rate_limited"
        assert gateway.app[services.HUB].watched == 2


async def test_a_stream_that_was_never_opened_counts_for_nothing(gateway: Visitor, key: str) -> None:
    unknown = f"/v1/generations/gen_00{'a' * 24}/events"
    replies = await asyncio.gather(*(gateway.call("GET", unknown, key) for _ in range(5)))
    assert {reply.status for reply in replies} == {404}
    assert gateway.app[services.HUB].watched == 0
