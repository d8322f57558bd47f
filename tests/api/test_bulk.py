"""Bulk operations (R36): a dry run says what would be done; with its token it is, once, also if it is cut short."""

from __future__ import annotations

import base64
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from gateway.api import services
from gateway.api.handlers import bulk
from gateway.api.ordering.retries import retry_id
from gateway.domain import FailureCode
from gateway.ledger import outcomes
from tests.api.visitor import Reply, Visitor, open_gateway
from tests.made_media import picture

WHY = "the provider is down"


async def ask(gateway: Visitor, action: str, only: dict[str, Any], key: str | None = None, **more: Any) -> Reply:
    body = {"filter": only, "reason": WHY, **more}
    return await gateway.call("POST", f"/v1/ops/bulk/{action}", key or gateway.admin, body)


async def done(gateway: Visitor, action: str, only: dict[str, Any]) -> dict[str, Any]:
    """Dry run, then the same with its token."""
    dry = await ask(gateway, action, only)
    assert (dry.status, dry.body["dry_run"], dry.body["complete"]) == (200, True, False), dry.raw
    made: dict[str, Any] = (await ask(gateway, action, only, token=dry.body["token"])).body
    assert (made["dry_run"], made["complete"], made["remaining"]) == (False, True, 0)
    return made


async def fail(gateway: Visitor, generation: str, code: FailureCode = FailureCode.PROVIDER_REJECTED) -> None:
    await gateway.begin(generation)
    await gateway.settle(generation, code)


async def read(gateway: Visitor, generation: str) -> dict[str, Any]:
    found: dict[str, Any] = (await gateway.call("GET", f"/v1/generations/{generation}", gateway.admin)).body
    return found


async def test_a_dry_run_changes_nothing_and_its_set_is_what_is_cancelled(gateway: Visitor) -> None:
    keys = {name: await gateway.account(name) for name in ("acme", "bolt")}
    running, queued = [await gateway.made(keys["acme"]) for _ in range(2)]
    other = await gateway.made(keys["bolt"])
    await gateway.begin(running)
    dry = (await ask(gateway, "cancel", {"provider": "sandbox", "older_than_seconds": 0})).body
    assert (dry["count"], dry["accounts"], dry["credits"], dry["limit"], dry["more"]) == (3, 2, 15, 1000, False)
    assert [one["id"] for one in dry["generations"]] == [running, queued, other]
    assert (await gateway.call("GET", "/v1/balance", keys["acme"])).body["held"] == 10
    later = await gateway.made(keys["bolt"])
    only, token = {"provider": "sandbox", "older_than_seconds": 0}, dry["token"]
    made = (await ask(gateway, "cancel", only, token=token)).body
    assert (made["results"], made["credits_moved"], made["complete"]) == ({"cancelled": 2, "stopping": 1}, 10, True)
    assert (await ask(gateway, "cancel", only, token=token)).body == made, "again: nothing twice"
    states = [(await read(gateway, one))["status"] for one in (running, queued, other, later)]
    assert states == ["running", "cancelled", "cancelled", "queued"]
    await gateway.settle(running)
    for name in keys:
        journal = (await gateway.call("GET", "/v1/journal", keys[name])).body["data"]
        assert {entry["reason"] for entry in journal if entry["kind"] == "refund"} == {WHY}
    page = (await gateway.call("GET", "/v1/admin/audit-log?action=cancelGenerations", gateway.admin)).body["data"]
    assert [(one["reason"], one["subject"]) for one in page] == [(WHY, token)] * 3
    assert page[1]["after"]["results.cancelled"] == 2


async def test_a_refund_gives_back_once_with_one_entry_and_is_seen_by_the_customer(gateway: Visitor, key: str) -> None:
    generations = [await gateway.finished(key) for _ in range(2)]
    made = await done(gateway, "refund", {"account": "acme"})
    assert (made["count"], made["credits"], made["results"], made["credits_moved"]) == (2, 10, {"refunded": 2}, 10)
    assert (await ask(gateway, "refund", {"account": "acme"})).body["count"] == 0, "they are given back already"
    for generation in generations:
        credits_ = (await read(gateway, generation))["credits"]
        assert (credits_["committed"], credits_["given_back"]) == (5, 5)
        receipt = (await gateway.call("GET", f"/v1/generations/{generation}/receipt", key)).body
        assert (receipt["entries"][-1]["kind"], receipt["entries"][-1]["reason"]) == ("adjust", WHY)
    assert (await gateway.call("GET", "/v1/balance", key)).body["available"] == 100


async def test_a_support_key_refunds_up_to_its_ceiling(redis_url: str, tmp_path: Path) -> None:
    async with open_gateway(redis_url, tmp_path, support_max_credits=Decimal(5)) as gateway:
        key, support = await gateway.account(), await gateway.operator_key("support")
        await gateway.finished(key)
        token = (await ask(gateway, "refund", {"account": "acme"}, support)).body["token"]
        await gateway.finished(key)
        refused = await ask(gateway, "refund", {"account": "acme"}, support)
        assert (refused.status, refused.code) == (403, "forbidden")
        allowed = await ask(gateway, "refund", {"account": "acme"}, support, token=token)
        assert (allowed.status, allowed.body["credits_moved"]) == (200, 5)
        assert (await ask(gateway, "cancel", {"account": "acme"}, support)).status == 403
        dear = f"{ONE}/{await gateway.finished(key, outputs=2)}/refund"
        assert (await gateway.call("POST", dear, support, {"reason": WHY})).code == "forbidden"


async def test_a_retry_points_back_costs_what_it_cost_then_and_is_made_once(gateway: Visitor, key: str) -> None:
    body = {"metadata": {"order": "A-17"}, "tags": {"project": "x"}, "webhook_url": "https://example.com/hook"}
    data = f"data:image/png;base64,{base64.b64encode(picture('PNG')).decode()}"
    failed = await gateway.made(key, inputs=[{"kind": "image", "url": data}], **body)
    kept = await gateway.made(key)
    await fail(gateway, failed)
    await fail(gateway, kept, FailureCode.MODERATED)
    only = {"account": "acme", "code": "provider_rejected"}
    dry = (await ask(gateway, "retry", only)).body
    made = (await ask(gateway, "retry", only, token=dry["token"])).body
    assert (made["count"], made["credits"], made["results"], made["credits_moved"]) == (1, 5, {"retried": 1}, 5)
    again = await read(gateway, retry_id(failed))
    was = await read(gateway, failed)
    same = ("account", "key", "tool", "model", "prompt", "settings", "price", "metadata", "tags", "outputs_requested")
    assert {name: again[name] for name in same} == {name: was[name] for name in same}
    assert (again["status"], again["retry_of"], "retry_of" in was) == ("queued", failed, False)
    stored = await gateway.ledger.generation(generation=retry_id(failed))
    original = await gateway.ledger.generation(generation=failed)
    assert isinstance(stored, outcomes.Generation)
    assert isinstance(original, outcomes.Generation)
    assert stored.webhook == original.webhook
    (copied,) = stored.request.inputs
    assert await gateway.app[services.OUTPUTS].get(copied.url) == picture("PNG")
    assert copied.url != original.request.inputs[0].url
    assert (await ask(gateway, "retry", only)).body["count"] == 0, "it is retried already"
    assert (await ask(gateway, "retry", only, token=dry["token"])).body == made


async def test_a_retry_that_is_refused_leaves_the_inputs_of_another_at_the_same_time(
    gateway: Visitor, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both copied them to the same place, and the one that was refused deleted them: the other failed."""
    data = f"data:image/png;base64,{base64.b64encode(picture('PNG')).decode()}"
    failed = await gateway.made(key, inputs=[{"kind": "image", "url": data}])
    await fail(gateway, failed)
    only = {"account": "acme"}
    first, second = [(await ask(gateway, "retry", only)).body["token"] for _ in range(2)]

    async def overtaken(*_: Any, **__: Any) -> outcomes.SubscriptionRequired:
        monkeypatch.undo()
        assert (await ask(gateway, "retry", only, token=second)).body["results"] == {"retried": 1}
        return outcomes.SubscriptionRequired()

    monkeypatch.setattr(type(gateway.ledger), "reserve", overtaken)
    assert (await ask(gateway, "retry", only, token=first)).body["results"] == {"subscription_required": 1}
    retried = await gateway.ledger.generation(generation=retry_id(failed))
    assert isinstance(retried, outcomes.Generation)
    (copied,) = retried.request.inputs
    assert await gateway.app[services.OUTPUTS].get(copied.url) == picture("PNG")


async def test_a_retry_belongs_to_the_member_also_if_their_key_was_revoked(gateway: Visitor) -> None:
    await gateway.account()
    account = "/v1/admin/accounts/acme"
    ada = (await gateway.call("POST", f"{account}/members", gateway.admin, {"name": "Ada"})).body["id"]
    key = (await gateway.call("POST", f"{account}/keys", gateway.admin, {"member": ada})).body
    failed = await gateway.made(key["key"])
    await fail(gateway, failed)
    await gateway.call("DELETE", f"{account}/keys/{key['id']}", gateway.admin)
    assert (await done(gateway, "retry", {"account": "acme"}))["results"] == {"retried": 1}
    again = await read(gateway, retry_id(failed))
    assert (again["key"], again["member"]) == (key["id"], ada)
    (member,) = (await gateway.call("GET", f"{account}/members", gateway.admin)).body["data"]
    assert member["usage"] == 5, "it counts for their limit"


async def test_what_cannot_be_retried_says_why_and_holds_nothing(gateway: Visitor, key: str) -> None:
    await fail(gateway, await gateway.made(key))
    await gateway.call("PUT", "/v1/ops/pauses/model/sketch", gateway.admin, {"reason": WHY})
    assert (await done(gateway, "retry", {"account": "acme"}))["results"] == {"paused": 1}
    await gateway.call("DELETE", "/v1/ops/pauses/model/sketch", gateway.admin)
    body = {"bucket": "free", "credits": -97, "reason": "a test"}
    await gateway.call("POST", "/v1/admin/accounts/acme/adjustments", gateway.admin, body)
    made = await done(gateway, "retry", {"account": "acme"})
    assert (made["results"], made["credits_moved"]) == ({"insufficient_credits": 1}, 0)


async def test_one_call_does_a_part_and_the_next_goes_on(gateway: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk, "PER_CALL_MAX", 2)
    key = await gateway.account()
    for _ in range(3):
        await gateway.finished(key)
    dry = (await ask(gateway, "refund", {"account": "acme"})).body
    first, second = [(await ask(gateway, "refund", {"account": "acme"}, token=dry["token"])).body for _ in range(2)]
    assert (first["done"], first["remaining"], first["complete"]) == (2, 1, False)
    assert (second["done"], second["remaining"], second["complete"]) == (3, 0, True)


async def test_a_call_that_was_killed_before_it_noted_its_results_goes_on_and_does_nothing_twice(
    gateway: Visitor, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await gateway.finished(key)
    dry = (await ask(gateway, "refund", {"account": "acme"})).body

    async def killed(*_: Any, **__: Any) -> None:
        raise RuntimeError("kill -9")

    with monkeypatch.context() as patched:
        patched.setattr(type(gateway.ledger), "note_results", killed)
        assert (await ask(gateway, "refund", {"account": "acme"}, token=dry["token"])).status == 500
    made = (await ask(gateway, "refund", {"account": "acme"}, token=dry["token"])).body
    assert (made["results"], made["credits_moved"]) == ({"refunded": 1}, 5)
    assert (await gateway.call("GET", "/v1/balance", key)).body["available"] == 100


async def test_a_token_is_for_its_filter_action_and_reason_only(gateway: Visitor) -> None:
    token = (await ask(gateway, "cancel", {"tool": "image"})).body["token"]
    unknown = f"blk_{'a' * 26}"
    for action, only, more in (
        ("cancel", {"tool": "video"}, {"token": token}),
        ("refund", {"tool": "image"}, {"token": token}),
        ("cancel", {"tool": "image"}, {"token": token, "reason": "another"}),
        ("cancel", {"tool": "image"}, {"token": unknown}),
    ):
        refused = await ask(gateway, action, only, **more)
        assert (refused.status, refused.fields) == (422, ["token"]), (action, only)
    assert (await ask(gateway, "cancel", {})).status == 422, "everything at once is no filter"
    assert (await ask(gateway, "cancel", {"account": None})).status == 422, "nor is null"
    assert (await ask(gateway, "refund", {"status": "queued"})).fields == ["filter.status"]
    assert (await ask(gateway, "cancel", {"generations": []})).status == 422


ONE = "/v1/admin/generations"


async def test_one_generation_is_refunded_and_one_retried_once_each_with_a_reason(gateway: Visitor) -> None:
    """Without a dry run and a token: support has its id in front of it."""
    key, support = await gateway.account(), await gateway.operator_key("support")
    charged, failed = await gateway.finished(key), await gateway.made(key)
    refund, retry, because = f"{ONE}/{charged}/refund", f"{ONE}/{failed}/retry", {"reason": WHY}
    refused = await gateway.call("POST", f"{ONE}/{failed}/refund", support, because)
    assert (refused.status, refused.code, refused.fields) == (422, "invalid_request", ["generation"])
    assert "has not ended: cancel it instead. Nothing was changed." in refused.message
    await fail(gateway, failed)
    for reason in (WHY, "once more"):
        given = await gateway.call("POST", refund, support, {"reason": reason})
        assert (given.status, given.body["id"], given.body["credits"]["given_back"]) == (200, charged, 5), given.raw
    assert (await gateway.call("GET", "/v1/balance", key)).body["available"] == 100
    (entry,) = (await gateway.call("GET", "/v1/journal?kind=adjust", key)).body["data"]
    assert (entry["generation"], entry["credits"], entry["reason"]) == (charged, 5, WHY)
    assert (await gateway.call("POST", retry, support, because)).status == 403
    made, again = [await gateway.call("POST", retry, gateway.admin, because) for _ in range(2)]
    assert (made.status, again.status, made.body["id"]) == (201, 200, again.body["id"])
    assert (made.body["retry_of"], made.body["status"]) == (failed, "queued")
    assert "has not failed" in (await gateway.call("POST", f"{ONE}/{charged}/retry", gateway.admin, because)).message
    for action in ("refund", "retry"):
        assert (await gateway.call("POST", f"{ONE}/gen_{'0' * 26}/{action}", gateway.admin, because)).status == 404
    page = (await gateway.call("GET", "/v1/admin/audit-log?account=acme", gateway.admin)).body["data"]
    found = {one["action"]: one for one in page if one["after"]}
    changed = [found["refundGeneration"], found["retryGeneration"]]
    assert [(one["subject"], one["reason"]) for one in changed] == [(charged, WHY), (failed, WHY)]
    assert [(one["before"], one["after"]) for one in changed] == [
        ({"given_back": 0}, {"given_back": 5}), ({"retried": False}, {"retried": True}),
    ]  # fmt: skip
