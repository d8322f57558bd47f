"""Pauses (R36) over HTTP: 503 with the operator's reason for whatever is new, by every way in."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from gateway.api import services
from gateway.api.errors import PAUSED_RETRY_SECONDS
from gateway.api.ordering.inputs import stored
from gateway.clock import now_ms
from gateway.schemas.base import utc
from tests.api.visitor import SKETCH, Visitor, open_stream
from tests.made_media import picture
from tests.until import until as until_

WHY = {"reason": "the provider is down until noon."}


async def test_a_pause_refuses_orders_with_its_reason_and_gives_quotes(gateway: Visitor, key: str) -> None:
    made = await gateway.call("POST", "/v1/generations", key, SKETCH, {"Idempotency-Key": "first"})
    for path, said, what in (
        ("/v1/ops/pauses/tool/image", "All image generations are", ("tool", "image")),
        ("/v1/ops/pauses/model/sketch", "Sketch is", ("model", "sketch")),
        ("/v1/ops/pauses/provider/sandbox", "Sketch is", ("model", "sketch")),
        ("/v1/admin/accounts/acme/pause", "This account is", ("account", "acme")),
    ):
        paused = await gateway.call("PUT", path, gateway.admin, WHY)
        assert paused.status == 200, paused.raw
        refused = await gateway.call("POST", "/v1/generations", key, SKETCH)
        assert (refused.status, refused.code) == (503, "paused"), path
        assert refused.headers["Retry-After"] == str(PAUSED_RETRY_SECONDS)
        reason = f"{said} paused by the operator of this gateway: the provider is down until noon. Nothing was reserved"
        assert refused.message.startswith(reason)
        assert (refused.error["kind"], refused.error["name"], refused.error["reason"]) == (*what, WHY["reason"])
        for other, body in (
            ("/openai/v1/images/generations", {"model": "sketch", "prompt": "a red bicycle"}),
            ("/fal/farebox/sketch", {"prompt": "a red bicycle"}),
            ("/replicate/v1/models/farebox/sketch/predictions", {"input": {"prompt": "a red bicycle"}}),
        ):
            assert (await gateway.call("POST", other, key, body)).status == 503, other
        quote = {name: value for name, value in SKETCH.items() if name != "prompt"}
        assert (await gateway.call("POST", "/v1/quotes", key, quote)).status == 200
        again = await gateway.call("POST", "/v1/generations", key, SKETCH, {"Idempotency-Key": "first"})
        assert (again.status, again.body["id"]) == (200, made.body["id"]), "what was accepted goes on"
        assert (await gateway.call("DELETE", path, gateway.admin)).status == 200
        assert (await gateway.call("DELETE", path, gateway.admin)).status == 404
    assert (await gateway.call("POST", "/v1/generations", key, SKETCH)).status == 202


async def test_what_waits_is_shown_as_paused_can_be_cancelled_and_is_due_when_it_is_resumed(gateway: Visitor) -> None:
    key = await gateway.account()
    before = await gateway.made(key)
    until = utc(now_ms() + 3_600_000)
    path, body = "/v1/ops/pauses/provider/sandbox", WHY | {"new": "wait", "until": until}
    pause = (await gateway.call("PUT", path, gateway.admin, body)).body
    assert (pause["new"], pause["until"]) == ("wait", until)
    made = await gateway.create(key)
    assert made.status == 202
    expected = {"since": pause["since"], "reason": WHY["reason"], "new": "wait", "until": until}
    page = (await gateway.call("GET", "/v1/generations", key)).body["data"]
    assert [one["id"] for one in page] == [made.body["id"], before]
    read = (await gateway.call("GET", f"/v1/generations/{before}", key)).body
    for shown in (made.body, *page, read):
        assert (
            shown["paused"]
            .pop("message")
            .startswith("Paused by the operator of this gateway: the provider is down until noon.")
        )
        assert shown["paused"] == expected
    models = {one["id"]: one.get("paused") for one in (await gateway.call("GET", "/v1/rate-card")).body["models"]}
    assert models["sketch"] == expected
    async with open_stream(gateway, f"/v1/generations/{before}/events", key) as stream:
        snapshot = await stream.until("snapshot")
        assert snapshot.data["paused"]["reason"] == WHY["reason"]
        assert (await gateway.call("POST", f"/v1/generations/{made.body['id']}/cancel", key)).body[
            "status"
        ] == "cancelled"
        (held,) = (await gateway.call("GET", "/v1/ops/generations", gateway.admin)).body["data"]
        assert (held["paused"]["kind"], held["paused"]["name"], held["gives_up_at"]) == ("provider", "sandbox", None)
        assert (await gateway.call("DELETE", path, gateway.admin)).status == 200
        await gateway.notice(before)
        assert "paused" not in (await stream.until("progress")).data

    async def is_due() -> bool:
        (one,) = (await gateway.call("GET", "/v1/ops/generations", gateway.admin)).body["data"]
        return bool(one["overdue"] and one["paused"] is None and one["gives_up_at"])

    await until_(is_due)
    assert (await gateway.call("PUT", path, gateway.admin, WHY | {"until": "2020-01-01T00:00:00Z"})).fields == ["until"]


async def test_a_refusal_says_when_the_pause_ends(gateway: Visitor, key: str) -> None:
    body = WHY | {"until": utc(now_ms() + 120_000)}
    await gateway.call("PUT", "/v1/admin/accounts/acme/pause", gateway.admin, body)
    refused = await gateway.create(key)
    assert 60 < int(refused.headers["Retry-After"]) <= 120
    assert refused.message.endswith(f"Nothing was reserved; retry after {body['until']}.")
    assert refused.error["until"] == body["until"]


async def test_an_empty_pool_and_a_gate_say_nothing_while_it_is_paused(gateway: Visitor, key: str) -> None:
    """Whoever subscribes to be let in, and is then told that it is paused, was misled."""
    await gateway.call("PUT", "/v1/ops/pauses/tool/image", gateway.admin, WHY)
    dear = {"tool": "image", "model": "gallery", "prompt": "x", "settings": {"resolution": "2K"}, "outputs": 4}
    assert (await gateway.call("POST", "/v1/generations", key, dear)).code == "paused"


async def test_pauses_are_listed_shown_and_in_the_audit_log(gateway: Visitor) -> None:
    await gateway.account()
    ops = await gateway.operator_key("ops")
    assert (await gateway.call("PUT", "/v1/ops/pauses/tool/image", ops, WHY)).status == 403
    await gateway.call("PUT", "/v1/ops/pauses/model/sketch", gateway.admin, WHY)
    await gateway.call("PUT", "/v1/admin/accounts/acme/pause", gateway.admin, WHY)
    (pause,) = (await gateway.call("GET", "/v1/ops/pauses", ops)).body["data"]
    assert (pause["kind"], pause["name"], pause["reason"]) == ("model", "sketch", WHY["reason"])
    metrics = (await gateway.call("GET", "/metrics")).raw.decode()
    assert 'farebox_paused{kind="model",name="sketch"} 1.0' in metrics
    account = (await gateway.call("GET", "/v1/admin/accounts/acme", gateway.admin)).body
    assert account["paused"]["reason"] == WHY["reason"]
    why = {"X-Farebox-Reason": "it is back"}
    await gateway.call("DELETE", "/v1/ops/pauses/model/sketch", gateway.admin, headers=why)
    page = (await gateway.call("GET", "/v1/admin/audit-log?limit=3", gateway.admin)).body
    resumed, of_account, of_model = page["data"]
    assert (resumed["action"], resumed["subject"], resumed["reason"]) == ("resume", "sketch", "it is back")
    assert (resumed["before"], resumed["after"]) == ({"paused": WHY["reason"], "new": "refuse"}, {})
    assert (of_account["action"], of_account["after"]["paused.reason"]) == ("pauseAccount", WHY["reason"])
    assert (of_model["subject"], of_model["reason"], of_model["after"]) == (
        "sketch", WHY["reason"], {"paused": WHY["reason"], "new": "refuse"},
    )  # fmt: skip


async def test_only_what_is_on_the_card_can_be_paused(gateway: Visitor) -> None:
    for path in ("tool/smell", "model/none", "provider/none", "account/acme", "plan/basic"):
        reply = await gateway.call("PUT", f"/v1/ops/pauses/{path}", gateway.admin, WHY)
        assert (reply.status, reply.code) == (404, "not_found"), path
    assert (await gateway.call("PUT", "/v1/admin/accounts/nobody/pause", gateway.admin, WHY)).status == 404
    assert (await gateway.call("PUT", "/v1/ops/pauses/tool/image", gateway.admin, {"reason": ""})).status == 422


async def test_a_model_that_leaves_the_card_while_its_inputs_are_stored_is_named_in_the_refusal(
    gateway: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, cards = await gateway.account(), gateway.app[services.RATE_CARDS]
    await gateway.call("PUT", "/v1/ops/pauses/model/sketch", gateway.admin, WHY)

    async def stored_while_the_card_changes(*arguments: Any) -> Any:
        models = {name: model for name, model in cards.loaded.models.items() if name != "sketch"}
        monkeypatch.setattr(cards, "loaded", cards.loaded.model_copy(update={"models": models}))
        return await stored(*arguments)

    monkeypatch.setattr("gateway.api.ordering.ordering.stored", stored_while_the_card_changes)
    data = f"data:image/png;base64,{base64.b64encode(picture('PNG')).decode()}"
    body = SKETCH | {"inputs": [{"kind": "image", "url": data}]}
    refused = await gateway.call("POST", "/v1/generations", key, body)
    assert (refused.status, refused.code) == (503, "paused"), refused.raw
