"""What a request may hold: each limit, the answer beyond it, and that nothing odd gets past the envelope."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from gateway.api import limits
from gateway.outputs.data_urls import INPUT_BYTES_MAX
from gateway.pricing import measures
from gateway.schemas import base
from gateway.schemas import generations as schemas
from tests.api.visitor import SKETCH, Reply, Visitor, open_gateway
from tests.cases import cases

PNG = b"\x89PNG\r\n\x1a\n"


async def raw(gateway: Visitor, request: bytes) -> Reply:
    """The answer to bytes that are sent as they are, on a connection of their own."""
    host, port = gateway.address.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        writer.write(request)
        head, _, rest = (await reader.readuntil(b"\r\n\r\n")).partition(b"\r\n")
        lines = [line.decode().partition(": ") for line in rest.split(b"\r\n") if line]
        headers = {name: value for name, _, value in lines}
        return Reply(int(head.split()[1]), headers, await reader.readexactly(int(headers["Content-Length"])))
    finally:
        writer.transport.abort()


def post(key: str, body: bytes, *headers: bytes, path: bytes = b"/v1/quotes") -> bytes:
    lines = [b"POST " + path + b" HTTP/1.1", b"Host: x", b"Authorization: Bearer " + key.encode(), *headers]
    if not any(header.lower().startswith((b"content-length", b"transfer-encoding")) for header in headers):
        lines.append(b"Content-Length: %d" % len(body))
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def get(path: bytes, *headers: bytes) -> bytes:
    return b"\r\n".join([b"GET " + path + b" HTTP/1.1", b"Host: x", *headers]) + b"\r\n\r\n"


def check_envelope(reply: Reply, status: int, code: str) -> None:
    assert (reply.status, reply.code) == (status, code), reply.raw
    assert reply.headers["X-Request-Id"] == reply.error["request_id"]
    assert reply.headers["X-Content-Type-Options"] == "nosniff"
    assert reply.headers["Server"] == "farebox"
    assert "aiohttp" not in str(reply.headers) + reply.message
    assert "Traceback" not in reply.message


async def test_no_response_names_the_library_that_sends_it(gateway: Visitor, key: str) -> None:
    """aiohttp sets its own `Server` before our headers are added."""
    for path in ("/healthz", "/", "/v1/balance", "/v1/nothing"):
        assert (await gateway.call("GET", path, key)).headers["Server"] == "farebox", path


# --- the head ---------------------------------------------------------------------------------------------------------


async def test_a_long_first_line_or_header_or_too_many_are_431(gateway: Visitor) -> None:
    fits = limits.HEADER_MAX_BYTES - 100
    assert (await raw(gateway, get(b"/healthz?" + b"a" * fits))).status == 200
    assert (await raw(gateway, get(b"/healthz", b"X-Long: " + b"a" * fits))).status == 200
    assert (
        await raw(gateway, get(b"/healthz", *(b"X-%d: 1" % n for n in range(limits.HEADERS_MAX - 2))))
    ).status == 200
    for request in (
        get(b"/healthz?" + b"a" * limits.HEADER_MAX_BYTES),
        get(b"/healthz", b"X-Long: " + b"a" * (limits.HEADER_MAX_BYTES + 1)),
        get(b"/healthz", *(b"X-%d: 1" % n for n in range(limits.HEADERS_MAX))),
    ):
        check_envelope(await raw(gateway, request), 431, "headers_too_large")


@cases(
    "request_bytes",
    [
        b"\x16\x03\x01\x02 hello\r\n\r\n",
        b"hello\r\n\r\n",
        b"GET /healthz HTTP/9.9\r\nHost: x\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\n\r\n",
        get(b"/healthz", b"X y: z"),
        get(b"/healthz", b"X: \x00"),
        get(b"/\xff\xfe"),
        get(b"http://[::1/healthz"),
        get(b"/healthz", b"Expect: miracles"),
        post("fbx_", b"0\r\n\r\n", b"Content-Length: 5", b"Transfer-Encoding: chunked"),
        post("fbx_", b"", b"Content-Length: -5"),
        post("fbx_", b"", b"Content-Length: 1", b"Content-Length: 2"),
        post("fbx_", b"zz\r\n", b"Transfer-Encoding: chunked"),
    ],
)
async def test_what_is_not_http_is_400_in_the_envelope_and_repeats_nothing(
    gateway: Visitor, request_bytes: bytes
) -> None:
    """aiohttp's own answer repeats the header that it stumbled over, and its log has it with a traceback."""
    secret = b"fbx_not-to-be-repeated"
    reply = await raw(gateway, request_bytes.replace(b"\r\n\r\n", b"\r\nX-Secret: " + secret + b"\r\n\r\n", 1))
    check_envelope(reply, 400, "invalid_http")
    assert secret not in reply.raw


async def test_a_key_that_is_not_ascii_is_an_invalid_key(gateway: Visitor) -> None:
    """It was a 500: what is no UTF-8 in a header cannot be encoded, so it had no digest."""
    for sent in (b"Bearer \xff\xfe", b"Bearer fbx_\xff\xfe", "Bearer fbx_ключ".encode(), b"Bearer fbx_" + b"x" * 300):
        check_envelope(await raw(gateway, get(b"/v1/balance", b"Authorization: " + sent)), 401, "invalid_key")


async def test_odd_paths_and_queries_are_not_found_or_refused(gateway: Visitor) -> None:
    key = b"Authorization: Bearer " + (await gateway.account()).encode()
    for path in (
        b"/v1/generations/%00", b"/v1/generations/%ff%fe", b"/%ff", b"/v1/../v1/balance", b"/v1/%2e%2e/v1/balance",
        b"/static/../app.py", b"/static/%2e%2e/%2e%2e/app.py", b"/static/..%2f..%2fapp.py", b"//v1/balance",
        b"/v1//balance", b"/v1/balance/", b"/v1/generations/gen_00" + b"a" * 24 + b"%0a",
    ):  # fmt: skip
        reply = await raw(gateway, get(path, key))
        check_envelope(reply, 404, "not_found")
    for query in (b"limit=%ff%00", b"limit=1&limit=1", b"%00=1", b"&&limit=&", b"limit[]=1", b"limit=1e3"):
        check_envelope(await raw(gateway, get(b"/v1/generations?" + query, key)), 422, "invalid_request")


# --- the body ---------------------------------------------------------------------------------------------------------


async def test_a_body_above_1_mib_is_413_however_it_is_packed(gateway: Visitor, key: str) -> None:
    fits = json.dumps(SKETCH).encode().ljust(limits.BODY_MAX_BYTES)
    assert (await raw(gateway, post(key, fits))).status == 200
    for request in (
        post(key, fits + b" "),
        post(key, b"%x\r\n%b\r\n0\r\n\r\n" % (len(fits) + 1, fits + b" "), b"Transfer-Encoding: chunked"),
        post(key, gzip.compress(b" " * 50_000_000), b"Content-Encoding: gzip"),
    ):
        check_envelope(await raw(gateway, request), 413, "body_too_large")


async def test_a_body_that_cannot_be_unpacked_is_400(gateway: Visitor, key: str) -> None:
    """It was a 500, with two tracebacks in the log for each."""
    for packing in (b"gzip", b"deflate"):
        reply = await raw(gateway, post(key, b"not packed", b"Content-Encoding: " + packing))
        check_envelope(reply, 400, "invalid_http")
    check_envelope(await raw(gateway, post(key, b"{}", b"Content-Encoding: unheard-of")), 422, "invalid_request")


def nested(depth: int, opening: str, closing: str) -> bytes:
    inside = json.dumps(SKETCH | {"metadata": {"a": "?"}})
    return inside.replace('"?"', opening * depth + "1" + closing * depth).encode()


@cases(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
@cases("headers", [(), (b"Idempotency-Key: k",)])
async def test_json_may_be_200_deep(gateway: Visitor, opening: str, closing: str, headers: tuple[bytes, ...]) -> None:
    key = await gateway.account(f"deep-{ord(opening[0])}-{len(headers)}")
    body_and_metadata = 2
    fits = nested(limits.JSON_DEPTH_MAX - body_and_metadata, opening, closing)
    accepted = await raw(gateway, post(key, fits, *headers, path=b"/v1/generations"))
    assert accepted.status == 202, accepted.raw
    shown = await gateway.call("GET", f"/v1/generations/{accepted.body['id']}", key)
    assert shown.body["metadata"] == json.loads(fits)["metadata"]
    for depth in (limits.JSON_DEPTH_MAX - body_and_metadata + 1, 100_000):
        reply = await raw(gateway, post(key, nested(depth, opening, closing), *headers, path=b"/v1/generations"))
        check_envelope(reply, 400, "invalid_json")
        assert "recursion limit" in reply.message


@cases(
    "member",
    [
        '"prompt": "two"',
        r'"pr\u006fmpt": "two"',
        '"settings": {"a": 1, "a": 1}',
        '"metadata": {"b": [{"a": 1, "a": 2}]}',
    ],
)
@cases("headers", [(), (b"Idempotency-Key: k",)])
async def test_a_member_given_twice_is_refused_at_every_depth(
    gateway: Visitor, member: str, headers: tuple[bytes, ...]
) -> None:
    """The last one counted. A proxy that looked at the first one had let through what it never saw."""
    body = (json.dumps(SKETCH)[:-1] + f", {member}}}").encode()
    reply = await raw(gateway, post(await gateway.account(), body, *headers, path=b"/v1/generations"))
    check_envelope(reply, 400, "invalid_json")
    assert "repeats" in reply.message


def at_the_limits() -> list[tuple[str, dict[str, Any], dict[str, Any]]]:
    """For each limit of a field: what fits, and what is one too many."""
    url = {"kind": "image", "url": "https://example.com/a.png"}
    long_url = "https://example.com/".ljust(schemas.URL_MAX_CHARACTERS, "a")
    prompt = "ü" * measures.PROMPT_MAX_CHARACTERS
    full = {"a": "x" * (base.METADATA_MAX_BYTES - len('{"a":""}'))}
    return [
        ("prompt", {"prompt": prompt}, {"prompt": prompt + "ü"}),
        ("metadata", {"metadata": full}, {"metadata": {"a": full["a"] + "x"}}),
        ("inputs", {"inputs": [url] * measures.INPUTS_MAX}, {"inputs": [url] * (measures.INPUTS_MAX + 1)}),
        ("inputs.0.url", {"inputs": [url | {"url": long_url}]}, {"inputs": [url | {"url": long_url + "a"}]}),
        ("outputs", {"outputs": 1}, {"outputs": schemas.OUTPUTS_MAX + 1}),
        ("tool", {}, {"tool": "x" * 65}),
        ("model", {}, {"model": "x" * 129}),
        ("settings", {}, {"settings": {f"s{number}": 1 for number in range(65)}}),
        ("quote", {}, {"quote": "x" * 16_385}),
    ]  # fmt: skip


@cases(("path", "fits", "too_much"), at_the_limits())
async def test_422_each_field_has_its_limit(
    gateway: Visitor, key: str, path: str, fits: dict[str, Any], too_much: dict[str, Any]
) -> None:
    accepted = await gateway.call("POST", "/v1/quotes", key, SKETCH | fits)
    refused_for_its_size = accepted.status == 422 and accepted.code == "invalid_request"
    assert not refused_for_its_size, accepted.raw
    reply = await gateway.create(key, **too_much)
    check_envelope(reply, 422, "invalid_request")
    assert reply.fields == [path]


async def test_a_data_input_fits_into_the_body_or_is_413(gateway: Visitor) -> None:
    assert INPUT_BYTES_MAX >= limits.BODY_MAX_BYTES * 3 // 4, "the body's limit is the one that is met"
    key = await gateway.account()
    largest = limits.BODY_MAX_BYTES * 3 // 4 - 1000
    for size, status in ((largest, 202), (largest + 2000, 413)):
        url = "data:image/png;base64," + base64.b64encode(PNG.ljust(size, b"x")).decode()
        reply = await gateway.create(key, inputs=[{"kind": "image", "url": url}])
        assert reply.status == status, reply.raw[:200]


# --- inputs are never fetched -----------------------------------------------------------------------------------------


@pytest.fixture
async def listener() -> AsyncIterator[tuple[int, list[bytes]]]:
    """A server of this machine that must hear nothing: its port, and what it heard."""
    heard: list[bytes] = []

    async def hear(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.read(1000))
        writer.close()

    server = await asyncio.start_server(hear, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1], heard


@cases(
    "url",
    [
        "http://127.0.0.1:{port}/a.png", "HTTPS://127.0.0.1:{port}/a.png", "Https://127.0.0.1:{port}/a.png",
        " https://127.0.0.1:{port}/a.png", "https://127.0.0.1:{port}/a b.png", "https://127.0.0.1:{port}/\na.png",
        "https://127.0.0.1:{port}/a.png\n", "https://user@127.0.0.1:{port}/", "https://user:word@127.0.0.1:{port}/",
        "https://example.com\\@127.0.0.1:{port}/", "https://\t127.0.0.1:{port}/", "https:/127.0.0.1:{port}/",
        "https:127.0.0.1:{port}", "//127.0.0.1:{port}/a.png", "127.0.0.1:{port}", "https://", "https:///a.png",
        "https://?a", "file:///etc/passwd", "ftp://127.0.0.1:{port}/a.png", "javascript:fetch('http://127.0.0.1:{port}')",
        "gopher://127.0.0.1:{port}/", "blob:https://127.0.0.1:{port}/1", "data :image/png;base64,AA==",
        "DATA:image/png;base64,AA==", "jar:https://127.0.0.1:{port}/a!/b", "", "\x00https://127.0.0.1:{port}/",
    ],
)  # fmt: skip
async def test_only_https_and_data_are_taken(gateway: Visitor, listener: tuple[int, list[bytes]], url: str) -> None:
    port, heard = listener
    reply = await gateway.create(await gateway.account(), inputs=[{"kind": "image", "url": url.format(port=port)}])
    check_envelope(reply, 422, "invalid_request")
    assert reply.fields == ["inputs.0.url"]
    assert heard == []


async def test_an_https_input_is_passed_on_as_it_is_and_never_fetched(
    redis_url: str, tmp_path: Path, listener: tuple[int, list[bytes]]
) -> None:
    port, heard = listener
    urls = [f"https://127.0.0.1:{port}/a.png", f"https://localhost:{port}/%20?x=@#@", "https://example.com/a%2Fb~%7E"]
    inputs = [{"kind": "image", "url": url} for url in urls]
    async with open_gateway(redis_url, tmp_path, input_networks="127.0.0.0/8") as gateway:
        key = await gateway.account()
        assert (await gateway.call("POST", "/v1/quotes", key, SKETCH | {"inputs": inputs})).status == 200
        generation = await gateway.made(key, inputs=inputs)
        shown = await gateway.call("GET", f"/v1/generations/{generation}", key)
    assert [one["url"] for one in shown.body["inputs"]] == urls
    assert heard == []


@cases("url", ["https://127.0.0.1/a.png", "https://metadata.google.internal/"])  # more: tests/unit/test_addresses.py
async def test_an_input_in_a_private_network_is_refused_before_anything_is_reserved(gateway: Visitor, url: str) -> None:
    """Hosted providers were handed them, and some fetch what they are handed."""
    key = await gateway.account()
    inputs = [
        {"kind": "image", "url": "data:image/png;base64," + base64.b64encode(PNG).decode()},
        {"kind": "image", "url": url},
    ]
    for path in ("/v1/generations", "/v1/quotes"):
        reply = await gateway.call("POST", path, key, SKETCH | {"inputs": inputs})
        check_envelope(reply, 422, "invalid_request")
        assert reply.fields == ["inputs.1.url"]
        assert "public address" in reply.message
