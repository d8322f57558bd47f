"""R11 over HTTP: a key and a body that were sent before are answered as before, whatever has happened since."""

from __future__ import annotations

import asyncio
import hashlib
import json
from pathlib import Path
from time import time

import pytest

from gateway.api import services
from gateway.api.http.parse import canonical_json
from gateway.ledger.idempotency import KeyClaimed, Request
from tests.api.visitor import SKETCH, Visitor, open_gateway
from tests.until import until

ACCOUNT = "/v1/admin/accounts/acme"
GRANT = {"bucket": "top_up", "credits": 50, "reason": "welcome"}


async def test_a_repeated_generation_is_the_one_made_then(gateway: Visitor, key: str) -> None:
    first = await gateway.create(key, once="a")
    again = await gateway.create(key, once="a")
    assert (first.status, again.status) == (202, 200)
    assert again.headers["Idempotent-Replay"] == "true"
    assert again.body["id"] == first.body["id"]
    assert (await gateway.call("GET", "/v1/balance", key)).body["held"] == 5


async def test_a_key_that_is_forgotten_makes_a_new_generation(
    gateway: Visitor, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its id was the first one's: for 30 days the old generation came back, and once archived there were two of it."""
    first = await gateway.create(key, once="a")
    (memory,) = [name async for name in gateway.ledger.redis.scan_iter(match="*:idempotency:acme:*")]
    remembered = await gateway.ledger.redis.get(memory)
    tomorrow = time() + 86_400
    monkeypatch.setattr("gateway.api.ordering.ordering.time", lambda: tomorrow)
    assert (await gateway.create(key, once="a")).body["id"] == first.body["id"], "over midnight it is remembered"
    assert await gateway.ledger.redis.get(memory) == remembered
    await gateway.ledger.redis.delete(memory)
    later = await gateway.create(key, once="a")
    assert (later.status, later.body["id"] == first.body["id"]) == (202, False)


async def test_the_order_of_members_and_the_spelling_of_numbers_do_not_matter(gateway: Visitor, key: str) -> None:
    first = await gateway.create(key, once="a", outputs=2)
    raw = json.dumps(dict(reversed((SKETCH | {"outputs": 2}).items())), indent=3).replace(": 2", ": 2.0").encode()
    again = await gateway.call("POST", "/v1/generations", key, raw=raw, headers={"Idempotency-Key": "a"})
    assert (again.status, again.body["id"]) == (200, first.body["id"])


async def test_another_body_with_the_same_key_is_refused(gateway: Visitor, key: str) -> None:
    await gateway.create(key, once="a")
    reply = await gateway.create(key, once="a", prompt="a blue bicycle")
    assert (reply.status, reply.code) == (422, "idempotency_key_reused")
    assert "Use a new key for a new request" in reply.message


async def test_the_same_key_for_another_call_is_refused(gateway: Visitor, key: str) -> None:
    await gateway.create(key, once="a")
    body = {"tool": "image", "model": "sketch"}
    reply = await gateway.call("POST", "/v1/quotes", key, body, {"Idempotency-Key": "a"})
    assert reply.code == "idempotency_key_reused"
    await gateway.call("POST", "/v1/quotes", key, body, {"Idempotency-Key": "b"})
    assert (await gateway.create(key, once="b")).code == "idempotency_key_reused"


async def test_a_retry_survives_an_empty_balance(gateway: Visitor, key: str) -> None:
    first = await gateway.create(key, once="a", outputs=4)
    body = {"bucket": "free", "credits": -80, "reason": "a test"}
    await gateway.call("POST", f"{ACCOUNT}/adjustments", gateway.admin, body)
    assert (await gateway.create(key)).code == "insufficient_credits"
    again = await gateway.create(key, once="a", outputs=4)
    assert (again.status, again.body["id"]) == (200, first.body["id"])


async def test_a_retry_survives_a_model_that_is_gone_from_the_rate_card(gateway: Visitor, key: str) -> None:
    first = await gateway.create(key, once="a", model="remote")
    cards, path = gateway.app[services.RATE_CARDS], gateway.app[services.SETTINGS].rate_card
    assert path is not None
    path.write_text(path.read_text().replace("models.remote", "models.distant"))
    await until(lambda: "distant" in cards.card.models)
    again = await gateway.create(key, once="a", model="remote")
    assert (again.status, again.body["id"]) == (200, first.body["id"])
    other = await gateway.create(key, once="a", model="remote", prompt="other")
    assert other.code == "idempotency_key_reused"
    assert (await gateway.create(key, once="b", model="remote")).code == "unknown_model"


async def test_refusals_are_not_remembered(gateway: Visitor, key: str) -> None:
    assert (await gateway.create(key, once="a", model="gallery")).status == 403
    await gateway.subscribe()
    assert (await gateway.create(key, once="a", model="gallery")).status == 202
    too_much = {"bucket": "free", "credits": -500, "reason": "a test"}
    for _ in range(2):
        reply = await gateway.call(
            "POST", f"{ACCOUNT}/adjustments", gateway.admin, too_much, {"Idempotency-Key": "once"}
        )
        assert (reply.status, reply.code) == (422, "invalid_request")


async def test_many_at_once_with_one_key_make_one(gateway: Visitor, key: str) -> None:
    replies = await asyncio.gather(*(gateway.create(key, once="a") for _ in range(20)))
    assert sorted(reply.status for reply in replies) == [200] * 19 + [202]
    assert len({reply.body["id"] for reply in replies}) == 1
    assert (await gateway.call("GET", "/v1/balance", key)).body["held"] == 5


async def test_keys_belong_to_an_account(gateway: Visitor) -> None:
    one, other = await gateway.account("one"), await gateway.account("other")
    first, second = await gateway.create(one, once="a"), await gateway.create(other, once="a")
    assert (first.status, second.status) == (202, 202)


async def test_an_account_that_is_called_admin_shares_nothing_with_the_operators(gateway: Visitor) -> None:
    key = await gateway.account("admin")
    once = {"Idempotency-Key": "a"}
    assert (await gateway.call("PUT", f"{ACCOUNT}", gateway.admin, {}, once)).status == 201
    assert (await gateway.create(key, once="a")).status == 202


async def test_a_repeated_grant_is_granted_once_and_answered_alike(gateway: Visitor, key: str) -> None:
    once = {"Idempotency-Key": "grant-1"}
    first = await gateway.call("POST", f"{ACCOUNT}/grants", gateway.admin, GRANT, once)
    again = await gateway.call("POST", f"{ACCOUNT}/grants", gateway.admin, GRANT, once)
    assert (first.status, again.status, again.headers["Idempotent-Replay"]) == (201, 200, "true")
    assert again.body == first.body
    assert (await gateway.call("GET", "/v1/balance", key)).body["available"] == 150


async def test_many_grants_at_once_with_one_key_grant_once(gateway: Visitor, key: str) -> None:
    once = {"Idempotency-Key": "grant-1"}
    replies = await asyncio.gather(
        *(gateway.call("POST", f"{ACCOUNT}/grants", gateway.admin, GRANT, once) for _ in range(10))
    )
    assert sorted(reply.status for reply in replies) == [200] * 9 + [201]
    assert (await gateway.call("GET", "/v1/balance", key)).body["available"] == 150


async def test_without_a_key_every_grant_counts(gateway: Visitor, key: str) -> None:
    for _ in range(2):
        await gateway.call("POST", f"{ACCOUNT}/grants", gateway.admin, GRANT)
    assert (await gateway.call("GET", "/v1/balance", key)).body["available"] == 200


async def test_a_replayed_key_is_not_shown_again(gateway: Visitor) -> None:
    await gateway.account()
    once = {"Idempotency-Key": "key-1"}
    first = await gateway.call("POST", f"{ACCOUNT}/keys", gateway.admin, {"label": "shop"}, once)
    again = await gateway.call("POST", f"{ACCOUNT}/keys", gateway.admin, {"label": "shop"}, once)
    assert again.body == {name: value for name, value in first.body.items() if name != "key"}
    for name in await gateway.ledger.redis.keys("*"):
        if await gateway.ledger.redis.type(name) == b"string":
            assert first.body["key"].encode() not in await gateway.ledger.redis.get(name)


async def test_after_a_crash_between_work_and_answer_the_retry_makes_the_same(gateway: Visitor) -> None:
    """The gateway dies with the key made and the answer not yet remembered; the claim then expires."""
    await gateway.account()
    once = {"Idempotency-Key": "key-1"}
    first = await gateway.call("POST", f"{ACCOUNT}/keys", gateway.admin, {}, once)
    redis = gateway.ledger.redis
    for name in await redis.keys("*:idempotency:*"):
        await redis.delete(name)
    again = await gateway.call("POST", f"{ACCOUNT}/keys", gateway.admin, {}, once)
    assert (again.status, again.body) == (201, first.body)
    assert len((await gateway.call("GET", f"{ACCOUNT}/keys", gateway.admin)).body["data"]) == 2


async def test_a_second_request_waits_for_the_first_and_gets_its_answer(gateway: Visitor) -> None:
    await gateway.account()
    body, once = {"label": "shop"}, {"Idempotency-Key": "key-1"}
    first = await gateway.call("POST", f"{ACCOUNT}/keys", gateway.admin, body, once)
    redis = gateway.ledger.redis
    (name,) = await redis.keys("*:idempotency:admin:*")
    answered = await redis.get(name)
    digest = answered.split(b" ")[0]
    await redis.set(name, digest + b" pending")
    asked = await _gets(gateway)
    waiting = asyncio.create_task(gateway.call("POST", f"{ACCOUNT}/keys", gateway.admin, body, once))

    async def has_looked_again() -> bool:
        return await _gets(gateway) >= asked + 2

    await until(has_looked_again)
    await redis.set(name, answered)
    reply = await waiting
    assert (reply.status, reply.headers["Idempotent-Replay"]) == (200, "true")
    assert reply.body["id"] == first.body["id"]


async def _gets(gateway: Visitor) -> int:
    """How many GETs Redis has answered."""
    stats = await gateway.ledger.redis.info("commandstats")
    return int(stats["cmdstat_get"]["calls"])


async def test_two_gateways_share_what_they_remember(gateway: Visitor, redis_url: str, tmp_path: Path) -> None:
    key = await gateway.account()
    first = await gateway.create(key, once="a")
    async with open_gateway(redis_url, tmp_path) as other:
        again = await other.create(key, once="a")
        assert (again.status, again.body["id"]) == (200, first.body["id"])


async def test_a_key_that_is_no_visible_ascii_is_refused(gateway: Visitor, key: str) -> None:
    for once in ("", "two words", "x" * 256, "schlüssel"):
        reply = await gateway.create(key, once=once)
        assert (reply.status, reply.code, reply.fields) == (422, "invalid_request", ["Idempotency-Key"])
    assert (await gateway.create(key, once="x" * 255)).status == 202


async def test_a_claim_expires_and_a_remembered_answer_lives_for_a_day(gateway: Visitor) -> None:
    requests, redis = gateway.app[services.REQUESTS], gateway.ledger.redis
    request = Request("acme", hashlib.sha256(b"account\na").hexdigest(), "digest")
    assert isinstance(await requests.claim(request), KeyClaimed)
    (name,) = await redis.keys("*:idempotency:acme:*")
    assert 0 < await redis.ttl(name) <= 60
    await requests.finish(request, "{}")
    assert 86_000 < await redis.ttl(name) <= 86_400


def test_canonical_json_has_one_spelling() -> None:
    assert canonical_json(b'{"b": 1.0, "a": [1e2, 0.1, true, null]}') == '{"a":[100,0.1,true,null],"b":1}'
    assert canonical_json(b" ") == ""
