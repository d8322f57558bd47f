"""Limit reached × pool empty × gated × paused: each request gets the one answer that its sender can act on."""

from __future__ import annotations

from itertools import product

from tests.api.visitor import Reply, Visitor

LIMIT = {"credits": 2, "period": "weekly"}
PAUSE = "/v1/ops/pauses/provider/sandbox"
WHY = "we repair the renderer"
SKETCH, PRO = ("sketch", False), ("gallery", True)
MESSAGES = {
    "paused": "paused by the operator of this gateway: we repair the renderer. Nothing was reserved; retry later.",
    "subscription_required": "Gallery requires an active subscription. Subscribe to a plan (GET /v1/plans), or choose",
    "insufficient_credits": "Not enough credits",
    "key": "This API key's weekly limit of 2 credits is reached: the price is 5, and 2 are left. The limit resets at 2",
    "member": "Your weekly limit of 2 credits is reached: the price is 5, and 2 are left. The limit resets at 2",
}
ADVICE = {
    "insufficient_credits": "You can wait for the free credits at 2",
    "key": "ask whoever manages this account's API keys to raise it. Nothing was reserved.",
    "member": "ask whoever manages this account's members to raise it. Nothing was reserved.",
}


async def keys_of(gateway: Visitor, account: str) -> dict[str | None, str]:
    """A key without a limit, one with a limit that is reached, and one of a member who has reached theirs."""
    plain = await gateway.account(account)
    path = f"/v1/admin/accounts/{account}"
    member = (await gateway.call("POST", f"{path}/members", gateway.admin, {"name": "Ada", "limit": LIMIT})).body
    bodies = ({"limit": LIMIT}, {"member": member["id"]})
    limited, own = [await gateway.call("POST", f"{path}/keys", gateway.admin, body) for body in bodies]
    return {None: plain, "key": limited.body["key"], "member": own.body["key"]}


def check_answer(reply: Reply, expected: str) -> None:
    code = "limit_reached" if expected in {"key", "member"} else expected
    assert (reply.status, reply.code) == ({"paused": 503, "subscription_required": 403}.get(code, 402), code)
    assert MESSAGES[expected] in reply.message
    assert ADVICE.get(expected, "Nothing was reserved") in reply.message
    pool = {"available", "held", "ways_out"} & reply.error.keys()
    assert bool(pool) == (code == "insufficient_credits"), "of the pool nothing is said but that it is empty"
    if code == "limit_reached":
        assert (reply.error["whose"], reply.error["limit"], reply.error["remaining"]) == (expected, LIMIT, 2)
    if code == "paused":
        assert (reply.error["reason"], reply.headers["Retry-After"]) == (WHY, "60")


async def test_each_combination_gets_its_own_code_and_a_sentence_to_act_on(gateway: Visitor) -> None:
    """Paused, gated, empty, limited: in this order, whatever else is true. A pause that lets wait hides nothing."""
    accounts = {empty: await keys_of(gateway, f"pool-{empty}") for empty in (False, True)}
    drained = {"bucket": "free", "credits": -100, "reason": "a test"}
    await gateway.call("POST", "/v1/admin/accounts/pool-True/adjustments", gateway.admin, drained)
    for new in (None, "refuse", "wait"):
        await gateway.call("DELETE", PAUSE, gateway.admin)
        if new is not None:
            await gateway.call("PUT", PAUSE, gateway.admin, {"reason": WHY, "new": new})
        for (model, gated), empty, limit in product((SKETCH, PRO), accounts, (None, "key", "member")):
            key = accounts[empty][limit]
            reply = await gateway.create(key, model=model)
            told = (new, model, empty, limit, reply.raw)
            if new == "refuse":
                check_answer(reply, "paused")
            elif gated:
                check_answer(reply, "subscription_required")
            elif empty:
                check_answer(reply, "insufficient_credits")
            elif limit is not None:
                check_answer(reply, limit)
            else:
                assert (reply.status, reply.body.get("paused", {}).get("reason")) == (202, new and WHY), told
                await gateway.call("POST", f"/v1/generations/{reply.body['id']}/cancel", key)
            assert (await gateway.call("GET", "/v1/balance", key)).body["held"] == 0, told
