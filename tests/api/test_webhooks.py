"""Webhooks by the API: made, listed, changed, rotated, deleted; whose they are, and what is refused."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from gateway.ledger.webhooks import WEBHOOKS_MAX
from tests.api.visitor import Visitor, open_gateway
from tests.cases import cases

HOOK = {"url": "https://example.com/farebox", "events": ["generation.failed", "generation.succeeded"]}


@pytest.fixture
async def open_minded(redis_url: str, tmp_path: Path) -> AsyncIterator[Visitor]:
    """A gateway whose operator allows a network."""
    async with open_gateway(redis_url, tmp_path, webhook_networks="10.1.0.0/16") as visitor:
        yield visitor


async def test_a_webhook_is_made_and_its_secret_shown_once(gateway: Visitor, key: str) -> None:
    made = await gateway.call("POST", "/v1/webhooks", key, HOOK | {"description": "the shop"})
    assert made.status == 201
    assert made.headers["Location"] == f"/v1/webhooks/{made.body['id']}"
    body = made.body
    secret = body.pop("secret")
    assert secret.startswith("whsec_")
    assert len(base64.b64decode(secret.removeprefix("whsec_"), validate=True)) == 32
    assert made.body["events"] == ["generation.succeeded", "generation.failed"]
    assert (made.body["status"], made.body["description"], made.body["dropped"]) == ("active", "the shop", 0)
    read = await gateway.call("GET", made.headers["Location"], key)
    listed = await gateway.call("GET", "/v1/webhooks", key)
    assert [body] == [read.body] == listed.body["data"]
    assert secret not in str(await read_everything(gateway))


async def read_everything(gateway: Visitor) -> list[object]:
    """Every value that the ledger keeps."""
    redis: Any = gateway.ledger.redis
    found: list[object] = []
    for name in await redis.keys("*"):
        kind = await redis.type(name)
        if kind == b"hash":
            found.append(await redis.hgetall(name))
        elif kind == b"string":
            found.append(await redis.get(name))
    return found


async def test_one_idempotency_key_makes_one_webhook_and_a_replay_has_no_secret(gateway: Visitor, key: str) -> None:
    once = {"Idempotency-Key": "hook-1"}
    first = await gateway.call("POST", "/v1/webhooks", key, HOOK, once)
    again = await gateway.call("POST", "/v1/webhooks", key, HOOK, once)
    assert again.headers["Idempotent-Replay"] == "true"
    assert "secret" not in again.body
    assert again.body["id"] == first.body["id"]
    other = await gateway.call("POST", "/v1/webhooks", key, HOOK | {"description": "x"}, once)
    assert other.code == "idempotency_key_reused"
    assert len((await gateway.call("GET", "/v1/webhooks", key)).body["data"]) == 1


async def test_a_rotation_shows_a_new_secret_and_is_made_once(gateway: Visitor, key: str) -> None:
    made = (await gateway.call("POST", "/v1/webhooks", key, HOOK)).body
    path, once = f"/v1/webhooks/{made['id']}/rotate", {"Idempotency-Key": "rotation-1"}
    rotated = await gateway.call("POST", path, key, None, once)
    assert rotated.body["secret"] != made["secret"]
    assert rotated.body["secret_rotated_at"] is not None
    replay = await gateway.call("POST", path, key, None, once)
    assert "secret" not in replay.body
    assert replay.body["secret_rotated_at"] == rotated.body["secret_rotated_at"]
    third = await gateway.call("POST", path, key, None)
    assert len({made["secret"], rotated.body["secret"], third.body["secret"]}) == 3


async def test_a_webhook_that_was_rotated_since_is_not_made_again_with_its_first_secret(gateway: Visitor) -> None:
    key, once = await gateway.account(), {"Idempotency-Key": "hook-1"}
    made = (await gateway.call("POST", "/v1/webhooks", key, HOOK, once)).body
    await gateway.call("POST", f"/v1/webhooks/{made['id']}/rotate", key, None)
    redis: Any = gateway.ledger.redis
    for name in await redis.keys("*:idempotency:*"):
        await redis.delete(name)  # as a day later
    again = (await gateway.call("POST", "/v1/webhooks", key, HOOK, once)).body
    assert (again["id"], again.get("secret")) == (made["id"], None)


async def test_what_is_left_out_of_a_change_stays(gateway: Visitor, key: str) -> None:
    made = (await gateway.call("POST", "/v1/webhooks", key, HOOK | {"description": "the shop"})).body
    path = f"/v1/webhooks/{made['id']}"
    assert (await gateway.call("PATCH", path, key, {})).body["url"] == made["url"]
    changed = await gateway.call("PATCH", path, key, {"events": ["credits.low"], "description": ""})
    assert (changed.body["url"], changed.body["events"], changed.body["description"]) == (
        made["url"],
        ["credits.low"],
        "",
    )
    assert "secret" not in changed.body
    await gateway.finished(key)
    assert (await gateway.call("GET", f"{path}/deliveries", key)).body == {"data": [], "next": None}


async def test_a_deleted_webhook_is_gone_with_its_deliveries(gateway: Visitor, key: str) -> None:
    path = f"/v1/webhooks/{(await gateway.call('POST', '/v1/webhooks', key, HOOK)).body['id']}"
    await gateway.finished(key)
    (delivery,) = (await gateway.call("GET", f"{path}/deliveries", key)).body["data"]
    assert (await gateway.call("DELETE", path, key)).body["deleted"] is True
    calls = [
        ("GET", path),
        ("PATCH", path),
        ("DELETE", path),
        ("POST", f"{path}/rotate"),
        ("GET", f"{path}/deliveries"),
    ]
    calls += [
        ("GET", f"{path}/deliveries/{delivery['id']}/request"),
        ("POST", f"{path}/deliveries/{delivery['id']}/resend"),
    ]
    for method, what in calls:
        body: dict[str, str] | None = {} if method in {"POST", "PATCH"} else None
        assert (await gateway.call(method, what, key, body)).code == "not_found", what


async def test_another_account_and_the_operators_see_nothing_of_it(gateway: Visitor) -> None:
    own, other = await gateway.account(), await gateway.account("other")
    theirs = [
        f"/v1/webhooks/{(await gateway.call('POST', '/v1/webhooks', key, HOOK)).body['id']}"
        for key in (own, gateway.admin)
    ]
    assert (await gateway.call("GET", "/v1/webhooks", other)).body["data"] == []
    for path in theirs:
        assert (await gateway.call("GET", path, other)).code == "not_found"
    assert (await gateway.call("GET", theirs[0], gateway.admin)).code == "not_found"
    assert (await gateway.call("GET", theirs[1], gateway.admin)).status == 200
    assert (await gateway.call("GET", "/v1/webhooks/default", gateway.admin)).code == "not_found"
    listed = await gateway.call("GET", "/v1/webhooks", gateway.admin)
    assert [f"/v1/webhooks/{one['id']}" for one in listed.body["data"]] == theirs[1:]


async def test_deliveries_come_page_by_page(gateway: Visitor, key: str) -> None:
    path = f"/v1/webhooks/{(await gateway.call('POST', '/v1/webhooks', key, HOOK)).body['id']}/deliveries"
    made = [await gateway.finished(key) for _ in range(5)]
    seen, before = [], ""
    while True:
        page = (await gateway.call("GET", f"{path}?limit=2{before}", key)).body
        seen += [one["generation"] for one in page["data"]]
        if page["next"] is None:
            break
        before = f"&before={page['next']}"
    assert seen == made[::-1]
    unknown = await gateway.call("GET", f"{path}?before=evt_{'0' * 26}", key)
    assert unknown.code == "not_found"


async def test_an_account_has_only_so_many(gateway: Visitor, key: str) -> None:
    for _ in range(WEBHOOKS_MAX):
        assert (await gateway.call("POST", "/v1/webhooks", key, HOOK)).status == 201
    refused = await gateway.call("POST", "/v1/webhooks", key, HOOK)
    assert (refused.status, refused.code) == (422, "invalid_request")
    assert "Too many webhooks (limit: 10)" in refused.message


@cases(
    ("body", "field"),
    [
        ({"url": "http://example.com/"}, "url"),
        ({"url": "https://127.0.0.1/"}, "url"),
        ({"url": "https://me:secret@example.com/"}, "url"),
        ({"url": "https://example.com/" + "a" * 2000}, "url"),
        ({"events": []}, "events"),
        ({"events": ["generation.queued"]}, "events.0"),
        ({"description": "d" * 201}, "description"),
        ({"secret": "whsec_mine"}, "secret"),
    ],
)
async def test_what_cannot_be_a_webhook_is_refused_field_by_field(
    gateway: Visitor, key: str, body: dict[str, object], field: str
) -> None:
    refused = await gateway.call("POST", "/v1/webhooks", key, HOOK | body)
    assert (refused.status, refused.code, refused.fields[0]) == (422, "invalid_request", field)
    assert "secret@" not in refused.raw.decode()


@cases("url", ["http://example.com/", "https://[::1]/", "ftp://example.com/", "example"])
async def test_a_request_cannot_name_such_an_address_either(gateway: Visitor, url: str) -> None:
    refused = await gateway.create(await gateway.account(), webhook_url=url)
    assert (refused.status, refused.code, refused.fields) == (422, "invalid_request", ["webhook_url"])


async def test_a_requests_url_is_part_of_its_idempotency_digest(gateway: Visitor, key: str) -> None:
    first = await gateway.create(key, "one", webhook_url="https://example.com/1")
    again = await gateway.create(key, "one", webhook_url="https://example.com/1")
    other = await gateway.create(key, "one", webhook_url="https://example.com/2")
    assert (first.status, again.status, again.body["id"], other.code) == (
        202,
        200,
        first.body["id"],
        "idempotency_key_reused",
    )


async def test_an_operator_may_allow_networks_by_plain_http_too(open_minded: Visitor) -> None:
    key = await open_minded.account()
    for url in ("http://10.1.2.3/hook", "https://10.1.2.3/hook", "http://receiver.internal/hook"):
        assert (await open_minded.call("POST", "/v1/webhooks", key, HOOK | {"url": url})).status == 201
    for url in ("http://10.2.0.1/", "https://10.2.0.1/", "http://8.8.8.8/"):
        assert (await open_minded.call("POST", "/v1/webhooks", key, HOOK | {"url": url})).status == 422
