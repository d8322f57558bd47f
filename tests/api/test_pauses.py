"""Pauses (R36) over HTTP: 503 with the operator's reason for whatever is new, by every way in."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from gateway.api import services
from gateway.api.errors import PAUSED_RETRY_SECONDS
from gateway.api.ordering.inputs import stored
from tests.api.visitor import SKETCH, Visitor
from tests.made_media import picture

WHY = {"reason": "the provider is down until noon."}


async def test_a_pause_refuses_orders_with_its_reason_and_gives_quotes(gateway: Visitor) -> None:
    key = await gateway.account()
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


async def test_an_empty_pool_and_a_gate_say_nothing_while_it_is_paused(gateway: Visitor) -> None:
    """Whoever subscribes to be let in, and is then told that it is paused, was misled."""
    key = await gateway.account()
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
    assert (resumed["before"], resumed["after"]) == ({"paused": WHY["reason"]}, {})
    assert (of_account["action"], of_account["after"]["paused.reason"]) == ("pauseAccount", WHY["reason"])
    assert (of_model["subject"], of_model["reason"], of_model["after"]) == (
        "sketch", WHY["reason"], {"paused": WHY["reason"]},
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
        models = {name: model for name, model in cards.card.models.items() if name != "sketch"}
        monkeypatch.setattr(cards, "card", cards.card.model_copy(update={"models": models}))
        return await stored(*arguments)

    monkeypatch.setattr("gateway.api.ordering.ordering.stored", stored_while_the_card_changes)
    data = f"data:image/png;base64,{base64.b64encode(picture('PNG')).decode()}"
    body = SKETCH | {"inputs": [{"kind": "image", "url": data}]}
    refused = await gateway.call("POST", "/v1/generations", key, body)
    assert (refused.status, refused.code) == (503, "paused"), refused.raw
