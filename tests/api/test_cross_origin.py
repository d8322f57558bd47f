"""Browsers on pages of other origins: those that are named may call the API, with a key and never with a cookie."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.api.access.sessions import COOKIE
from gateway.api.routes import ROUTES
from gateway.errors import SettingsError
from gateway.outside.cors import parse_origins
from gateway.settings import load_settings
from tests.api.visitor import Reply, Visitor, open_gateway
from tests.cases import cases

APP = "https://app.example.com"
LOCAL = "http://localhost:5173"
OPEN = "Access-Control-Allow-Origin"


@pytest.fixture
async def opened(redis_url: str, tmp_path: Path) -> AsyncIterator[Visitor]:
    """A gateway that two origins may call."""
    async with open_gateway(redis_url, tmp_path, cors_origins=f"{APP}, {LOCAL}", requests_per_minute=1000) as visitor:
        yield visitor


async def preflight(gateway: Visitor, path: str, origin: str, method: str = "POST") -> Reply:
    """What a browser asks before a call that is not simple."""
    asked = {"Origin": origin, "Access-Control-Request-Method": method}
    asked["Access-Control-Request-Headers"] = "authorization,content-type,idempotency-key"
    return await gateway.call("OPTIONS", path, headers=asked)


async def test_every_call_of_the_api_answers_a_preflight_and_nothing_else_does(opened: Visitor) -> None:
    for route in ROUTES:
        reply = await preflight(opened, route.path.replace("{", "").replace("}", ""), APP, route.method)
        if not route.path.startswith("/v1/"):
            assert (reply.status, OPEN in reply.headers) == (405, False), route.path
            continue
        assert (reply.status, reply.raw, reply.headers[OPEN]) == (204, b"", APP)
        assert route.method in reply.headers["Access-Control-Allow-Methods"].split(", ")
        taken = reply.headers["Access-Control-Allow-Headers"].split(", ")
        assert {"Authorization", "Content-Type", "Idempotency-Key", "Last-Event-ID", "X-Farebox-Reason"} <= set(taken)
    for path in ("/", "/session"):
        assert OPEN not in (await preflight(opened, path, APP)).headers, path
    assert (await preflight(opened, "/v1/nothing", APP)).status == 404


@cases(
    "origin", ["https://app.example.com.evil.org", "http://app.example.com", "https://app.example.com:8443", "null", ""]
)
async def test_an_origin_that_is_not_named_is_as_before(opened: Visitor, origin: str) -> None:
    refused = await preflight(opened, "/v1/generations", origin)
    assert (refused.status, refused.code) == (405, "method_not_allowed")
    key = await opened.account()
    answered = await opened.call("GET", "/v1/balance", key, headers={"Origin": origin})
    assert answered.status == 200
    for reply in (refused, answered):
        assert [name for name in reply.headers if name.startswith("Access-Control-")] == []
        assert reply.headers["Vary"] == "Origin"


async def test_without_the_setting_nothing_is_open(gateway: Visitor) -> None:
    assert (await preflight(gateway, "/v1/generations", APP)).status == 405
    answered = await gateway.call("GET", "/v1/plans", headers={"Origin": APP})
    assert [name for name in answered.headers if name.startswith("Access-Control-") or name == "Vary"] == []


async def test_answers_refusals_and_files_are_open_to_a_named_origin(opened: Visitor) -> None:
    key = await opened.account()
    origin = {"Origin": LOCAL}
    file = f"/v1/generations/{await opened.finished(key)}/outputs/0"
    replies = [
        await opened.call("GET", "/v1/balance", key, headers=origin),
        await opened.call("GET", "/v1/balance", "fbx_wrong", headers=origin),
        await opened.call("GET", "/v1/nothing", key, headers=origin),
        await opened.call("GET", file, key, headers=origin | {"Range": "bytes=0-9"}),
        await opened.call("POST", "/v1/uploads", key, raw=b"words", headers=origin),
    ]
    assert [reply.status for reply in replies] == [200, 401, 404, 206, 422]
    for reply in replies:
        assert (reply.headers[OPEN], reply.headers["Vary"]) == (LOCAL, "Origin")
        assert "Access-Control-Allow-Credentials" not in reply.headers
    shown = set(replies[0].headers["Access-Control-Expose-Headers"].split(", "))
    assert {"X-Request-Id", "Retry-After", "RateLimit-Remaining", "Content-Range"} <= shown


async def test_what_a_cookie_opens_is_for_our_own_pages(opened: Visitor) -> None:
    key = await opened.account()
    signed_in = await opened.call("POST", "/session", body={"key": key}, headers={"Origin": opened.address})
    cookie = signed_in.headers["Set-Cookie"].partition(";")[0]
    assert cookie.startswith(f"{COOKIE}=")
    sent = {"Cookie": cookie, "Origin": APP}
    answered = await opened.call("GET", "/v1/balance", headers=sent)
    assert (answered.status, OPEN in answered.headers) == (200, False)
    with_key = await opened.call("GET", "/v1/balance", key, headers=sent)
    assert with_key.headers[OPEN] == APP
    for path in ("/session", "/", "/docs"):
        assert OPEN not in (await opened.call("GET", path, headers={"Origin": APP})).headers


@cases(
    ("entry", "why"),
    [
        ("*", "wildcard"),
        ("https://*.example.com", "wildcard"),
        ("app.example.com", "does not start with"),
        ("null", "does not start with"),
        ("https://", "does not start with"),
        ("https://app.example.com/", "must have only"),
        ("https://app.example.com/shop", "must have only"),
        ("https://me@app.example.com", "must have only"),
        ("https://app.example.com?", "must have only"),
        ("ftp://app.example.com", "does not start with"),
        ("https://app.example.com,", "an empty entry"),
        ("https://app.example.com:port", "ort"),
        ("https://bücher.example", "xn--"),
        ("https://app.example.com https://b.example.com", "must have only"),
    ],
)
def test_an_entry_that_no_browser_would_send_stops_the_start(entry: str, why: str) -> None:
    with pytest.raises(SettingsError, match=f"^FAREBOX_CORS_ORIGINS: must be comma-separated origins such as .*{why}"):
        load_settings(cors_origins=entry)


def test_origins_are_compared_as_browsers_write_them() -> None:
    text = "HTTPS://App.Example.com:443, http://[::1]:5173,http://localhost:80"
    assert parse_origins(text) == {"https://app.example.com", "http://[::1]:5173", "http://localhost"}
    assert parse_origins(" ") == frozenset()
