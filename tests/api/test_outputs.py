"""Downloading outputs: signed URLs, ranges, caching, and headers that keep a browser from being fooled."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta

import obstore
import pytest
from yarl import URL

from gateway.api import services
from gateway.domain import Interval, operation_id
from tests.api.visitor import PICTURE, Visitor
from tests.cases import cases

ETAG = f'"{hashlib.sha256(PICTURE).hexdigest()}"'


async def _signed(gateway: Visitor, key: str, generation: str) -> str:
    """The output's own URL, at the address of the gateway under test."""
    body = (await gateway.call("GET", f"/v1/generations/{generation}", key)).body
    url = URL(body["outputs"][0]["url"])
    return gateway.address + url.raw_path_qs


async def test_a_signed_url_needs_no_key(gateway: Visitor, key: str) -> None:
    url = await _signed(gateway, key, await gateway.finished(key))
    reply = await gateway.call("GET", url)
    assert (reply.status, reply.raw) == (200, PICTURE)


async def test_the_accounts_key_opens_it_without_a_signature(gateway: Visitor) -> None:
    key, stranger = await gateway.account(), await gateway.account("other")
    generation = await gateway.finished(key)
    path = f"/v1/generations/{generation}/outputs/0"
    assert (await gateway.call("GET", path, key)).raw == PICTURE
    assert (await gateway.call("GET", path, stranger)).status == 404
    assert (await gateway.call("GET", path)).status == 401


async def test_an_output_has_its_exact_content_type(gateway: Visitor, key: str) -> None:
    generation = await gateway.finished(key)
    headers = (await gateway.call("GET", await _signed(gateway, key, generation))).headers
    assert headers["Content-Type"] == "image/png"
    assert headers["Content-Length"] == str(len(PICTURE))
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Content-Security-Policy"] == "sandbox; default-src 'none'"
    assert headers["Content-Disposition"] == f'inline; filename="{generation}-0.png"'
    assert headers["Cache-Control"].startswith("private")
    assert headers["ETag"] == ETAG
    assert headers["Accept-Ranges"] == "bytes"


@cases(
    ("content_type", "served", "shown"),
    [
        ("text/plain", "text/plain; charset=utf-8", "inline; {}-0.txt"),
        ("audio/mpeg", "audio/mpeg", "inline; {}-0.mp3"),
        ("application/pdf", "application/pdf", "attachment; {}-0.pdf"),
        ("application/octet-stream", "application/octet-stream", "attachment; {}-0.bin"),
    ],
)
async def test_no_browser_runs_an_output_of_any_kind(
    gateway: Visitor, content_type: str, served: str, shown: str
) -> None:
    key = await gateway.account()
    generation = await gateway.made(key)
    await gateway.begin(generation)
    await gateway.deliver(generation, data=b"<script>alert(1)</script>", content_type=content_type)
    await gateway.settle(generation)
    headers = (await gateway.call("GET", await _signed(gateway, key, generation))).headers
    assert headers["Content-Type"] == served
    shows, _, name = shown.partition("; ")
    assert headers["Content-Disposition"] == f'{shows}; filename="{name.format(generation)}"'
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Content-Security-Policy"] == "sandbox; default-src 'none'"


@cases(
    ("asked", "start", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=10-19", 10, 20),
        ("bytes=1000-", 1000, 1024),
        ("bytes=-24", 1000, 1024),
        ("bytes=-5000", 0, 1024),
        ("bytes=1000-9999", 1000, 1024),
    ],
)
async def test_a_range_is_exactly_those_bytes(gateway: Visitor, key: str, asked: str, start: int, end: int) -> None:
    url = await _signed(gateway, key, await gateway.finished(key))
    reply = await gateway.call("GET", url, headers={"Range": asked})
    assert (reply.status, reply.raw) == (206, PICTURE[start:end])
    assert reply.headers["Content-Range"] == f"bytes {start}-{end - 1}/1024"


@cases("asked", ["bytes=1024-", "bytes=5000-6000", "bytes=-0"])
async def test_416_a_range_beyond_the_end_says_how_long_it_is(gateway: Visitor, key: str, asked: str) -> None:
    url = await _signed(gateway, key, await gateway.finished(key))
    reply = await gateway.call("GET", url, headers={"Range": asked})
    assert (reply.status, reply.code) == (416, "range_not_satisfiable")
    assert reply.headers["Content-Range"] == "bytes */1024"
    assert "1,024 bytes" in reply.message


@cases("asked", ["bytes=0-1,5-6", "lines=1-2", "bytes=9-2", "bytes=x"])
async def test_what_is_no_single_range_is_answered_with_the_whole(gateway: Visitor, key: str, asked: str) -> None:
    url = await _signed(gateway, key, await gateway.finished(key))
    reply = await gateway.call("GET", url, headers={"Range": asked})
    assert (reply.status, reply.raw) == (200, PICTURE)


async def test_what_a_browser_has_is_not_sent_again(gateway: Visitor, key: str) -> None:
    url = await _signed(gateway, key, await gateway.finished(key))
    for names in (ETAG, f"W/{ETAG}", f'"other", {ETAG}', "*"):
        reply = await gateway.call("GET", url, headers={"If-None-Match": names})
        assert (reply.status, reply.raw) == (304, b"")
    assert (await gateway.call("GET", url, headers={"If-None-Match": '"other"'})).status == 200
    stale = {"Range": "bytes=0-9", "If-Range": '"other"'}
    assert (await gateway.call("GET", url, headers=stale)).status == 200
    fresh = {"Range": "bytes=0-9", "If-Range": ETAG}
    assert (await gateway.call("GET", url, headers=fresh)).status == 206


async def test_head_has_the_headers_and_no_body(gateway: Visitor, key: str) -> None:
    url = await _signed(gateway, key, await gateway.finished(key))
    reply = await gateway.call("HEAD", url)
    assert (reply.status, reply.raw, reply.headers["Content-Length"]) == (200, b"", "1024")
    reply = await gateway.call("HEAD", url, headers={"Range": "bytes=0-9"})
    assert (reply.status, reply.headers["Content-Range"]) == (206, "bytes 0-9/1024")


async def test_403_a_changed_or_old_link_says_where_to_get_a_fresh_one(gateway: Visitor, key: str) -> None:
    generation = await gateway.finished(key)
    url = URL(await _signed(gateway, key, generation))
    for changed in (
        url.update_query(signature="x"),
        url.update_query(expires="9999999999"),
        url.without_query_params("expires"),
        url.with_path(url.path.replace("outputs/0", "outputs/1")).with_query(url.query),
    ):
        reply = await gateway.call("GET", str(changed))
        assert (reply.status, reply.code) == (403, "forbidden")
        assert "Get the generation" in reply.message
    links = gateway.app[services.LINKS]
    old = type(links)(gateway.app[services.SETTINGS].secret("signing-key"), gateway.address, lifetime_seconds=-7200)
    reply = await gateway.call("GET", old.url(generation, 0))
    assert (reply.status, reply.code) == (403, "forbidden")
    assert "has expired" in reply.message


async def test_404_an_output_that_is_not_there_says_why(gateway: Visitor, key: str) -> None:
    generation = await gateway.finished(key)
    for index in ("1", "x", "9999"):
        reply = await gateway.call("GET", f"/v1/generations/{generation}/outputs/{index}", key)
        assert (reply.status, reply.code) == (404, "not_found")
    url = await _signed(gateway, key, generation)
    await gateway.app[services.OUTPUTS].delete_generations([generation])
    for method in ("GET", "HEAD"):
        assert (await gateway.call(method, url)).status == 404
    await gateway.ledger.outputs_deleted(generation=generation)
    body = (await gateway.call("GET", f"/v1/generations/{generation}", key)).body
    assert body["outputs_deleted"] is True
    assert (body["outputs"][0]["url"], body["outputs"][0]["deleted"]) == (None, True)
    assert "deleted" in (await gateway.call("GET", url)).message


async def test_a_generation_says_until_when_its_plan_keeps_its_outputs(gateway: Visitor, key: str) -> None:
    await gateway.ledger.subscribe(account="acme", plan="standard", interval=Interval.MONTHLY, operation=operation_id())
    generation = await gateway.made(key)
    assert "outputs_expire_at" not in (await gateway.call("GET", f"/v1/generations/{generation}", key)).body
    await gateway.finish(generation)
    body = (await gateway.call("GET", f"/v1/generations/{generation}", key)).body
    kept = datetime.fromisoformat(body["outputs_expire_at"]) - datetime.fromisoformat(body["finished_at"])
    assert kept == timedelta(days=90)
    await gateway.ledger.outputs_deleted(generation=generation)
    assert "outputs_expire_at" not in (await gateway.call("GET", f"/v1/generations/{generation}", key)).body


async def test_an_output_can_be_fetched_as_soon_as_it_is_delivered(gateway: Visitor, key: str) -> None:
    generation = await gateway.made(key, outputs=2)
    await gateway.begin(generation)
    await gateway.deliver(generation)
    assert (await gateway.call("GET", await _signed(gateway, key, generation))).raw == PICTURE


async def test_a_store_that_is_away_is_a_503_that_names_it(gateway: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bucket that did not answer was a 500."""

    async def away(*_: object, **__: object) -> None:
        raise obstore.exceptions.GenericError("no route to the bucket")

    key = await gateway.account()
    generation = await gateway.finished(key)
    for call in ("head_async", "get_async"):
        monkeypatch.setattr(obstore, call, away)
    reply = await gateway.call("GET", f"/v1/generations/{generation}/outputs/0", key)
    assert (reply.status, reply.code, reply.headers["Retry-After"]) == (503, "store_unavailable", "30")
    assert "ledger" not in reply.message
