"""What a worker's key may do (`/v1/worker/…`), and what it may not: it is on a machine in somebody else's network."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from gateway.api.handlers import worker_calls
from gateway.api.services import INTAKE, OUTPUTS, QUEUE
from gateway.domain import generation_id, operation_id
from gateway.outputs import input_key, output_key
from gateway.queue.jobs import claim_key, job_id
from gateway.queue.keys import queue_key
from gateway.remote.objects import path_of
from tests.api.visitor import Visitor, open_stream
from tests.until import until


async def test_it_reads_inputs_and_writes_outputs_and_nothing_else(gateway: Visitor) -> None:
    key, worker = await gateway.account(), await gateway.operator_key("worker")
    generation = await gateway.made(key)
    await gateway.begin(generation)
    output = output_key(generation, 1, 0, "image/png")
    stored = await gateway.call("PUT", path_of(output), worker, raw=b"picture")
    assert (stored.status, stored.body["bytes"]) == (200, 7)
    assert await gateway.app[OUTPUTS].get(output) == b"picture"
    given = input_key(generation, "0" * 8, 0, "image/png")
    await gateway.app[OUTPUTS].put(given, b"input")
    assert (await gateway.call("GET", path_of(given), worker)).raw == b"input"
    for method, object_key in (
        ("PUT", given), ("GET", output), ("PUT", "outputs/../../x.png"), ("GET", "inputs/00/x"),
        ("GET", "farebox-probe"), ("PUT", output_key(generation, 2, 0, "image/png")),
        ("PUT", output_key(generation_id(0), 1, 0, "image/png")),
    ):  # fmt: skip
        body = b"x" if method == "PUT" else None
        refused = await gateway.call(method, path_of(object_key), worker, raw=body)
        assert (refused.status, refused.code) == (404, "not_found"), (method, object_key)


async def test_it_neither_overwrites_what_was_delivered_nor_delivers_what_is_anothers(gateway: Visitor) -> None:
    """A key of the role `worker` could replace any picture that was paid for, and show one customer another's."""
    key, worker = await gateway.account(), await gateway.operator_key("worker")
    theirs = await gateway.finished(key)
    (delivered,) = (await gateway.ledger.generation(generation=theirs)).outputs  # type: ignore[union-attr]
    mine = await gateway.made(key)
    await gateway.begin(mine)

    async def deliver(**changed: Any) -> Any:
        own = {"index": 0, "object_key": output_key(mine, 1, 0, "image/png"), "content_type": "image/png",
               "bytes": 7, "width": 1, "height": 1, "sha256": "0" * 64}  # fmt: skip
        body = {"arguments": {"generation": mine, "attempt": 1, "output": own | changed}}
        return await gateway.call("POST", "/v1/worker/calls/ledger.deliver", worker, body)

    for changed in ({"object_key": delivered.object_key}, {"object_key": "uploads/x"}, {"content_type": "text/html"}):
        refused = await deliver(**changed)
        assert (refused.status, refused.code) == (422, "invalid_request"), changed
        assert refused.error["fields"][0]["path"] == f"arguments.output.{next(iter(changed))}"
    own = output_key(mine, 1, 0, "image/png")
    assert (await gateway.call("PUT", path_of(own), worker, raw=b"picture")).status == 200
    assert (await deliver()).body["outcome"] == "Noted"
    for object_key in (own, delivered.object_key):
        before = await gateway.app[OUTPUTS].get(object_key)
        assert (await gateway.call("PUT", path_of(object_key), worker, raw=b"other")).status == 404, object_key
        assert await gateway.app[OUTPUTS].get(object_key) == before


async def test_what_is_delivered_has_been_stored_whole(gateway: Visitor) -> None:
    """A call was enough: the customer paid for a file that nobody had stored (R9)."""
    key, worker = await gateway.account(), await gateway.operator_key("worker")
    made = await gateway.made(key)
    await gateway.begin(made)
    object_key = output_key(made, 1, 0, "image/png")
    output = {"index": 0, "object_key": object_key, "content_type": "image/png", "bytes": 7, "sha256": "0" * 64}

    async def deliver(**changed: Any) -> Any:
        body = {"arguments": {"generation": made, "attempt": 1, "output": output | changed}}
        return await gateway.call("POST", "/v1/worker/calls/ledger.deliver", worker, body)

    missing = await deliver()
    assert (missing.status, missing.fields) == (422, ["arguments.output.object_key"])
    assert (await gateway.call("PUT", path_of(object_key), worker, raw=b"picture")).status == 200
    cut_off = await deliver(bytes=70)
    assert (cut_off.status, cut_off.fields) == (422, ["arguments.output.bytes"])
    assert (await gateway.call("GET", f"/v1/generations/{made}", key)).body["outputs"] == []
    assert (await deliver()).body["outcome"] == "Noted"


async def test_a_body_that_arrives_slowly_changes_nothing_that_was_delivered_meanwhile(gateway: Visitor) -> None:
    """It was only looked at before its body was read, which may take an hour."""
    worker = await gateway.operator_key("worker")
    made = await gateway.made(await gateway.account())
    await gateway.begin(made)
    object_key, rest = output_key(made, 1, 0, "image/png"), asyncio.Event()

    async def slowly() -> AsyncIterator[bytes]:
        yield b"something "
        await rest.wait()
        yield b"else"

    async def put_slowly() -> int:
        headers = {"Authorization": f"Bearer {worker}"}
        url = gateway.address + path_of(object_key)
        async with gateway.session.put(url, data=slowly(), headers=headers) as response:
            return response.status

    async def is_coming_in() -> bool:
        return gateway.app[INTAKE].coming_in == 1

    slow = asyncio.create_task(put_slowly())
    await until(is_coming_in)
    await gateway.deliver(made, data=b"picture")
    rest.set()
    assert await slow == 404
    assert await gateway.app[OUTPUTS].get(object_key) == b"picture"


DISPATCH = {"tool": "image", "attempt": 1, "score": 1, "queued_at": 1, "not_before": 0, "deadline": 1}
IMPOSSIBLE: list[tuple[str, dict[str, Any], str]] = [
    ("queue.claim", {"tool": "image", "limit": -1, "claim_ms": 1000}, "limit"),
    ("queue.claim", {"tool": "image", "limit": 0, "claim_ms": 1000}, "limit"),
    ("queue.claim", {"tool": "image", "limit": 1, "claim_ms": -1}, "claim_ms"),
    ("queue.claim", {"tool": "image", "limit": 1, "claim_ms": 1000, "wait_seconds": "nan"}, "wait_seconds"),
    ("queue.claim", {"tool": "no tool", "limit": 1, "claim_ms": 1000}, "tool"),
    ("queue.claim", {"tool": "image", "limit": 1, "claim_ms": 1000, "providers": ["a", "a:b"]}, "providers.1"),
    ("ledger.note", {"generation": "gen_", "attempt": 1, "ref": "x"}, "generation"),
    ("ledger.renew", {"attempt": 1, "progress_thousandths": 1001}, "progress_thousandths"),
    ("ledger.settle", {"attempt": 1, "operation": "x", "failure": "provider_failed", "lost": [["a", -1, None]]},
     "lost.0.assumed"),
    ("ledger.settle", {"attempt": 1, "operation": "x", "failure": None, "lost": [["a,b", 1, None]]}, "lost.0.provider"),
    ("ledger.book_loss", {"job": "x", "lost": [["a", None, 2**63]]}, "lost.0.reported"),
    ("slots.hold", {"provider": "fal", "for_ms": -1}, "for_ms"),
    ("job_times.note", {"provider": "fal", "model": "sketch", "seconds": "inf"}, "seconds"),
    ("dispatcher.dispatch", {"dispatches": [DISPATCH | {"generation": "x"}], "notices": []}, "dispatches.0.generation"),
]  # fmt: skip
"""Arguments of the right types that no worker sends, and the one to blame. `limit`: the script never ended, and Redis
served nobody. `lost`: no script could end the generation any more, and its credits stayed held."""


async def test_arguments_that_no_worker_sends_reach_no_script(gateway: Visitor) -> None:
    worker, generation = await gateway.operator_key("worker"), await gateway.made(await gateway.account())
    of_a_generation = {"ledger.note", "ledger.renew", "ledger.settle", "ledger.book_loss", "slots.hold"}
    for call, arguments, blamed in IMPOSSIBLE:
        whole = ({"generation": generation} if call in of_a_generation else {}) | arguments
        refused = await gateway.call("POST", f"/v1/worker/calls/{call}", worker, {"arguments": whole})
        assert (refused.status, refused.fields) == (422, [f"arguments.{blamed}"]), (call, arguments, refused.raw)


async def test_a_claim_lasts_no_longer_than_a_lease(gateway: Visitor) -> None:
    """One call kept every job of a tool from all other workers for as long as it liked."""
    worker, queue = await gateway.operator_key("worker"), gateway.app[QUEUE]
    made = await gateway.made(await gateway.account())
    job = job_id(made, 1)

    async def is_queued() -> bool:
        return await queue.redis.zscore(queue_key("image"), job) is not None

    await until(is_queued)
    body = {"arguments": {"tool": "image", "limit": 1, "claim_ms": 10**12}}
    claimed = await gateway.call("POST", "/v1/worker/calls/queue.claim", worker, body)
    assert [one["id"] for one in claimed.body["value"]] == [job]
    assert await queue.redis.pttl(claim_key(job)) <= gateway.ledger.lease_ms


async def test_what_an_attempt_noted_never_keeps_its_generation_open(gateway: Visitor) -> None:
    """A cost that is none was stored by an earlier version: nothing could end the generation, or refund it."""
    key = await gateway.account()
    for field in ("cost:0", "lost"):
        made = await gateway.made(key)
        await gateway.begin(made)
        await gateway.deliver(made)
        await gateway.ledger.command("HSET", gateway.ledger.generation_key(made), field, "a,-1,")
        await gateway.settle(made)
    balance = (await gateway.call("GET", "/v1/balance", key)).body
    assert (balance["available"], balance["held"]) == (90, 0)


async def test_a_key_that_is_revoked_is_told_nothing_more(gateway: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its stream of generations went on until the gateway ended."""
    monkeypatch.setattr(worker_calls, "LOOK_SECONDS", 0.05)
    made = (await gateway.call("POST", "/v1/admin/keys", gateway.admin, {"scope": "worker"})).body
    async with open_stream(gateway, "/v1/worker/checks", made["key"]) as stream:
        await gateway.call("DELETE", f"/v1/admin/keys/{made['id']}", gateway.admin)
        assert await stream.next() is None


async def test_a_call_that_is_wrong_is_refused_by_name(gateway: Visitor) -> None:
    worker = await gateway.operator_key("worker")

    async def refused(call: str, **arguments: Any) -> tuple[int, str, list[str]]:
        reply = await gateway.call("POST", f"/v1/worker/calls/{call}", worker, {"arguments": arguments})
        return reply.status, reply.code, [field["path"] for field in reply.error.get("fields", [])]

    begin = {"generation": generation_id(0), "attempt": 1, "operation": operation_id()}
    assert await refused("ledger.grant") == (404, "not_found", [])
    assert await refused("ledger.begin", **begin, other=1) == (422, "invalid_request", ["arguments.other"])
    assert await refused("ledger.begin", **begin | {"attempt": "first"}) == (
        422, "invalid_request", ["arguments.attempt"],
    )  # fmt: skip
    asked = {"generation": {"request": {"settings": {"strength": {"decimal": "much"}}}}, "provider": "a"}
    status, code, fields = await refused("ledger.assign", **asked, provider_model=None)
    assert (status, code, fields) == (422, "invalid_request", ["arguments.generation"])
