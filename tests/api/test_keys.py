"""Keys: shown once, kept as digests, refused at once when revoked; and who may make which call."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gateway.api.routes import ANY_KEY, PUBLIC, ROUTES, Route
from gateway.domain import Scope
from tests.api.visitor import Visitor, open_gateway, open_stream

KEYS = "/v1/admin/accounts/acme/keys"


async def test_a_key_is_shown_once(gateway: Visitor) -> None:
    await gateway.account()
    made = (await gateway.call("POST", KEYS, gateway.admin, {"label": "shop"})).body
    assert made["key"].startswith("fbx_")
    assert len(made["key"]) >= 4 + 43, "256 bits"
    listed = (await gateway.call("GET", KEYS, gateway.admin)).body["data"]
    assert {name: value for name, value in made.items() if name != "key"} in listed
    assert made["key"] not in str(listed)


async def test_a_call_that_requires_nothing_needs_no_body(gateway: Visitor) -> None:
    assert (await gateway.call("PUT", "/v1/admin/accounts/acme", gateway.admin)).status == 201
    made = await gateway.call("POST", KEYS, gateway.admin)
    assert (made.status, made.body["label"]) == (201, None)
    assert (await gateway.call("GET", "/v1/balance", made.body["key"])).status == 200


async def test_a_revoked_key_is_refused_at_once_also_where_it_is_cached(
    gateway: Visitor, redis_url: str, tmp_path: Path
) -> None:
    await gateway.account()
    made = (await gateway.call("POST", KEYS, gateway.admin, {})).body
    async with open_gateway(redis_url, tmp_path) as other:
        for one in (gateway, other):
            assert (await one.call("GET", "/v1/balance", made["key"])).status == 200
        revoked = await gateway.call("DELETE", f"{KEYS}/{made['id']}", gateway.admin)
        assert (revoked.status, revoked.body) == (200, {"id": made["id"], "revoked": True})
        for one in (gateway, other):
            for path in ("/v1/balance", "/v1/journal", "/v1/generations"):
                reply = await one.call("GET", path, made["key"])
                assert (reply.status, reply.code) == (401, "invalid_key")
            assert (await one.create(made["key"])).status == 401


async def test_an_accounts_other_keys_go_on_when_one_is_revoked(gateway: Visitor) -> None:
    kept = await gateway.account()
    assert (await gateway.call("GET", "/v1/balance", kept)).status == 200
    made = (await gateway.call("POST", KEYS, gateway.admin, {})).body
    await gateway.call("DELETE", f"{KEYS}/{made['id']}", gateway.admin)
    assert (await gateway.call("GET", "/v1/balance", kept)).status == 200
    assert (await gateway.create(kept)).status == 202


async def test_operators_keys_are_made_and_revoked(gateway: Visitor) -> None:
    for scope, path in (("ops", "/v1/ops/queues"), ("admin", "/v1/admin/accounts/acme/keys")):
        await gateway.account()
        made = (await gateway.call("POST", "/v1/admin/keys", gateway.admin, {"scope": scope, "label": "x"})).body
        assert (made["scope"], made["label"]) == (scope, "x")
        assert (await gateway.call("GET", path, made["key"])).status == 200
        assert (await gateway.call("DELETE", f"/v1/admin/keys/{made['id']}", gateway.admin)).status == 200
        assert (await gateway.call("GET", path, made["key"])).status == 401


async def test_a_key_can_be_revoked_only_where_it_belongs(gateway: Visitor) -> None:
    await gateway.account()
    await gateway.account("other")
    made = (await gateway.call("POST", KEYS, gateway.admin, {})).body
    for path in (f"/v1/admin/keys/{made['id']}", f"/v1/admin/accounts/other/keys/{made['id']}", f"{KEYS}/key_none"):
        reply = await gateway.call("DELETE", path, gateway.admin)
        assert (reply.status, reply.code) == (404, "not_found")
    assert (await gateway.call("GET", "/v1/balance", made["key"])).status == 200


async def test_an_account_scope_key_is_not_made_without_an_account(gateway: Visitor) -> None:
    reply = await gateway.call("POST", "/v1/admin/keys", gateway.admin, {"scope": "account"})
    assert (reply.status, reply.fields) == (422, ["scope"])


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
async def test_every_route_admits_exactly_its_scopes(gateway: Visitor, route: Route) -> None:
    """Without a key, with an unknown one, and with one of each scope."""
    own = await gateway.account()
    keys = {
        None: None,
        "unknown": "fbx_" + "0" * 43,
        Scope.ACCOUNT: own,
        Scope.OPS: await gateway.operator_key("ops"),
        Scope.ADMIN: await gateway.operator_key("admin"),
    }
    named = {"generation": "gen_00" + "a" * 24, "account": "acme", "index": "0"}
    path = re.sub(r"{(\w+)}", lambda match: named.get(match[1], "none"), route.path)
    for who, key in keys.items():
        status, code = await _answer(gateway, route, path, key)
        if route.scopes == PUBLIC:
            assert status not in {401, 500}, who
        elif who in route.scopes:
            assert status not in {401, 403, 500}, (who, status, code)
        elif who is None and route.key_optional:
            assert status not in {401, 403, 500}, (status, code)
        elif who in {None, "unknown"}:
            assert (status, code) == (401, "invalid_key")
        else:
            assert (status, code) == (403, "forbidden"), who


async def _answer(gateway: Visitor, route: Route, path: str, key: str | None) -> tuple[int, str]:
    """The status, and the error's code; a stream is opened and left."""
    if route.path == "/v1/events" and key is not None and not key.endswith("0" * 43):
        assert route.scopes == ANY_KEY
        async with open_stream(gateway, path, key) as stream:
            return stream.response.status, ""
    body: dict[str, str] | None = {} if route.method in {"POST", "PUT", "PATCH"} else None
    reply = await gateway.call(route.method, path, key, body)
    is_error = reply.status >= 400 and reply.headers["Content-Type"].startswith("application/json")
    return reply.status, reply.code if is_error else ""
