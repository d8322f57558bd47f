"""Work that a request can cause beside its size: every route against absurd bodies, queries and headers.

What is counted is what the gateway does, function calls and bytes answered, and not how long that takes.
"""

from __future__ import annotations

import ast
import asyncio
import cProfile
import json
from pathlib import Path

import pytest
from aiohttp import web

import gateway
from gateway.api import limits
from gateway.api.http.route import Route
from gateway.api.routes import ROUTES
from gateway.domain import Scope
from gateway.facades.routes import FACADE_ROUTES
from tests.api.visitor import SKETCH, Reply, Visitor
from tests.lengths import LONG, some_of

MIB = 1024 * 1024
# Of the 1 MiB that a body may have; in the short form enough for 12 times the values that it may have.
ABSURD_BYTES = (256 if LONG else 128) * 1024
# A body may have 10,000 values, and a value takes a dozen calls at most. 20,000 unknown members took 240,000, and those
# of a body twice as large twice as many.
CALLS_MAX = 150_000
ANSWER_MAX_BYTES = 16 * 1024  # it was 4.6 MB

NAMES = {
    "app": "fal-ai/flux/dev",
    "account": "acme",
    "generation": "gen_00" + "a" * 24,
    "index": "0",
    "webhook": "whk_" + "a" * 24,
    "event": "evt_" + "a" * 24,
    "delivery": "evt_" + "0" * 26,
    "key": "key_none",
    "member": "mem_none",
    "provider": "replicate",
    "kind": "tool",
    "tool": "image",
    "token": "none",
    "checkout": "chk_" + "a" * 24,
    "digest": "none",
    "name": "none.js",
    "model": "none",
    "owner": "farebox",
    "prediction": "gen_00" + "a" * 24,
    "version": "0" * 64,
    "file": "none",
    "video": "gen_00" + "a" * 24,
    "call": "ledger.time",
    "object": "outputs:00:none",
}


def fill(what: str, most: int) -> str:
    """As much of it as fits, with commas between; `%d` in it is a number."""
    made: list[str] = []
    size = 2
    while size < most - 40:
        made.append(what.replace("%d", str(len(made))))
        size += len(made[-1]) + 1
    return ",".join(made)


def absurd_bodies(most: int) -> dict[str, str]:
    """Each as large as it may be."""
    most -= 1_000
    room = most - 100
    return {
        "members": "{" + fill('"a%d":1', most) + "}",
        "objects": "[" + fill("{}", most) + "]",
        "digits": "[" + fill("1", most) + "]",
        "items": '{"items":[' + fill('{"tool":1}', room) + "]}",
        "settings of items": '{"items":[' + fill('{"settings":{' + fill('"s%d":[]', 400) + "}}", room) + "]}",
        "settings": '{"settings":{' + fill('"s%d":"x"', room) + "}}",
        "inputs": '{"inputs":[' + fill("0", room) + "]}",
        "events": '{"events":[' + fill('"x"', room) + "]}",
        "thresholds": '{"thresholds":[' + fill("9", room) + "]}",
        "metadata": '{"metadata":{' + fill('"a%d":[[1]]', room) + "}}",
        "numbers": '{"metadata":[' + fill("1e999", room) + "]}",
        "a name": '{"' + "a" * room + '":1}',
        "a text": '{"prompt":"' + "a" * room + '"}',
        "a number": '{"outputs":' + "9" * room + "}",
        "a fraction": '{"max_credits":0.' + "9" * room + "}",
        "an exponent": '{"credits":1e' + "9" * room + "}",
        "depth of lists": "[" * room,
        "depth of objects": '{"a":' * (room // 5),
        "a member many times": "{" + fill('"a":1', most) + "}",
        "a data URL": '{"inputs":[{"kind":"image","url":"data:' + ";" * room + '"}]}',
    }


OF_EACH_KIND = ("members", "settings of items", "numbers", "a text", "an exponent", "depth of objects")


async def exchange(gateway: Visitor, request: bytes) -> tuple[Reply, int]:
    """The answer to bytes on a connection of their own, of a stream its head alone; how many calls it took."""
    host, port = gateway.address.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port), limit=2 * MIB)
    try:
        with cProfile.Profile() as profile:  # of this thread, which is the gateway's and this client's
            writer.write(request)
            head, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().splitlines()
            headers = {name: value for name, _, value in (line.partition(": ") for line in lines if line)}
            body = await reader.readexactly(int(headers.get("Content-Length", 0)))
        calls = sum(function.callcount for function in profile.getstats())
        return Reply(int(head.split()[1]), headers, body), calls
    finally:
        writer.transport.abort()


def request_bytes(method: str, path: str, key: str | None, body: bytes = b"", *headers: str) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: x", f"Content-Length: {len(body)}", *headers]
    if key is not None:
        lines.append(f"Authorization: Bearer {key}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def all_routes(app: web.Application) -> list[tuple[str, str]]:
    """Every method and path of the application: the API's, the session's, the console's."""
    found = {
        (route.method, route.resource.canonical.format_map(NAMES))
        for route in app.router.routes()
        if route.resource is not None
    }
    return sorted(found)


def writing_routes(app: web.Application) -> list[tuple[str, str]]:
    """Those that may have a body; last the one after which the account's keys are gone."""
    found = [(method, path) for method, path in all_routes(app) if method not in {"GET", "HEAD"}]
    return sorted(found, key=lambda route: route[1].endswith("/person"))


def by_path() -> dict[tuple[str, str], Route]:
    return {(route.method, route.named_path.format_map(NAMES)): route for route in (*ROUTES, *FACADE_ROUTES)}


async def keys_of(gateway: Visitor) -> dict[Scope, str]:
    account = await gateway.owner()
    return {Scope.ACCOUNT: account, Scope.OPS: await gateway.operator_key("ops"), Scope.ADMIN: gateway.admin}


def check(reply: Reply, calls: int, about: str) -> None:
    assert reply.status < 500, f"{about}: {reply.raw[:300]!r}"
    assert calls <= CALLS_MAX, f"{about}: {calls:,} calls"
    if reply.status >= 400:
        assert len(reply.raw) <= ANSWER_MAX_BYTES, f"{about}: {len(reply.raw):,} bytes are answered"
    if reply.status >= 400 and reply.headers["Content-Type"].startswith("application/json"):
        assert len(reply.error.get("fields", [])) <= limits.FAULTS_MAX


@pytest.mark.timeout(900)
@pytest.mark.parametrize("headers", [(), ("Idempotency-Key: k",)], ids=["plain", "idempotent"])
async def test_every_route_takes_bounded_work_for_an_absurd_body(gateway: Visitor, headers: tuple[str, ...]) -> None:
    """Under an idempotency key one body of each kind: the key is about its bytes, members, values, texts and depth.

    In the short form these are sent under a key only, which adds to the work, and each route gets two; of the others
    too. All are read by the same code: `test_bodies_and_queries_are_read_in_one_place`.
    """
    keys = await keys_of(gateway)
    routes = by_path()
    bodies = {name: text.encode() for name, text in absurd_bodies(ABSURD_BYTES).items()}
    if headers or not LONG:
        bodies = {name: body for name, body in bodies.items() if (name in OF_EACH_KIND) == bool(headers)}
    for number, (method, path) in enumerate(writing_routes(gateway.app)):
        route = routes.get((method, path))
        key = next((keys[scope] for scope in keys if route is not None and scope in route.scopes), None)
        for name, body in some_of(bodies.items(), number, len(bodies) // 2):
            reply, calls = await exchange(gateway, request_bytes(method, path, key, body, *headers))
            about = f"{method} {path} with {name}"
            check(reply, calls, about)
            if route is not None and route.scopes and route.takes is not None:
                assert reply.status in {400, 413, 422}, f"{about}: {reply.raw[:300]!r}"


async def test_without_a_key_a_body_is_smaller(gateway: Visitor) -> None:
    """Keyless routes are found, not listed: a new one has the limit without anybody's doing."""
    bodies = {name: text.encode() for name, text in absurd_bodies(limits.KEYLESS_BODY_MAX_BYTES).items()}
    refused_by_size = set()
    form = "Content-Type: application/x-www-form-urlencoded"
    for number, (method, path) in enumerate(writing_routes(gateway.app)):
        for name, body in some_of(bodies.items(), number, 7):
            for more in ((), (form,)) if LONG or name in OF_EACH_KIND else ((),):
                reply, calls = await exchange(gateway, request_bytes(method, path, None, body, *more))
                check(reply, calls, f"{method} {path} with {name}")
                assert reply.status >= 400, f"{method} {path} took {name}"
        largest = b" " * limits.KEYLESS_BODY_MAX_BYTES
        for packed in (request_bytes(method, path, None, largest + b" "), chunked(method, path, largest + b" ")):
            reply, _ = await exchange(gateway, packed)
            assert reply.status in {401, 403, 404, 413, 422}, f"{method} {path}: {reply.raw!r}"
            if reply.status == 413:
                assert reply.code == "body_too_large"
                refused_by_size.add(f"{method} {path}")
    assert refused_by_size == {"POST /session", "POST /v1/estimates"}, "and the form, which has to be one"


def chunked(method: str, path: str, body: bytes) -> bytes:
    head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n{len(body):x}\r\n"
    return head.encode() + body + b"\r\n0\r\n\r\n"


async def test_the_issues_own_body_names_twenty_fields(gateway: Visitor) -> None:
    """70,000 unknown members cost 0.6 seconds and were answered with 4.6 MB, also without a key."""
    body = json.dumps({f"a{number}": 1 for number in range(70_000)}, separators=(",", ":")).encode()
    for path in ("/v1/estimates", "/session"):
        reply, calls = await exchange(gateway, request_bytes("POST", path, None, body))
        assert (reply.status, reply.code) == (413, "body_too_large")
        check(reply, calls, path)
    small = json.dumps({f"a{number}": 1 for number in range(3_000)}).encode()
    for path, key, sent, count in (
        ("/v1/quotes", await gateway.account(), body, 70_000),
        ("/v1/estimates", None, small, 3_000),
        ("/session", None, small, 3_000),
    ):
        reply, calls = await exchange(gateway, request_bytes("POST", path, key, sent))
        assert (reply.status, reply.code) == (422, "invalid_request")
        assert reply.fields == [f"a{number}" for number in range(20)]
        assert reply.error["fields_omitted"] == count - 20
        check(reply, calls, path)


async def test_a_body_of_ten_thousand_values_and_a_full_estimate_are_taken(gateway: Visitor, key: str) -> None:
    digits = json.dumps(SKETCH | {"metadata": {"a": [1] * 8_000}}, separators=(",", ":")).encode()
    assert (await gateway.call("POST", "/v1/quotes", key, raw=digits)).status == 200
    item = {"tool": "image", "model": "sketch", "per_day": 100.125, "days": 22, "outputs": 1, "settings": {}}
    assert (await gateway.call("POST", "/v1/estimates", None, {"items": [item] * 100})).status == 200
    more = json.dumps(SKETCH | {"metadata": {"a": [1] * limits.JSON_VALUES_MAX}}, separators=(",", ":")).encode()
    reply = await gateway.call("POST", "/v1/quotes", key, raw=more)
    assert (reply.status, reply.code) == (422, "invalid_request")
    assert "10,000 JSON values" in reply.message


async def test_every_route_takes_bounded_work_for_an_absurd_query_or_header(gateway: Visitor) -> None:
    keys = await keys_of(gateway)
    routes = by_path()
    long = limits.HEADER_MAX_BYTES - 200
    queries = ["&" * long, "&".join(f"a{n}=1" for n in range(1_000)), "limit=1&" * 900, "a=" + "%61" * 2_500]
    crowds = [
        [f"Accept: {'a,' * (long // 2)}"] * 100,
        [f"Accept-Encoding: {'gzip;q=0,' * (long // 9)}"] * 100,
        [f"Cookie: {'a=1;' * (long // 4)}"] * 100,
    ]
    headers = [
        [f"Cookie: farebox_session={'a' * long}"],
        [f"If-None-Match: {chr(34) * long}"],
        [f"Range: bytes={'0-1,' * (long // 4)}"],
        [f"Last-Event-ID: {'9' * long}"],
    ]
    reads = [(method, path) for method, path in all_routes(gateway.app) if method == "GET"]
    for number, (method, path) in enumerate(reads):
        route = routes.get((method, path))
        key = next((keys[scope] for scope in keys if route is not None and scope in route.scopes), None)
        await exchange(gateway, request_bytes(method, path, key))  # what is made once, at the first call
        for query in some_of(queries, number, 2):
            reply, calls = await exchange(gateway, request_bytes(method, f"{path}?{query}", key))
            check(reply, calls, f"{path} with the query {query[:20]}")
        for lines in (*some_of(crowds, number, 3), *headers):
            reply, calls = await exchange(gateway, request_bytes(method, path, key, b"", *lines))
            check(reply, calls, f"{path} with {lines[0][:20]}")


def test_bodies_and_queries_are_read_in_one_place() -> None:
    """What reads them anywhere else goes past every bound above."""
    names = {"read", "json", "text", "post", "multipart", "content", "query", "query_string", "rel_url", "http_range"}
    readers = {
        str(path.relative_to(Path(gateway.__file__).parent))
        for path in Path(gateway.__file__).parent.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute)
        and node.attr in names
        and isinstance(node.value, ast.Name)
        and node.value.id == "request"
    }
    assert readers == {"api/http/parse.py", "api/http/intake.py", "api/middleware/server.py"}
