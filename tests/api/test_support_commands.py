"""`farebox account` and `farebox generation` against a running gateway: what support reads in the terminal."""

from __future__ import annotations

import asyncio
import json
import os
from typing import Any

from gateway.domain import FailureCode
from tests.api.visitor import Visitor
from tests.preforked import run_farebox


async def command(visitor: Visitor, *arguments: str, columns: str = "200") -> tuple[int, str, str]:
    """Run the command in a process of its own: how it ended, what it printed, and its complaints."""
    environment = {"FAREBOX_PUBLIC_URL": visitor.address, "FAREBOX_ADMIN_KEY": visitor.admin, "COLUMNS": columns}
    done = await asyncio.to_thread(run_farebox, *arguments, environment=os.environ | environment)
    return done.returncode, done.stdout, done.stderr


async def run(visitor: Visitor, *arguments: str) -> str:
    """What the command prints, its spaces made one; it must succeed."""
    code, said, complained = await command(visitor, *arguments)
    assert code == 0, complained
    return said if "--json" in arguments else " ".join(said.split())


async def as_json(visitor: Visitor, *arguments: str) -> Any:
    return json.loads(await run(visitor, *arguments, "--json"))


async def test_a_generation_is_explained_to_the_millicredit(gateway: Visitor, key: str) -> None:
    await gateway.subscribe()
    generation = await gateway.made(key, model="gallery", settings={"resolution": "2K"}, outputs=2)
    await gateway.begin(generation)
    await gateway.deliver(generation)
    await gateway.settle(generation, FailureCode.PROVIDER_REJECTED)
    said = await run(gateway, "generation", generation)
    for part in (
        f"{generation} succeeded · account acme",
        "1 of 2 outputs · attempt 1",
        "Gallery · 2K 73.5 2 147",
        "held 0, committed 73.5, refunded 73.5",
        "free d1 100",
        "subscription m2 47",
        "reserve -147 +147",
        "commit 0 -73.5",
        "refund +73.5 -73.5",
    ):
        assert part in said, said
    answer = await as_json(gateway, "generation", generation)
    assert answer["generation"]["id"] == answer["receipt"]["generation"] == generation
    assert [entry["kind"] for entry in answer["receipt"]["entries"]] == ["reserve", "commit", "refund"]


async def test_a_failed_generation_says_why(gateway: Visitor) -> None:
    generation = await gateway.made(await gateway.account())
    await gateway.begin(generation)
    await gateway.settle(generation, FailureCode.MODERATED)
    assert "moderated: " in await run(gateway, "generation", generation)


async def test_an_unknown_generation_is_said_so(gateway: Visitor) -> None:
    code, _, complained = await command(gateway, "generation", "gen_nothing")
    assert code == 1
    assert "There is no generation gen_nothing" in complained


async def test_a_plan_is_changed_cancelled_and_resumed_in_the_terminal(gateway: Visitor) -> None:
    await gateway.account()
    await run(gateway, "account", "subscribe", "acme", "basic")
    said = await run(gateway, "account", "change", "acme", "standard", "--interval", "yearly", "--when", "period_end")
    assert "plan basic (active, monthly), standard yearly from 20" in said
    assert "plan basic (active, monthly) · account time" in await run(gateway, "account", "resume", "acme")
    assert "plan basic (cancelled, monthly), ends 20" in await run(gateway, "account", "cancel", "acme")
    assert (await as_json(gateway, "account", "resume", "acme"))["balance"]["plan"]["status"] == "active"
    assert "plan standard (active" in await run(gateway, "account", "change", "acme", "standard", "--when", "now")
    shown = await run(gateway, "account", "show", "acme")
    assert "alerts at: 20 %, 0 %" in shown
    assert "never used)" in shown


async def test_support_sees_everything_in_one_object_and_never_a_key(gateway: Visitor, key: str) -> None:
    await gateway.call("PUT", "/v1/admin/accounts/acme", gateway.admin, {"email": "ada@example.com"})
    await gateway.subscribe()
    generation = await gateway.made(key)
    shown = await as_json(gateway, "account", "show", "acme")
    assert shown["email"] == "ada@example.com"
    assert (shown["balance"]["plan"]["id"], shown["balance"]["held"]) == ("basic", 5)
    assert {grant["bucket"] for grant in shown["balance"]["grants"]} == {"free", "subscription"}
    assert shown["in_work"] == {"image": 1}
    assert [one["id"] for one in shown["generations"]] == [generation]
    assert [entry["kind"] for entry in shown["journal"]] == ["reserve", "refresh", "reset"]
    assert len(shown["keys"]) == 1
    assert key not in json.dumps(shown)
    assert key not in await run(gateway, "account", "show", "--email", "ada@example.com")


async def test_support_adds_changes_and_removes_members(gateway: Visitor) -> None:
    await gateway.account()
    ada = await as_json(gateway, "account", "members", "add", "acme", "Ada", "--email", "ada@example.com")
    assert (ada["role"], ada["email"]) == ("owner", "ada@example.com")
    bob = await as_json(gateway, "account", "members", "add", "acme", "Bob", "--role", "member", "--limit", "12.5")
    assert bob["limit"] == {"credits": 12.5, "period": "monthly"}
    said = await run(gateway, "account", "members", "change", "acme", bob["id"], "--no-limit", "--role", "admin")
    assert said == f"{bob['id']}: admin, no limit"
    assert await run(gateway, "account", "members", "hand-over", "acme", bob["id"]) == f"{bob['id']}: owner, no limit"
    assert "/sign-in#" in await run(gateway, "account", "members", "invite", "acme", ada["id"])
    await run(gateway, "account", "key", "acme", "--member", ada["id"])
    keys = await as_json(gateway, "account", "keys", "acme")
    assert [key["member"] for key in keys["data"]] == [None, ada["id"]]
    assert (await run(gateway, "account", "members", "remove", "acme", ada["id"])).startswith(f"{ada['id']}: removed")
    listed = await run(gateway, "account", "members", "list", "acme")
    assert f"{ada['id']} removed no limit 0 Ada" in listed
    assert f"{bob['id']} owner no limit 0 Bob" in listed
