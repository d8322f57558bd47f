"""Every read of an account's own things answers an admin key the same, for the account that it names."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import quote

import pytest

from gateway.api.http.route import Route
from gateway.api.routes import ROUTES, SSE
from gateway.domain import Scope
from gateway.ledger.accounts import key_id_of
from tests.api.visitor import Visitor, open_gateway, open_stream

KEYS_OWN = "/v1/key"
"""What a key may do, read with that key; an admin reads it in the account's list of keys."""
ADMINS_TWIN = {path: f"/v1/admin/accounts/acme{path.removeprefix('/v1')}" for path in ("/v1/keys", "/v1/members")}
"""Where an admin reads the same: the path names the account."""
OWN = [route for route in ROUTES if route.method == "GET" and Scope.ACCOUNT in route.scopes and route.path != KEYS_OWN]
OPERATORS_OWN = {
    "/v1/events", "/v1/webhooks", "/v1/webhooks/{webhook}", "/v1/webhooks/{webhook}/deliveries",
    "/v1/webhooks/{webhook}/deliveries/{delivery}/request",
}  # fmt: skip
"""Without an account, these show an admin what is the operators'."""
HOOK = {"url": "https://example.com/a", "events": ["generation.succeeded"]}

Place = tuple[Visitor, str, dict[str, str]]


@pytest.fixture
async def place(redis_url: str, tmp_path: Path) -> AsyncIterator[Place]:
    """A gateway, the key of an account that has one of everything, and the ids of its things."""
    async with open_gateway(redis_url, tmp_path) as gateway:
        key = await gateway.account()
        await gateway.account("other")
        await gateway.subscribe()
        things = {"webhook": (await gateway.call("POST", "/v1/webhooks", key, HOOK)).body["id"], "index": "0"}
        things["generation"] = await gateway.finished(key)
        things["checkout"] = (await gateway.call("POST", "/v1/top-ups", key, {"bundle": "small"})).body["id"]
        told = (await gateway.call("GET", f"/v1/webhooks/{things['webhook']}/deliveries", key)).body["data"]
        things["delivery"] = told[0]["id"]
        yield gateway, key, things


def takes_account(route: Route) -> bool:
    return route.takes is not None and "account" in route.takes.model_fields


def path_of(route: Route, things: dict[str, str], account: str | None = None) -> str:
    path = re.sub(r"{(\w+)}", lambda match: things[match[1]], route.path)
    return f"{path}?account={account}" if account is not None and takes_account(route) else path


def without_links(text: bytes) -> bytes:
    """Without what is signed anew for each reader."""
    return re.sub(rb"expires=\d+&signature=[\w-]+|\"webhook-(timestamp|signature)\":\"[^\"]+\"", b"", text)


def without_work(text: bytes) -> bytes:
    """A generation as its account sees it: only operators see who makes it."""
    return re.sub(rb',"work":{[^}]*}', b"", text)


def test_every_read_of_an_account_is_the_admins_too() -> None:
    """Generations, journal, usage and balance of an account were 403 for an admin key."""
    assert {route.path for route in OWN if Scope.ADMIN not in route.scopes} == ADMINS_TWIN.keys()
    nameless = [route.path for route in OWN if not takes_account(route) and route.path not in ADMINS_TWIN]
    assert all("{generation}" in path for path in nameless), "an id of a generation says whose it is; nothing else does"


async def test_an_admin_is_answered_as_the_account_is(place: Place) -> None:
    gateway, key, things = place
    for route in OWN:
        if route.media == SSE:
            continue
        own = await gateway.call("GET", path_of(route, things), key)
        path = ADMINS_TWIN.get(route.path) or path_of(route, things, "acme")
        read = await gateway.call("GET", path, gateway.admin)
        assert own.status == 200, (route.path, own.raw)
        assert (read.status, without_work(without_links(read.raw))) == (200, without_links(own.raw)), route.path
        named = await gateway.call("GET", path_of(route, things, "acme"), key)
        assert named.status == 200, "an account may say that it means itself"


async def test_support_finds_an_account_by_whatever_a_customer_quotes(place: Place) -> None:
    gateway, key, things = place
    await gateway.call("PUT", "/v1/admin/accounts/acme", gateway.admin, {"email": "Ada@example.com"})
    key_id = (await gateway.call("GET", "/v1/key", key)).body["id"]
    quoted = {"account": "acme", "email": "ada@EXAMPLE.com", "key": key_id}
    quoted |= {kind: things[kind] for kind in ("generation", "checkout")}
    for kind, text in quoted.items():
        found = await gateway.call("GET", f"/v1/admin/search?q=%20{quote(text)}", gateway.admin)
        assert found.body["data"] == [{"kind": kind, "id": text, "account": "acme"}]
    operator = (await gateway.call("POST", "/v1/admin/keys", gateway.admin, {"scope": "ops"})).body["id"]
    found = await gateway.call("GET", f"/v1/admin/search?q={operator}", gateway.admin)
    assert found.body["data"] == [{"kind": "key", "id": operator, "account": None}]
    for text in ("nobody", "nobody@example.com", "key_" + "0" * 32, "gen_00" + "a" * 24, "chk_" + "a" * 24, "a b/*"):
        nothing = await gateway.call("GET", f"/v1/admin/search?q={quote(text)}", gateway.admin)
        assert (nothing.status, nothing.body) == (200, {"data": []}), text


async def test_an_admin_must_name_an_account(place: Place) -> None:
    gateway, _, things = place
    other = (await gateway.call("POST", "/v1/admin/accounts/other/keys", gateway.admin, {})).body["key"]
    for route in OWN:
        if not takes_account(route):
            continue
        if route.path not in OPERATORS_OWN:
            refused = await gateway.call("GET", path_of(route, things), gateway.admin)
            assert (refused.status, refused.fields) == (422, ["account"]), route.path
        unknown = await gateway.call("GET", path_of(route, things, "nobody"), gateway.admin)
        assert (unknown.status, unknown.code) == (404, "not_found"), route.path
        anothers = await gateway.call("GET", path_of(route, things, "acme"), other)
        assert (anothers.status, anothers.code) == (404, "not_found"), route.path
    assert (await gateway.call("GET", "/v1/balance?account=a/b", gateway.admin)).fields == ["account"]


async def test_an_admin_follows_an_account_until_its_key_is_revoked(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.api.handlers.events.READ_AGAIN_SECONDS", 0.05)
    gateway, key, things = place
    made = (await gateway.call("POST", "/v1/admin/keys", gateway.admin, {"scope": "admin"})).body
    async with open_stream(gateway, f"/v1/generations/{things['generation']}/events", made["key"]) as one:
        assert (await one.until("done")).data["id"] == things["generation"]
    async with open_stream(gateway, "/v1/events?account=acme", made["key"]) as stream:
        balance = await stream.until("balance")
        assert balance.data == (await gateway.call("GET", "/v1/balance", key)).body
        generation = await gateway.made(key)
        await gateway.notice(generation)
        assert (await stream.until("snapshot")).data["id"] == generation
        await gateway.call("DELETE", f"/v1/admin/keys/{made['id']}", gateway.admin)
        while await stream.next() is not None:
            pass
    ops = await gateway.operator_key("ops")
    assert (await gateway.call("GET", "/v1/events?account=acme", ops)).status == 403


async def test_the_journal_of_a_period_and_what_is_none(place: Place) -> None:
    gateway, key, _ = place
    entries = (await gateway.call("GET", "/v1/journal", key)).body["data"]
    edge = entries[0]["at"]
    for name, wanted in (
        ("created_after", [one for one in entries if one["at"] >= edge]),
        ("created_before", [one for one in entries if one["at"] < edge]),
    ):
        assert (await gateway.call("GET", f"/v1/journal?{name}={edge}", key)).body["data"] == wanted
    refused = await gateway.call("GET", f"/v1/journal?created_after={edge}&created_before={edge}", key)
    assert (refused.status, refused.fields) == (422, ["created_before"])


async def test_the_journal_is_filtered_and_says_whose_key_it_was(place: Place) -> None:
    gateway, key, things = place
    entries = (await gateway.call("GET", "/v1/journal", key)).body["data"]
    generation, key_id = things["generation"], key_id_of(key)
    own = [one for one in entries if one.get("generation") == generation]
    assert own
    assert all((one["key"], one["member"]) == (key_id, None) for one in own)
    assert not any("key" in one for one in entries if "generation" not in one)
    for query, wanted in (
        (f"generation={generation}", own),
        (f"key={key_id}&kind=reserve", [one for one in own if one["kind"] == "reserve"]),
        ("kind=reset", [one for one in entries if one["kind"] == "reset"]),
        ("member=mem_a", []),
    ):
        page = await gateway.call("GET", f"/v1/journal?{query}", key)
        assert page.body == {"data": wanted, "next": None}, query
    for query, field in (("kind=bonus", "kind"), ("generation=gen_1", "generation")):
        assert (await gateway.call("GET", f"/v1/journal?{query}", key)).fields == [field]


async def test_the_journal_as_csv_has_all_pages_and_no_formula(place: Place) -> None:
    gateway, key, _ = place
    for number in range(102):
        body = {"bucket": "top_up", "credits": number + 1, "reason": f"=A{number}"}
        await gateway.call("POST", "/v1/admin/accounts/acme/grants", gateway.admin, body)
    reply = await gateway.call("GET", "/v1/journal?limit=5", key, headers={"Accept": "text/csv"})
    assert reply.headers["Content-Disposition"] == 'attachment; filename="journal-acme.csv"'
    rows = list(csv.DictReader(io.StringIO(reply.raw.decode())))
    assert [int(row["id"]) for row in rows] == list(range(len(rows), 0, -1))
    assert len(rows) > 102
    entries = (await gateway.call("GET", "/v1/journal?limit=100", key)).body["data"]
    names = ("credits", "held", "available_after", "held_after")
    assert [[float(row[name]) for name in names] for row in rows[:100]] == [
        [one[name] for name in names] for one in entries
    ]
    assert (rows[0]["reason"], rows[0]["top_up"], rows[0]["free"]) == ("'=A101", "102", "0")
    assert {row["key"] for row in rows if row["generation"]} == {key_id_of(key)}
    head = await gateway.call("HEAD", "/v1/journal", key, headers={"Accept": "text/csv"})
    assert (head.status, head.raw) == (200, b"")
    bad = await gateway.call("GET", "/v1/journal?kind=bonus", key, headers={"Accept": "text/csv"})
    assert bad.fields == ["kind"]


async def test_a_list_of_a_period_and_what_is_none(place: Place) -> None:
    gateway, key, things = place
    made = (await gateway.call("GET", f"/v1/generations/{things['generation']}", key)).body["created_at"]
    for query, count in ((f"created_after={made}", 1), (f"created_before={made}", 0)):
        page = await gateway.call("GET", f"/v1/generations?{query}", key)
        assert len(page.body["data"]) == count, query
    for query, field in (
        (f"created_after={made}&created_before={made}", "created_before"),
        ("created_after=2026-11-22", "created_after"),
        ("created_before=1795305600", "created_before"),
    ):
        refused = await gateway.call("GET", f"/v1/generations?{query}", key)
        assert (refused.status, refused.fields) == (422, [field]), query
