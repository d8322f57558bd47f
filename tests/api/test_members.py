"""R25 over HTTP: an account's members, their keys, and what each of them sees."""

from __future__ import annotations

from typing import Any

from tests.api.visitor import Visitor

ACCOUNT = "/v1/admin/accounts/acme"
MEMBERS = f"{ACCOUNT}/members"
SKETCH_CREDITS = 5


async def add(gateway: Visitor, name: str, **body: Any) -> dict[str, Any]:
    """A member of acme's, with a key: as the API shows them, and `key`."""
    made = await gateway.call("POST", MEMBERS, gateway.admin, {"name": name} | body)
    assert made.status == 201, made.raw
    key = await gateway.call("POST", f"{ACCOUNT}/keys", gateway.admin, {"member": made.body["id"]})
    assert (key.status, key.body["member"]) == (201, made.body["id"])
    return dict(made.body) | {"key": key.body["key"], "key_id": key.body["id"]}


async def test_r25_operators_add_change_and_remove_members(gateway: Visitor) -> None:
    await gateway.account()
    ada = await add(gateway, "Ada", email="ada@example.com")
    assert ada["id"].startswith("mem_")
    assert (ada["role"], ada["limit"], ada["removed_at"]) == ("owner", None, None)
    once = {"Idempotency-Key": "bob"}
    limit = {"credits": 12, "period": "weekly"}
    bob = await gateway.call("POST", MEMBERS, gateway.admin, {"name": "Bob", "limit": limit}, headers=once)
    again = await gateway.call("POST", MEMBERS, gateway.admin, {"name": "Bob", "limit": limit}, headers=once)
    assert (bob.status, again.body, bob.body["limit"]) == (201, bob.body, limit)
    path = f"{MEMBERS}/{bob.body['id']}"
    changed = await gateway.call("PATCH", path, gateway.admin, {"role": "admin", "limit": None, "name": "Robert"})
    assert (changed.body["role"], changed.body["limit"], changed.body["name"]) == ("admin", None, "Robert")
    handed = await gateway.call("POST", f"{path}/owner", gateway.admin)
    assert (handed.status, handed.body["role"]) == (200, "owner")
    listed = (await gateway.call("GET", MEMBERS, gateway.admin)).body["data"]
    assert [(one["name"], one["role"], one["usage"]) for one in listed] == [("Ada", "admin", 0), ("Robert", "owner", 0)]
    for method, where, body, field, said in (
        ("POST", MEMBERS, {"name": "x", "role": "owner"}, "role", "Hand ownership over instead"),
        ("POST", MEMBERS, {"name": "x", "email": "ADA@example.com"}, "email", f"already belongs to member {ada['id']}"),
        ("PATCH", path, {"role": "member"}, "role", "of the owner changes when they hand ownership over"),
        ("DELETE", path, None, "member", "hand ownership over first"),
        ("POST", f"{ACCOUNT}/keys", {"member": "mem_" + "a" * 24}, "member", "must be a member of this account"),
    ):
        reply = await gateway.call(method, where, gateway.admin, body)
        assert (reply.status, reply.code, reply.fields) == (422, "invalid_request", [field]), reply.raw
        assert said in reply.message
    removed = await gateway.call("DELETE", f"{MEMBERS}/{ada['id']}", gateway.admin)
    assert (removed.status, removed.body["email"]) == (200, None)
    assert removed.body["removed_at"] is not None
    assert (await gateway.call("GET", "/v1/balance", ada["key"])).code == "invalid_key"
    assert (await gateway.call("PATCH", f"{MEMBERS}/{ada['id']}", gateway.admin, {"name": "x"})).code == "not_found"
    whole = (await gateway.call("GET", ACCOUNT, gateway.admin)).body
    assert [(one["name"], one["removed_at"] is None) for one in whole["members"]] == [("Ada", False), ("Robert", True)]


async def test_r25_what_a_member_makes_says_so_and_their_limit_is_their_own(gateway: Visitor) -> None:
    service = await gateway.account()
    await gateway.grant(1_000)
    await add(gateway, "Ada")
    bob = await add(gateway, "Bob", limit={"credits": 12, "period": "daily"})
    made = await gateway.made(bob["key"], outputs=2)
    shown = (await gateway.call("GET", f"/v1/generations/{made}", service)).body
    receipt = (await gateway.call("GET", f"/v1/generations/{made}/receipt", service)).body
    for one in (shown, receipt):
        assert (one["member"], one["key"]) == (bob["id"], bob["key_id"])
    (entry,) = receipt["entries"]
    assert (entry["kind"], entry["key"], entry["member"]) == ("reserve", bob["key_id"], bob["id"])
    refused = await gateway.create(bob["key"])
    error = refused.error
    assert (refused.status, error["code"], error["whose"], error["remaining"]) == (402, "limit_reached", "member", 2)
    assert refused.message.startswith("Your daily limit of 12 credits is reached: the price is 5, and 2 are left.")
    assert "ask whoever manages this account's members to raise it." in refused.message
    own = (await gateway.call("GET", "/v1/key", bob["key"])).body
    assert (own["member"], own["role"], own["limit"], own["usage"]) == (bob["id"], "member", None, 10)
    assert own["member_limit"].items() >= {"limit": bob["limit"], "limit_remaining": 2, "usage_daily": 10}.items()
    nobody = (await gateway.call("GET", "/v1/key", service)).body
    assert (nobody["member"], nobody["role"], nobody["member_limit"]) == (None, None, None)
    assert (await gateway.create(service)).body["member"] is None
