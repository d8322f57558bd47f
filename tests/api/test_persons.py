"""R38: everything about a person as JSON lines; and after the erasure, none of the person's words anywhere."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from gateway.api.ownership import persons
from gateway.api.services import OUTPUTS
from gateway.domain import EventType
from gateway.errors import StoreUnavailable
from gateway.ledger import outcomes
from gateway.ledger.audit import audit
from tests.api.test_support_commands import command, run
from tests.api.uploading import PNG
from tests.api.visitor import PICTURE, Visitor

ACCOUNT = "/v1/admin/accounts/acme"
WORDS = ("lovelace", "enchantress", "analytical", "babbage", "difference")
"""Words of the person: in the email, names, prompts, addresses and tags."""


async def whole_redis(url: str) -> AsyncIterator[bytes]:
    """Every name and value, whatever its type."""
    async with Redis.from_url(url) as redis:
        async for name in redis.scan_iter(count=1000):
            yield name
            match await redis.type(name):
                case b"hash":
                    yield repr(await redis.hgetall(name)).encode()
                case b"list":
                    yield repr(await redis.lrange(name, 0, -1)).encode()
                case b"zset":
                    yield repr(await redis.zrange(name, 0, -1, withscores=True)).encode()
                case b"set":
                    yield repr(await redis.smembers(name)).encode()
                case b"stream":
                    yield repr(await redis.xrange(name)).encode()
                case _:
                    yield await redis.get(name)


async def traces(redis_url: str, folder: Path) -> set[str]:
    """Which words are still in Redis, or in a file; and whether a picture is there."""
    found = set()
    async for text in whole_redis(redis_url):
        found |= {word for word in WORDS if word.encode() in text.lower()}
    for data in await asyncio.to_thread(_files, folder):
        found |= {word for word in WORDS if word.encode() in data.lower()}
        found |= {"a picture"} if data in {PICTURE, PNG} else set()
    return found


def _files(folder: Path) -> list[bytes]:
    return [path.read_bytes() for path in folder.rglob("*") if path.is_file()]


async def a_person(gateway: Visitor) -> str:
    """An account that has one of everything a person can leave, and some of it twice."""
    put = {"email": "ada@lovelace.example", "metadata": {"name": "Ada Lovelace"}}
    headers = {"Idempotency-Key": "made-once", "X-Farebox-Reason": "welcome"}
    await gateway.call("PUT", ACCOUNT, gateway.admin, put, headers)
    label = {"label": "Lovelace's laptop", "networks": ["127.0.0.0/8"]}
    key = str((await gateway.call("POST", f"{ACCOUNT}/keys", gateway.admin, label)).body["key"])
    member = {"name": "Countess Lovelace", "email": "countess@lovelace.example", "role": "owner"}
    assert (await gateway.call("POST", f"{ACCOUNT}/members", gateway.admin, member)).status == 201
    await gateway.subscribe()
    hook = {"url": "https://lovelace.example/hook", "events": ["generation.succeeded"], "description": "Babbage's"}
    assert (await gateway.call("POST", "/v1/webhooks", key, hook, {"Idempotency-Key": "hook"})).status == 201
    operators = {"url": "https://operators.example/hook", "events": [kind.value for kind in EventType]}
    assert (await gateway.call("POST", "/v1/webhooks", gateway.admin, operators)).status == 201
    back = {"bundle": "small", "success_url": f"{gateway.address}/?enchantress", "cancel_url": gateway.address}
    assert (await gateway.call("POST", "/v1/top-ups", key, back)).status == 201
    quote = {"tool": "image", "model": "sketch", "prompt": "the analytical engine"}
    assert (await gateway.call("POST", "/v1/quotes", key, quote, {"Idempotency-Key": "a-quote"})).status < 300
    picture = "data:image/png;base64," + base64.b64encode(PNG).decode()
    inputs = [{"kind": "image", "url": picture}, {"kind": "image", "url": "https://lovelace.example/me.png"}]
    for number in range(3):
        await gateway.finished(
            key,
            once=f"one-{number}",
            prompt="the analytical engine weaves",
            inputs=inputs,
            metadata={"for": "Babbage"},
            tags={"project": "difference"},
            webhook_url="https://lovelace.example/done",
        )
    return key


async def test_after_erasure_nothing_of_the_person_is_left_and_the_money_is(
    gateway: Visitor, redis_url: str, tmp_path: Path
) -> None:
    key = await a_person(gateway)
    opened = await gateway.made(key, prompt="analytical", webhook_url="https://lovelace.example/late")
    running = await gateway.made(key, prompt="analytical")
    await gateway.begin(running)
    before = (await gateway.call("GET", "/v1/journal", key)).body["data"]
    assert await traces(redis_url, tmp_path / "data") == {*WORDS, "a picture"}, "the search finds what there is"
    first = await gateway.call("DELETE", f"{ACCOUNT}/person", gateway.admin)
    assert (first.status, first.body["done"], first.body["open"]) == (200, False, 1), first.raw
    assert (await gateway.call("GET", "/v1/balance", key)).status == 401, "its keys are revoked at once"
    await gateway.settle(running)
    for _ in range(2):  # again changes nothing
        done = await gateway.call("DELETE", f"{ACCOUNT}/person", gateway.admin)
        assert (done.status, done.body["done"]) == (200, True), done.raw
    assert await traces(redis_url, tmp_path / "data") == set()
    left = (await gateway.call("GET", ACCOUNT, gateway.admin)).body
    assert (left["email"], left["metadata"], left["keys"]) == (None, {}, [])
    assert left["members"] == []
    assert left["erased_at"] is not None
    journal = (await gateway.call("GET", "/v1/journal?account=acme&limit=100", gateway.admin)).body["data"]
    assert journal[-len(before) :] == before, "money entries stay as they were"
    shown = (await gateway.call("GET", f"/v1/generations/{opened}", gateway.admin)).body
    assert (shown["status"], shown["prompt"], shown["tags"]) == ("cancelled", "", {})
    assert (await audit(gateway.ledger)).clean
    receipt = (await gateway.call("GET", f"/v1/generations/{opened}/receipt", gateway.admin)).body
    assert receipt["refunded"] == receipt["credits"] == 5
    assert await gateway.ledger.find_account(email="ada@lovelace.example") == outcomes.NotFound()


async def test_an_interrupted_erasure_continues_where_it_was(
    gateway: Visitor, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each call has time for one step of one generation, and the object store is away during one of them."""
    await a_person(gateway)
    monkeypatch.setattr(persons, "_PAGE", 1)
    monkeypatch.setattr(persons, "CALL_SECONDS", 0.0)

    async def away(*_: object) -> None:
        raise StoreUnavailable("away")

    reached = []
    for call in range(1, 30):
        with monkeypatch.context() as patched:
            if call == 2:
                patched.setattr(gateway.app[OUTPUTS], "delete_generations", away)
            reply = await gateway.call("DELETE", f"{ACCOUNT}/person", gateway.admin)
        assert reply.status == (503 if call == 2 else 200)
        if call != 2 and reply.body["done"]:
            break
        reached.append(await gateway.ledger.erasing(account="acme"))
    assert reached[0] == reached[1], "a step that failed is taken again"
    assert len({*reached}) == len(reached) - 1 >= 5
    assert await traces(redis_url, tmp_path / "data") == set()


async def test_what_was_made_during_an_interrupted_erasure_is_erased_too(
    gateway: Visitor, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next call went on behind the generations, and said that it was done."""
    await a_person(gateway)
    with monkeypatch.context() as slow:
        slow.setattr(persons, "CALL_SECONDS", 0.0)
        while not (await gateway.ledger.erasing(account="acme") or "").startswith("responses"):
            assert not (await gateway.call("DELETE", f"{ACCOUNT}/person", gateway.admin)).body["done"]
    key = str((await gateway.call("POST", f"{ACCOUNT}/keys", gateway.admin, {})).body["key"])
    await gateway.finished(key, once="late", prompt="the analytical engine", tags={"project": "difference"})
    assert "has been erased" in await run(gateway, "account", "erase", "acme", "--yes")
    assert await traces(redis_url, tmp_path / "data") == set()


async def test_the_export_has_everything_and_says_that_it_is_whole(gateway: Visitor, tmp_path: Path) -> None:
    key = await a_person(gateway)
    reply = await gateway.call("GET", f"{ACCOUNT}/export", gateway.admin)
    assert (reply.status, reply.headers["Content-Type"]) == (200, "application/x-ndjson")
    lines: list[dict[str, Any]] = [json.loads(line) for line in reply.raw.splitlines()]
    kinds = [line["type"] for line in lines]
    assert set(kinds) == {
        "account", "webhook", "delivery", "generation", "journal_entry", "purchase", "usage", "end",
    }  # fmt: skip
    assert (kinds[-1], lines[-1]["data"]["lines"]) == ("end", len(lines) - 1)
    assert all(word in reply.raw.decode().lower() for word in WORDS if word != "enchantress")
    journal = (await gateway.call("GET", "/v1/journal?limit=100", key)).body["data"]
    assert [line["data"] for line in lines if line["type"] == "journal_entry"] == journal
    log = (await gateway.call("GET", "/v1/admin/audit-log?action=exportAccount", gateway.admin)).body["data"]
    assert [(one["account"], one["status"], one["after"]) for one in log] == [("acme", 200, {})]
    saved = tmp_path / "acme.jsonl"
    assert await run(gateway, "account", "export", "acme", "--output", str(saved)) == ""
    assert len(saved.read_bytes().splitlines()) == len(lines)
    _, _, said = await command(gateway, "account", "export", "nobody")
    assert "There is no account nobody." in said


async def test_the_command_erases_and_a_subscription_that_is_charged_is_refused(gateway: Visitor) -> None:
    await gateway.account()
    assert "has been erased" in await run(gateway, "account", "erase", "acme", "--yes")
    assert (await gateway.call("DELETE", "/v1/admin/accounts/nobody/person", gateway.admin)).status == 404
    await gateway.subscribe()
    await gateway.ledger.command("HSET", gateway.ledger.account_key("acme"), "billing", "sub_1")
    key = str((await gateway.call("POST", f"{ACCOUNT}/keys", gateway.admin, {})).body["key"])
    refused = await gateway.call("DELETE", f"{ACCOUNT}/person", gateway.admin)
    assert (refused.status, refused.code) == (422, "invalid_request")
    assert "Cancel it there first" in refused.message
    assert (await gateway.call("GET", "/v1/balance", key)).status == 200, "nothing was erased"
