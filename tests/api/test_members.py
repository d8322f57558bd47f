"""R25 over HTTP: an account's members, their keys, and what each of them sees."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.api.visitor import SKETCH, Visitor, open_gateway, open_stream

OURS = {"Sec-Fetch-Site": "same-origin"}
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


CALLS_OF_A_GENERATION = (
    "GET /v1/generations/{0}", "GET /v1/generations/{0}/receipt", "GET /v1/generations/{0}/events",
    "GET /v1/generations/{0}/outputs/0", "POST /v1/generations/{0}/cancel", "GET /v1/generations?before={0}",
    "GET /replicate/v1/predictions/{0}", "POST /replicate/v1/predictions/{0}/cancel", "GET /openai/v1/videos/{0}",
    "GET /fal/farebox/sketch/requests/{0}/status", "GET /fal/farebox/sketch/requests/{0}",
    "GET /replicate/v1/predictions/{0}/stream", "GET /openai/v1/videos/{0}/content",
)  # fmt: skip


async def test_r25_a_member_sees_the_usage_of_nobody_else(gateway: Visitor) -> None:
    await gateway.account()
    ada, bob, eve = await add(gateway, "Ada"), await add(gateway, "Bob"), await add(gateway, "Eve")
    await gateway.finished(bob["key"], tags={"team": "film"})
    usage = "/v1/usage?group_by=member"
    assert (await gateway.call("GET", usage, eve["key"])).body["data"] == []
    of_bob = (await gateway.call("GET", usage, bob["key"])).body["data"]
    assert [(one["member"], one["credits"]) for one in of_bob] == [(bob["id"], SKETCH_CREDITS)]
    assert (await gateway.call("GET", f"{usage}&member={bob['id']}", eve["key"])).code == "not_found"
    assert (await gateway.call("GET", "/v1/usage?group_by=tag:team", eve["key"])).code == "forbidden"
    estimate = await gateway.call("POST", "/v1/estimates", eve["key"], {"from": "last_30_days"})
    assert (estimate.status, estimate.body["items"]) == (200, [])
    everybodys = (await gateway.call("GET", usage, ada["key"])).body
    assert everybodys["totals"]["credits"] == SKETCH_CREDITS


async def test_r25_a_member_sees_nothing_of_anothers(gateway: Visitor) -> None:
    """In lists, by id, in streams, the journal, the facades, and by a guessed idempotency key."""
    service = await gateway.account()
    await gateway.grant(1_000)
    ada = await add(gateway, "Ada")
    bob, eve = await add(gateway, "Bob"), await add(gateway, "Eve")
    theirs = await gateway.finished(bob["key"])
    of_account = await gateway.made(service)
    own = await gateway.made(eve["key"], once="guessed")
    for hidden in (theirs, of_account):
        for call in CALLS_OF_A_GENERATION:
            method, path = call.format(hidden).split(" ")
            assert (await gateway.call(method, path, eve["key"])).status == 404, (method, path)
    for listing in ("/v1/generations", f"/v1/generations?member={eve['id']}"):
        assert [one["id"] for one in (await gateway.call("GET", listing, eve["key"])).body["data"]] == [own]
    assert (await gateway.call("GET", f"/v1/generations?member={bob['id']}", eve["key"])).code == "not_found"
    listed = (await gateway.call("GET", "/replicate/v1/predictions", eve["key"])).body["results"]
    assert [one["id"] for one in listed] == [own]
    journal = (await gateway.call("GET", "/v1/journal", eve["key"])).body["data"]
    assert [(one["kind"], one["generation"]) for one in journal] == [("reserve", own)]
    assert (await gateway.call("GET", f"/v1/journal?member={bob['id']}", eve["key"])).code == "not_found"
    same = await gateway.create(bob["key"], once="guessed")
    assert (same.status, same.body["id"] == own) == (202, False), "an idempotency key is of one member"
    again = await gateway.create(eve["key"], once="guessed")
    assert (again.status, again.body["id"]) == (200, own)
    async with open_stream(gateway, "/v1/events", eve["key"]) as stream:
        assert (await stream.until("snapshot")).data["id"] == own
        await gateway.call("POST", f"/v1/generations/{of_account}/cancel", service)
        for changed in (of_account, theirs, own):
            await gateway.notice(changed)
        await gateway.call("POST", f"/v1/generations/{own}/cancel", eve["key"])
        await gateway.notice(own)
        assert (await stream.until("done")).data["id"] == own
    for key in (ada["key"], service):
        everybodys = (await gateway.call("GET", "/v1/generations", key)).body["data"]
        assert {one["member"] for one in everybodys} == {None, bob["id"], eve["id"]}
        of_bob = (await gateway.call("GET", f"/v1/generations?member={bob['id']}", key)).body["data"]
        assert [one["id"] for one in of_bob] == [same.body["id"], theirs]


async def test_r25_members_manage_members_and_keys_by_their_role(
    gateway: Visitor, redis_url: str, tmp_path: Path
) -> None:
    """And a change of role takes effect at once, at every gateway."""
    service = await gateway.account()
    ada, bob = await add(gateway, "Ada"), await add(gateway, "Bob", role="admin")
    for key, role, status in ((service, "member", 403), (bob["key"], "admin", 403), (bob["key"], "member", 201)):
        made = await gateway.call("POST", "/v1/members", key, {"name": "Eve", "role": role})
        assert made.status == status, made.raw
    eve = made.body["id"]
    path = f"/v1/members/{eve}"
    assert (await gateway.call("PATCH", path, bob["key"], {"role": "admin"})).code == "forbidden"
    async with open_gateway(redis_url, tmp_path) as other:
        for body, status in (
            ({"member": None}, 403), ({"member": ada["id"]}, 403), ({"member": bob["id"]}, 201), ({"member": eve}, 201),
        ):  # fmt: skip
            theirs = await gateway.call("POST", "/v1/keys", bob["key"], body)
            assert theirs.status == status, theirs.raw
        theirs = theirs.body
        assert (await gateway.call("POST", "/v1/keys", bob["key"], {})).body["member"] == bob["id"]
        assert (await other.call("GET", "/v1/keys", theirs["key"])).code == "forbidden"
        assert (await gateway.call("PATCH", path, ada["key"], {"role": "admin"})).body["role"] == "admin"
        assert (await other.call("GET", "/v1/keys", theirs["key"])).status == 200
        assert (await gateway.call("PATCH", path, ada["key"], {"role": "member"})).body["role"] == "member"
        assert (await other.call("GET", "/v1/keys", theirs["key"])).code == "forbidden"
        refused = await other.call("GET", "/v1/members", theirs["key"])
        assert refused.message == "Only an admin or the owner of this account may make this call. Your role is member."
        removed = await gateway.call("DELETE", path, bob["key"])
        assert removed.status == 200, removed.raw
        assert (await other.call("GET", "/v1/balance", theirs["key"])).code == "invalid_key"
    handed = await gateway.call("POST", f"/v1/members/{bob['id']}/owner", ada["key"])
    assert (handed.status, handed.body["role"]) == (200, "owner")
    assert (await gateway.call("POST", f"/v1/members/{ada['id']}/owner", ada["key"])).code == "forbidden"
    rotated = await gateway.call("POST", f"/v1/keys/{ada['key_id']}/rotate", bob["key"], {})
    assert (rotated.status, rotated.body["member"]) == (201, ada["id"])
    log = (await gateway.call("GET", "/v1/admin/audit-log?account=acme", gateway.admin)).body["data"]
    logged = {(one["action"], one["member"], one["role"], one["status"]) for one in log}
    assert {
        ("addMember", bob["id"], "admin", 201), ("addMember", bob["id"], "admin", 403),
        ("changeMember", ada["id"], "owner", 200), ("handOver", ada["id"], "owner", 200),
        ("createKey", bob["id"], "admin", 201), ("rotateKey", bob["id"], "owner", 201),
    } <= logged  # fmt: skip
    (hand_over,) = [one for one in log if one["action"] == "handOver" and one["status"] == 200]
    names = [f"members.{ada['id']}.role", f"members.{bob['id']}.role"]
    assert [hand_over["before"][name] for name in names] == ["owner", "admin"]
    assert [hand_over["after"][name] for name in names] == ["admin", "owner"]
    added = next(one for one in log if one["action"] == "addMember" and one["status"] == 201)
    assert added["after"][f"members.{eve}.name"] == "(withheld)"


async def test_r25_an_invitation_signs_its_member_in_once_with_their_role(gateway: Visitor) -> None:
    await gateway.account()
    ada, bob = await add(gateway, "Ada"), await add(gateway, "Bob", role="admin")
    eve = (await gateway.call("POST", "/v1/members", bob["key"], {"name": "Eve"})).body["id"]

    async def invited(key: str, member: str) -> str:
        made = await gateway.call("POST", f"/v1/members/{member}/invitation", key)
        assert made.status == 201, made.raw
        return str(made.body["url"]).partition("#")[2]

    async def accept(token: str) -> Any:
        return await gateway.call("POST", "/session", None, {"link": token}, OURS)

    for key, member in ((bob["key"], ada["id"]), (bob["key"], bob["id"])):
        assert (await gateway.call("POST", f"/v1/members/{member}/invitation", key)).code == "forbidden"
    assert (await gateway.call("POST", "/v1/members/none/invitation", bob["key"])).code == "not_found"
    token = await invited(bob["key"], eve)
    accepted = await accept(token)
    assert (accepted.status, accepted.body) == (
        201, {"scope": "account", "account": "acme", "member": eve, "role": "member"},
    )  # fmt: skip
    session = {"Cookie": accepted.headers["Set-Cookie"].partition(";")[0]} | OURS
    made = await gateway.call("POST", "/v1/generations", None, SKETCH, session)
    assert (made.status, made.body["member"]) == (202, eve)
    assert (await gateway.call("GET", "/v1/members", None, None, session)).code == "forbidden"
    assert "already been used" in (await accept(token)).message
    assert (await accept(await invited(ada["key"], eve))).status == 201
    keys = (await gateway.call("GET", "/v1/keys", ada["key"])).body["data"]
    assert [key["label"] for key in keys if key["member"] == eve] == ["Console"], "one for all sessions"
    kept = await invited(bob["key"], eve)
    assert (await gateway.call("PATCH", f"/v1/members/{eve}", ada["key"], {"role": "admin"})).status == 200
    assert (await accept(kept)).code == "invalid_key", "who invited a member cannot sign in as an admin"
    assert (await gateway.call("GET", "/v1/members", None, None, session)).status == 200
    late = await invited(ada["key"], eve)
    assert (await gateway.call("DELETE", f"/v1/members/{eve}", ada["key"])).status == 200
    assert (await accept(late)).code == "invalid_key"
    assert (await gateway.call("GET", "/v1/balance", None, None, session)).code == "invalid_key"
    max_ = (await gateway.call("POST", "/v1/members", ada["key"], {"name": "Max"})).body["id"]
    by_bob, by_ada = await invited(bob["key"], max_), await invited(ada["key"], max_)
    assert (await gateway.call("DELETE", f"/v1/members/{bob['id']}", ada["key"])).status == 200
    assert (await accept(by_bob)).code == "invalid_key", "a removed admin cannot get back in as somebody else"
    assert (await accept(by_ada)).body["member"] == max_
    by_operator = await gateway.call("POST", f"{MEMBERS}/{ada['id']}/invitation", gateway.admin)
    assert (await accept(by_operator.body["url"].partition("#")[2])).body["role"] == "owner"


async def test_r25_a_plan_without_seats_for_all_is_not_sold_and_says_who_would_have_to_go(gateway: Visitor) -> None:
    await gateway.account()
    ada, bob = await add(gateway, "Ada"), await add(gateway, "Bob")
    eve = await add(gateway, "Eve")
    plan = {"plan": "basic", "interval": "monthly"}
    for method, path, key in (
        ("POST", "/v1/subscriptions", ada["key"]),
        ("PUT", f"{ACCOUNT}/subscription", gateway.admin),
    ):
        refused = await gateway.call(method, path, key, plan)
        assert (refused.status, refused.code, refused.fields) == (422, "invalid_request", ["plan"]), refused.raw
        assert "has 2 seats, and the account has 3 members. Remove 1 first" in refused.message
        assert ": Eve (mem_" in refused.message
        assert (refused.error["seats"], refused.error["seats_used"]) == (2, 3)
        assert refused.error["leaving"] == [{"id": eve["id"], "name": "Eve"}]
    assert (await gateway.call("DELETE", f"/v1/members/{bob['id']}", ada["key"])).status == 200
    await gateway.subscribe()
    listed = (await gateway.call("GET", "/v1/members", ada["key"])).body
    assert (listed["seats"], listed["seats_used"]) == (2, 2)
    full = await gateway.call("POST", "/v1/members", ada["key"], {"name": "Bob"})
    assert (full.status, full.code) == (422, "invalid_request")
    assert "the basic plan has 2, and all are taken. Remove a member, or choose a plan with more seats" in full.message
    plans = (await gateway.call("GET", "/v1/plans")).body
    assert ([one["seats"] for one in plans["data"] if one["id"] == "basic"], plans["free"]["seats"]) == ([2], None)
