"""What operators do with accounts, and what the account then sees: balance, journal, plan, clock."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.api.test_support_commands import run
from tests.api.visitor import Visitor
from tests.cases import cases
from tests.until import until

ACCOUNT = "/v1/admin/accounts/acme"


async def test_an_account_is_created_once_and_then_updated(gateway: Visitor) -> None:
    made = await gateway.call("PUT", ACCOUNT, gateway.admin, {"email": "Ada@Example.com", "metadata": {"team": 7}})
    assert (made.status, made.body["email"], made.body["metadata"]) == (201, "Ada@Example.com", {"team": 7})
    same = await gateway.call("PUT", ACCOUNT, gateway.admin, {"metadata": {}})
    assert (same.status, same.body["email"], same.body["metadata"]) == (200, "Ada@Example.com", {})


async def test_free_credits_wait_until_the_account_is_verified(gateway: Visitor, tmp_path: Path) -> None:
    """A 402 must not say that credits come tomorrow to an account that gets none."""
    card = tmp_path / "pricing.toml"
    card.write_text(card.read_text().replace("[free]\n", '[free]\nfor = "verified"\n', 1))
    sign_up = "/v1/admin/accounts/farmed"

    async def in_force() -> bool:
        return bool((await gateway.call("GET", "/v1/rate-card")).body["free"]["audience"] == "verified")

    await until(in_force)
    made = await gateway.call("PUT", sign_up, gateway.admin, {})
    assert (made.body["free_credits"], made.body["balance"]["available"]) == (None, 0)
    key = (await gateway.call("POST", f"{sign_up}/keys", gateway.admin, {})).body["key"]
    refused = await gateway.create(key)
    assert (refused.status, refused.code) == (402, "insufficient_credits")
    assert refused.error["ways_out"]["wait"] == []
    verified = await gateway.call("PUT", sign_up, gateway.admin, {"free_credits": True})
    assert (verified.body["free_credits"], verified.body["balance"]["available"]) == (True, 100)
    await gateway.made(key)
    assert "100" in await run(gateway, "account", "create", "acme", "--free-credits")


async def test_an_account_is_found_by_email_without_case(gateway: Visitor) -> None:
    await gateway.call("PUT", ACCOUNT, gateway.admin, {"email": "Ada@Example.com"})
    found = await gateway.call("GET", "/v1/admin/accounts?email=ada@example.COM", gateway.admin)
    assert (found.status, found.body["id"]) == (200, "acme")
    reply = await gateway.call("GET", "/v1/admin/accounts?email=bob@example.com", gateway.admin)
    assert (reply.status, reply.message) == (404, "There is no account with the email bob@example.com.")


async def test_an_email_belongs_to_one_account(gateway: Visitor) -> None:
    await gateway.call("PUT", ACCOUNT, gateway.admin, {"email": "ada@example.com"})
    reply = await gateway.call("PUT", "/v1/admin/accounts/other", gateway.admin, {"email": "ada@example.com"})
    assert (reply.status, reply.code, reply.fields) == (422, "invalid_request", ["email"])
    assert "already belongs to account acme" in reply.message


async def test_an_account_id_has_a_short_list_of_characters(gateway: Visitor) -> None:
    for name in ("a b", "x" * 65, "ümlaut", "a:b"):
        reply = await gateway.call("PUT", f"/v1/admin/accounts/{name}", gateway.admin, {})
        assert (reply.status, reply.code, reply.fields) == (422, "invalid_request", ["id"]), name


async def test_support_sees_everything_in_one_object(gateway: Visitor, key: str) -> None:
    running, other, waiting = [await gateway.made(key) for _ in range(3)]
    await gateway.begin(running)
    body = (await gateway.call("GET", ACCOUNT, gateway.admin)).body
    assert body["in_work"] == {"image": 2}
    assert body["waiting"] == {"image": 1}
    assert body["balance"]["held"] == 15
    assert [one["id"] for one in body["generations"]] == [waiting, other, running]
    assert [entry["kind"] for entry in body["journal"]] == ["reserve", "reserve", "reserve", "reset"]
    described = {"id", "scope", "member", "label", "created_at", "last_used_at"}
    bounds = {"limit", "tools", "models", "networks", "expires_at"}
    assert [set(one) for one in body["keys"]] == [described | bounds]
    assert body["clock"]["offset_seconds"] == 0


async def test_the_balance_has_three_buckets_and_the_plan(gateway: Visitor, key: str) -> None:
    await gateway.subscribe("standard")
    await gateway.grant(73.5)
    body = (await gateway.call("GET", "/v1/balance", key)).body
    assert (body["available"], body["held"]) == (8173.5, 0)
    assert body["buckets"]["free"]["available"] == 100
    assert body["buckets"]["subscription"]["available"] == body["buckets"]["subscription"]["of"] == 8000
    assert body["buckets"]["top_up"] == {"available": 73.5}
    assert [grant["bucket"] for grant in body["grants"]] == ["free", "subscription", "top_up"]
    assert body["grants"][2]["expires_at"] is None
    assert body["plan"] == {
        "id": "standard",
        "status": "active",
        "interval": "monthly",
        "paid_through": None,
        "scheduled": None,
    }
    assert body["top_up_allowed"] is True


async def test_without_a_subscription_the_plan_is_free(gateway: Visitor) -> None:
    body = (await gateway.call("GET", "/v1/balance", await gateway.account())).body
    assert (body["plan"]["id"], body["plan"]["status"], body["top_up_allowed"]) == ("free", "none", False)
    assert body["buckets"]["subscription"] == {"available": 0, "of": 0, "refreshes_at": None}


async def test_the_journal_is_newest_first_and_pages(gateway: Visitor, key: str) -> None:
    for credits_ in (1, 2, 3):
        await gateway.grant(credits_)
    first = (await gateway.call("GET", "/v1/journal?limit=2", key)).body
    second = (await gateway.call("GET", f"/v1/journal?limit=2&before={first['next']}", key)).body
    entries = first["data"] + second["data"]
    assert [(entry["kind"], entry["credits"]) for entry in entries] == [
        ("grant", 3),
        ("grant", 2),
        ("grant", 1),
        ("reset", 100),
    ]
    assert second["next"] is None
    assert entries[0]["reason"] == "a test"
    assert entries[0]["buckets"] == {"top_up": {"credits": 3, "held": 0}}
    assert (entries[0]["available_after"], entries[0]["held_after"]) == (106, 0)


async def test_a_page_is_a_hundred_at_most_however_many_are_asked_for(gateway: Visitor, key: str) -> None:
    for _ in range(102):
        await gateway.grant(1)
    page = (await gateway.call("GET", "/v1/journal?limit=5000", key)).body
    rest = (await gateway.call("GET", f"/v1/journal?limit=5000&before={page['next']}", key)).body
    assert (len(page["data"]), len(rest["data"]), rest["next"]) == (100, 3, None)


async def test_a_grant_says_which_it_is_and_may_expire(gateway: Visitor) -> None:
    await gateway.account()
    clock = (await gateway.call("GET", ACCOUNT, gateway.admin)).body["clock"]["now"]
    soon = f"{int(clock[:4]) + 1}{clock[4:10]}T12:00:00+02:00"
    body = {"bucket": "free", "credits": 0.001, "reason": "sorry", "expires_at": soon}
    reply = await gateway.call("POST", f"{ACCOUNT}/grants", gateway.admin, body)
    assert reply.status == 201
    grants = {grant["id"]: grant for grant in reply.body["account"]["balance"]["grants"]}
    made = grants[reply.body["grant"]]
    assert (made["available"], made["expires_at"]) == (0.001, f"{soon[:10]}T10:00:00.000Z")


@cases(
    ("path", "body", "field", "said"),
    [
        ("grants", {"bucket": "free", "credits": 0, "reason": "x"}, "credits", "greater than 0"),
        ("grants", {"bucket": "gold", "credits": 1, "reason": "x"}, "bucket", "'free', 'subscription' or 'top_up'"),
        ("grants", {"bucket": "free", "credits": 1, "reason": ""}, "reason", "at least 1 character"),
        # Seconds since the epoch were taken for a time, though the description says RFC 3339.
        (
            "grants",
            {"bucket": "free", "credits": 1, "reason": "x", "expires_at": "4102444800"},
            "expires_at",
            "must be a time with an offset",
        ),
        ("grants", {"bucket": "free", "credits": "1", "reason": "x"}, "credits", "must be a number of credits"),
        (
            "grants",
            {"bucket": "free", "credits": 1, "reason": "x", "expires_at": "2020-01-01T00:00:00Z"},
            "expires_at",
            "must be after the account's current time",
        ),
        (
            "grants",
            {"bucket": "free", "credits": 1, "reason": "x", "expires_at": "2030-01-01T00:00:00"},
            "expires_at",
            "timezone",
        ),
        ("grants", {"bucket": "free", "credits": 1, "reason": "x", "expires_at": 1}, "expires_at", "must be a time"),
        ("adjustments", {"bucket": "free", "credits": 0, "reason": "x"}, "credits", "must not be 0"),
        ("adjustments", {"bucket": "free", "credits": -101, "reason": "x"}, "credits", "100 credits"),
        ("adjustments", {"bucket": "subscription", "credits": 5, "reason": "x"}, "bucket", "has no subscription"),
        ("clock", {"advance_seconds": 0}, "advance_seconds", "greater than or equal to 1"),
        ("clock", {"advance_seconds": -5}, "advance_seconds", "greater than or equal to 1"),
        ("subscription", {"plan": "gold", "interval": "monthly"}, "plan", "must be one of basic, standard"),
        (
            "subscription",
            {"plan": "basic", "interval": "monthly", "started_at": "2200-01-01T00:00:00Z"},
            "started_at",
            "must not be in the future",
        ),
        (
            "subscription",
            {"plan": "basic", "interval": "monthly", "paid_through": "2020-01-01T00:00:00Z"},
            "paid_through",
            "must be after",
        ),
        ("subscription", {"plan": "basic", "interval": "weekly"}, "interval", "'monthly', 'quarterly' or 'yearly'"),
    ],
)
async def test_422_an_operators_mistake_is_named(
    gateway: Visitor, path: str, body: dict[str, Any], field: str, said: str
) -> None:
    await gateway.account()
    before = (await gateway.call("GET", ACCOUNT, gateway.admin)).body["balance"]
    method = "PUT" if path == "subscription" else "POST"
    reply = await gateway.call(method, f"{ACCOUNT}/{path}", gateway.admin, body)
    assert (reply.status, reply.code, reply.fields) == (422, "invalid_request", [field])
    assert said in reply.message
    assert (await gateway.call("GET", ACCOUNT, gateway.admin)).body["balance"] == before


async def test_held_credits_cannot_be_adjusted_away(gateway: Visitor, key: str) -> None:
    await gateway.made(key, outputs=4)
    body = {"bucket": "free", "credits": -100, "reason": "x"}
    reply = await gateway.call("POST", f"{ACCOUNT}/adjustments", gateway.admin, body)
    assert reply.status == 422
    assert "more than the bucket has available (80 credits). Held credits cannot be adjusted" in reply.message


async def test_a_moved_clock_marks_the_account_and_brings_the_next_days_credits(gateway: Visitor, key: str) -> None:
    await gateway.finished(key)
    assert "clock_offset_seconds" not in (await gateway.call("GET", "/v1/balance", key)).body
    reply = await gateway.call("POST", f"{ACCOUNT}/clock", gateway.admin, {"advance_seconds": 86_400})
    assert (await gateway.call("GET", "/v1/balance", key)).body["clock_offset_seconds"] == 86_400
    assert (reply.status, reply.body["test"], reply.body["clock"]["offset_seconds"]) == (200, True, 86_400)
    assert (await gateway.call("GET", "/v1/balance", key)).body["available"] == 100


async def test_operators_get_404_for_missing_accounts(gateway: Visitor) -> None:
    for method, path, body in (
        ("POST", "grants", {"bucket": "free", "credits": 1, "reason": "x"}),
        ("POST", "adjustments", {"bucket": "free", "credits": 1, "reason": "x"}),
        ("POST", "clock", {"advance_seconds": 1}),
        ("PUT", "subscription", {"plan": "basic", "interval": "monthly"}),
        ("DELETE", "subscription", None),
        ("POST", "keys", {}),
        ("GET", "keys", None),
    ):
        reply = await gateway.call(method, f"/v1/admin/accounts/nobody/{path}", gateway.admin, body)
        assert (reply.status, reply.message) == (404, "There is no account nobody."), path
