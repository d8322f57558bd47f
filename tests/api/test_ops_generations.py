"""Operators' list of generations: what stands behind the numbers of the Operations page."""

from __future__ import annotations

from gateway.domain import FailureCode
from tests.api.visitor import Visitor

PATH = "/v1/ops/generations"


async def test_open_ones_come_oldest_first_by_pages_and_failed_ones_newest_first(gateway: Visitor) -> None:
    keys = {name: await gateway.account(name) for name in ("acme", "bolt")}
    await gateway.grant(1_000)
    made = [await gateway.made(keys[name]) for name in ("acme", "bolt", "acme")]
    seen, page = [], (await gateway.call("GET", f"{PATH}?limit=2", gateway.admin)).body
    seen += page["data"]
    page = (await gateway.call("GET", f"{PATH}?limit=2&before={page['next']}", gateway.admin)).body
    seen += page["data"]
    assert ([one["id"] for one in seen], page["next"], page["complete"]) == (made, None, True)
    for generation in made[:2]:
        await gateway.begin(generation)
        await gateway.settle(generation, FailureCode.PROVIDER_REJECTED)
    page = (await gateway.call("GET", f"{PATH}?status=failed&limit=1", gateway.admin)).body
    assert [one["id"] for one in page["data"]] == [made[1]]
    page = (await gateway.call("GET", f"{PATH}?status=failed&before={page['next']}", gateway.admin)).body
    assert [(one["id"], one["code"], one["held"]) for one in page["data"]] == [
        (made[0], FailureCode.PROVIDER_REJECTED, 0)
    ]


async def test_an_ops_key_reads_all_about_it_but_what_is_in_it(gateway: Visitor) -> None:
    key, ops = await gateway.account(), await gateway.operator_key("ops")
    generation = await gateway.made(key, prompt="a secret bicycle")
    reply = await gateway.call("GET", f"{PATH}?older_than_seconds=0&provider=sandbox&account=acme", ops)
    (found,) = reply.body["data"]
    assert (found["id"], found["status"], found["provider"], found["attempt"], found["overdue"]) == (
        generation, "queued", "sandbox", 0, False,
    )  # fmt: skip
    assert found["held"] == found["price"] > 0
    assert found["created_at"] < found["deadline"] < found["gives_up_at"]
    assert b"secret" not in reply.raw
    for query in ("older_than_seconds=60", "status=running", "status=charged", "model=gallery", "code=moderated"):
        assert (await gateway.call("GET", f"{PATH}?{query}", ops)).body["data"] == [], query
    assert (await gateway.call("GET", PATH, key)).status == 403
    assert (await gateway.call("GET", f"{PATH}?before=gen_1", ops)).status == 422
