"""The operators' roles (R37): what each may change, what it is not shown, and how much support may give."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.api.routes import ROUTES, SSE
from gateway.domain import Scope
from gateway.settings import load_settings
from tests.api.test_support_commands import as_json, command, run
from tests.api.visitor import Visitor, open_stream

CREDITS = {"POST /v1/admin/accounts/{account}/grants", "POST /v1/admin/accounts/{account}/adjustments"}
BULK = {"POST /v1/ops/bulk/refund", "POST /v1/admin/generations/{generation}/refund"}
"""Their ceiling is of what was charged: `tests/api/test_bulk.py`."""
ANYBODYS = {"POST /v1/estimates", "POST /v1/sign-in-links"}
OF_SUBSCRIPTIONS = {
    "PUT /v1/admin/accounts/{account}/subscription",
    "PATCH /v1/admin/accounts/{account}/subscription",
    "DELETE /v1/admin/accounts/{account}/subscription",
    "POST /v1/admin/accounts/{account}/subscription/resume",
    "POST /v1/ops/payment-events/{event}/retry",
    "DELETE /v1/ops/payment-events/{event}",
}
CHANGES = {
    Scope.OPS: ANYBODYS,
    Scope.VIEWER: ANYBODYS,
    Scope.SUPPORT: ANYBODYS | CREDITS | BULK,
    Scope.BILLING: ANYBODYS | CREDITS | BULK | OF_SUBSCRIPTIONS | {"PUT /v1/admin/accounts/{account}/factors"},
}
AMOUNTS: dict[str, dict[str, Any]] = {
    "POST /v1/admin/accounts/{account}/grants": {"bucket": "top_up", "reason": "sorry"},
    "POST /v1/admin/accounts/{account}/adjustments": {"bucket": "top_up", "reason": "sorry"},
}
"""A body for each call by which support changes credits; `credits` is added."""
WORDS = ("a secret garden", "secret.example.com")


def may_call(role: Scope) -> set[str]:
    """What such a key may call that is no read."""
    return {f"{route.method} {route.path}" for route in ROUTES if role in route.scopes and route.method != "GET"}


@pytest.mark.parametrize("role", CHANGES)
def test_a_role_may_change_this_and_nothing_else(role: Scope) -> None:
    assert may_call(role) == CHANGES[role]


@pytest.mark.parametrize("role", ["viewer", "billing"])
async def test_prompts_inputs_and_outputs_are_not_shown_to(gateway: Visitor, role: str) -> None:
    key, inputs = await gateway.account(), [{"kind": "image", "url": f"https://{WORDS[1]}/me.png"}]
    await gateway.subscribe()
    ended = await gateway.finished(key, model="sketch", prompt=WORDS[0], inputs=inputs)
    opened = await gateway.made(key, model="sketch", prompt=WORDS[0], inputs=inputs)
    await gateway.begin(opened)
    await gateway.deliver(opened)
    operator, shown = await gateway.operator_key(role), 0
    searched = await gateway.call("GET", f"/v1/generations?account=acme&q={WORDS[0][:3]}", operator)
    assert (searched.status, searched.code) == (403, "forbidden"), "or its words could be guessed"
    for generation in (ended, opened):
        for route in ROUTES:
            if Scope(role) not in route.scopes or route.method != "GET":
                continue
            path = route.path.replace("{generation}", generation).replace("{account}", "acme")
            path += "?account=acme" if route.takes is not None and "account" in route.takes.model_fields else ""
            if route.media == SSE:
                async with open_stream(gateway, path, operator) as stream:
                    event = await stream.next()
                    assert event is not None
                    said = str(event.data)
            else:
                reply = await gateway.call("GET", path.replace("/accounts?account=acme", "/accounts?email=a"), operator)
                said = reply.raw.decode()
            shown += generation in said
            assert not [word for word in (*WORDS, "signature=") if word in said], route.path
    assert shown >= 8, "the walk saw no generations"
    admins = (await gateway.call("GET", f"/v1/generations/{ended}", gateway.admin)).body
    assert (admins["prompt"], admins["inputs"], "withheld" in admins) == (WORDS[0], inputs, False)
    seen = (await gateway.call("GET", f"/v1/generations/{ended}", operator)).body
    assert (seen["prompt"], seen["inputs"][0]["url"], seen["outputs"][0]["url"]) == ("", None, None)
    assert seen["withheld"] is True
    again = (await gateway.call("GET", f"/v1/generations/{ended}", key)).body
    assert again["prompt"] == WORDS[0], "what a viewer was shown is not kept for others"


async def test_an_outputs_event_is_sent_to_a_viewer_without_its_url(gateway: Visitor) -> None:
    generation = await gateway.made(await gateway.account(), prompt=WORDS[0])
    await gateway.begin(generation)
    viewer = await gateway.operator_key("viewer")
    async with open_stream(gateway, f"/v1/generations/{generation}/events", viewer) as stream:
        await stream.until("snapshot")
        await gateway.deliver(generation)
        await gateway.notice(generation)
        assert (await stream.until("output")).data["output"]["url"] is None
        await gateway.settle(generation)
        await gateway.notice(generation)
        done = (await stream.until("done")).data
    assert (done["prompt"], done["outputs"][0]["url"]) == ("", None)


async def test_support_changes_credits_up_to_its_ceiling(gateway: Visitor) -> None:
    await gateway.account()
    support, ceiling = await gateway.operator_key("support"), int(load_settings().support_max_credits)
    assert set(AMOUNTS) == may_call(Scope.SUPPORT) - ANYBODYS - BULK, "every one of them checks the ceiling"
    for call, body in AMOUNTS.items():
        method, path = call.replace("{account}", "acme").split(" ")
        for amount in (ceiling + 0.001, *((-ceiling - 0.001,) if "adjustments" in path else ())):
            refused = await gateway.call(method, path, support, body | {"credits": amount})
            assert (refused.status, refused.code) == (403, "forbidden")
            assert "up to 1,000 credits per call; this is 1,000.001" in refused.message
            assert (await gateway.call(method, path, gateway.admin, body | {"credits": abs(amount)})).status == 201
        assert (await gateway.call(method, path, support, body | {"credits": ceiling})).status == 201
    logged = (await gateway.call("GET", "/v1/admin/audit-log", support)).body["data"]
    assert {(entry["role"], entry["status"]) for entry in logged} >= {
        ("support", 201),
        ("support", 403),
        ("admin", 201),
    }


async def test_the_command_makes_keys_of_each_role(gateway: Visitor) -> None:
    made = await as_json(gateway, "operator", "key", "viewer", "--label", "the accountant")
    assert (made["scope"], made["label"]) == ("viewer", "the accountant")
    assert (await gateway.call("GET", "/v1/ops/queues", made["key"])).status == 200
    listed = await run(gateway, "operator", "keys")
    assert f"{made['id']} viewer" in listed
    assert "the accountant" in listed
    assert await run(gateway, "operator", "revoke", made["id"]) == f"{made['id']} has been revoked."
    assert (await gateway.call("GET", "/v1/ops/queues", made["key"])).status == 401
    for none in ("account", "token"):
        status, _, said = await command(gateway, "operator", "key", none)
        assert (status, "ops, viewer" in said.replace("'", "")) == (2, True), said
