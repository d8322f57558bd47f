"""The audit log (R37): every change made with an operator's key, once, with who, what, before and after."""

from __future__ import annotations

import asyncio
import re
from typing import Any
from unittest.mock import patch

import pytest

from gateway.api.description.operations import NAMES, NOT_LOGGED
from gateway.api.middleware.what_changed import STATES
from gateway.api.routes import ROUTES
from gateway.domain import Scope
from gateway.errors import LedgerUnavailable
from gateway.facades.routes import FACADE_ROUTES
from gateway.ledger.ledger import Ledger
from tests.api.test_support_commands import run
from tests.api.visitor import Visitor

LOG = "/v1/admin/audit-log"
GRANTS = "/v1/admin/accounts/acme/grants"
GRANT = {"bucket": "top_up", "credits": 40, "reason": "sorry about Monday"}


async def entries(gateway: Visitor, query: str = "limit=100") -> list[dict[str, Any]]:
    page = await gateway.call("GET", f"{LOG}?{query}", gateway.admin)
    assert page.status == 200, page.raw
    found: list[dict[str, Any]] = page.body["data"]
    return found


def recorded(scope: Scope) -> list[tuple[str, str]]:
    """The calls with such a key that change something."""
    return [
        (route.method, route.named_path)
        for route in (*ROUTES, *FACADE_ROUTES)
        if scope in route.scopes and route.method != "GET" and NAMES[route.method, route.path] not in NOT_LOGGED
    ]


@pytest.mark.parametrize("scope", [Scope.ADMIN, Scope.OPS])
async def test_every_call_of_operators_that_is_no_read_leaves_one_entry(gateway: Visitor, scope: Scope) -> None:
    await gateway.account()
    key = await gateway.operator_key(scope.value)
    named = {
        "account": "acme",
        "key": "key_none",
        "member": "mem_none",
        "event": "evt_none",
        "delivery": "evt_none",
        "webhook": "default",
    }
    named |= {"kind": "tool", "name": "image", "generation": f"gen_{'0' * 26}"}
    assert recorded(scope)
    for method, path in recorded(scope):
        assert not re.findall(r"{(\w+)}", path) or not STATES.keys().isdisjoint(re.findall(r"{(\w+)}", path)), (
            f"{method} {path}: what_changed.py does not say how the state of its subject is read"
        )
        known = len(await entries(gateway))
        target = re.sub(r"{(\w+)}", lambda match: named[match[1]], path)
        reply = await gateway.call(method, target, key, {}, headers={"X-Farebox-Reason": "a%20test"})
        found = await entries(gateway)
        assert len(found) == known + 1, (method, path)
        entry = found[0]
        assert entry["status"] == reply.status, (method, path)
        assert entry["request_id"] == reply.headers["X-Request-Id"]
        assert (entry["action"], entry["reason"]) == (NAMES[method, path], "a test")
        assert re.fullmatch(r"key_[0-9a-f]{32}", entry["key"])


async def test_reads_estimates_and_accounts_own_calls_leave_none(gateway: Visitor) -> None:
    own = await gateway.account()
    known = await entries(gateway)
    await gateway.call("GET", "/v1/admin/accounts/acme", gateway.admin)
    await gateway.call("HEAD", "/v1/admin/accounts/acme", gateway.admin)
    items = {"items": [{"tool": "image", "model": "sketch", "per_month": 1}]}
    await gateway.call("POST", "/v1/estimates", gateway.admin, items)
    await gateway.made(own)
    await gateway.call("POST", "/v1/webhooks", own, {"url": "https://example.com/hook", "events": ["credits.low"]})
    await gateway.call("POST", "/v1/admin/keys", own, {"scope": "admin"})  # refused: it has no such scope
    assert await entries(gateway) == known


async def test_a_grant_says_who_what_why_and_the_credits_before_and_after(gateway: Visitor) -> None:
    await gateway.account()
    await gateway.grant(2)
    reply = await gateway.call("POST", GRANTS, gateway.admin, GRANT)
    entry = (await entries(gateway))[0]
    assert entry | {"id": "", "created_at": "", "before": {}, "after": {}} == {
        "id": "", "object": "audit_log_entry", "created_at": "", "key": "root", "role": "admin", "member": None,
        "address": "127.0.0.1", "action": "grantCredits", "account": "acme", "subject": "acme",
        "before": {}, "after": {}, "reason": "sorry about Monday",
        "request_id": reply.headers["X-Request-Id"], "operation": None,
        "status": 201, "replayed": False,
    }  # fmt: skip
    assert entry["before"] == {"balance.available": 102, "balance.buckets.top_up.available": 2}
    assert entry["after"] == {"balance.available": 142, "balance.buckets.top_up.available": 42}


async def test_a_change_of_plan_shows_both_plans(gateway: Visitor) -> None:
    await gateway.account()
    body = {"plan": "basic", "interval": "monthly"}
    why = {"X-Farebox-Reason": "Gutschein f%C3%BCr M%C3%A4rz"}
    await gateway.call("PUT", "/v1/admin/accounts/acme/subscription", gateway.admin, body, why)
    entry = (await entries(gateway))[0]
    assert (entry["before"]["balance.plan.id"], entry["after"]["balance.plan.id"]) == ("free", "basic")
    assert entry["after"]["balance.available"] > entry["before"]["balance.available"]
    assert entry["reason"] == "Gutschein für März"


async def test_keys_are_named_and_never_shown(gateway: Visitor) -> None:
    await gateway.account()
    made = (await gateway.call("POST", "/v1/admin/accounts/acme/keys", gateway.admin, {"label": "shop"})).body
    entry = (await entries(gateway))[0]
    assert entry["after"][f"keys.{made['id']}.label"] == "(withheld)"
    await gateway.call("DELETE", f"/v1/admin/accounts/acme/keys/{made['id']}", gateway.admin)
    entry = (await entries(gateway))[0]
    assert (entry["subject"], entry["before"][f"keys.{made['id']}.label"]) == (made["id"], "(withheld)")
    of_operator = (await gateway.call("POST", "/v1/admin/keys", gateway.admin, {"scope": "admin"})).body
    entry = (await entries(gateway))[0]
    assert (entry["subject"], entry["before"], entry["after"]["scope"]) == (of_operator["id"], {}, "admin")
    assert (await entries(gateway))[0]["account"] is None
    stored = await gateway.ledger.command("ZRANGE", "fb:audit_log", 0, -1)
    for key in (made["key"], of_operator["key"], gateway.admin):
        assert key not in str(stored)


async def test_of_emails_metadata_and_urls_only_the_change_is_kept(gateway: Visitor) -> None:
    await gateway.account()
    change = {"email": "ada@example.com", "metadata": {"name": "Ada"}}
    await gateway.call("PUT", "/v1/admin/accounts/acme", gateway.admin, change)
    entry = (await entries(gateway))[0]
    assert (entry["before"]["email"], entry["after"]["email"]) == (None, "(withheld)")
    hook = {"url": "https://example.com/secret-path", "events": ["credits.low"]}
    made = (await gateway.call("POST", "/v1/webhooks", gateway.admin, hook)).body
    entry = (await entries(gateway))[0]
    assert (entry["subject"], entry["after"]["url"]) == (made["id"], "(withheld)")
    stored = str(await gateway.ledger.command("ZRANGE", "fb:audit_log", 0, -1))
    for secret in ("ada@", "Ada", "secret-path", made["secret"]):
        assert secret not in stored


async def test_a_retry_does_not_look_like_a_second_grant(gateway: Visitor) -> None:
    await gateway.account()
    for _ in range(2):
        await gateway.call("POST", GRANTS, gateway.admin, GRANT, {"Idempotency-Key": "once"})
    again, first = (await entries(gateway))[:2]
    assert (first["replayed"], again["replayed"]) == (False, True)
    assert first["operation"] == again["operation"] is not None
    assert (again["before"], again["after"]) == (None, None)
    assert first["after"]["balance.buckets.top_up.available"] == 40


async def test_what_is_refused_changed_nothing(gateway: Visitor) -> None:
    await gateway.account()
    reply = await gateway.call("POST", GRANTS, gateway.admin, GRANT | {"credits": -1})
    entry = (await entries(gateway))[0]
    assert (entry["status"], entry["before"], entry["after"]) == (reply.status, None, None) == (422, None, None)


async def test_a_gateway_that_dies_after_the_change_leaves_the_entry_it_began(gateway: Visitor) -> None:
    """The process dies between the change and the entry's outcome: the entry is there, and what was before."""
    await gateway.account()
    log_call = Ledger.log_call
    first = True

    async def dies_at_the_second(self: Ledger, *arguments: Any, **named: Any) -> str:
        nonlocal first
        if named.get("begun") is not None and first:
            first = False
            raise asyncio.CancelledError
        return await log_call(self, *arguments, **named)

    with patch.object(Ledger, "log_call", dies_at_the_second), pytest.raises(Exception, match="disconnected"):
        await gateway.call("POST", GRANTS, gateway.admin, GRANT)
    entry = (await entries(gateway))[0]
    assert (entry["action"], entry["status"], entry["after"]) == ("grantCredits", None, None)
    assert entry["before"]["balance.buckets.top_up.available"] == 0
    balance = (await gateway.call("GET", "/v1/balance?account=acme", gateway.admin)).body
    assert balance["buckets"]["top_up"]["available"] == 40, "it was granted"


async def test_nothing_is_changed_that_cannot_be_logged(gateway: Visitor) -> None:
    await gateway.account()

    async def is_away(*_: Any, **__: Any) -> str:
        raise LedgerUnavailable("away")

    with patch.object(Ledger, "log_call", is_away):
        assert (await gateway.call("POST", GRANTS, gateway.admin, GRANT)).status == 503
    balance = (await gateway.call("GET", "/v1/balance?account=acme", gateway.admin)).body
    assert balance["buckets"]["top_up"]["available"] == 0


async def test_it_is_read_by_pages_and_filters(gateway: Visitor) -> None:
    for name in ("acme", "other"):
        await gateway.account(name)
        await gateway.grant(1, name)
    key = await gateway.operator_key("admin")
    await gateway.call("POST", GRANTS, key, GRANT)
    whole = await entries(gateway)
    assert [entry["created_at"] for entry in whole] == sorted((entry["created_at"] for entry in whole), reverse=True)
    page = (await gateway.call("GET", f"{LOG}?limit=2", gateway.admin)).body
    seen: list[dict[str, Any]] = page["data"]
    while page["next"] is not None:
        page = (await gateway.call("GET", f"{LOG}?limit=2&before={page['next']}", gateway.admin)).body
        seen += page["data"]
    assert seen == whole
    by_key = whole[0]["key"]
    for query, wanted in {
        "account=other": [one for one in whole if one["account"] == "other"],
        f"key={by_key}": whole[:1],
        "action=grantCredits&account=acme": [
            one for one in whole if (one["action"], one["account"]) == ("grantCredits", "acme")
        ],
        f"created_before={whole[0]['created_at']}": [o for o in whole if o["created_at"] < whole[0]["created_at"]],
        f"created_after={whole[0]['created_at']}": [o for o in whole if o["created_at"] >= whole[0]["created_at"]],
        "created_after=2100-01-01T00:00:00Z": [],
        "created_before=2400-01-01T00:00:00Z": whole,
        "created_before=1970-01-01T00:00:00Z": [],
        "before=0-0": [],
        "before=00-00": [],
    }.items():
        assert await entries(gateway, f"{query}&limit=100") == wanted, query
    assert (await gateway.call("GET", f"{LOG}?before=nonsense", gateway.admin)).status == 422


async def test_the_command_shows_it(gateway: Visitor) -> None:
    await gateway.account()
    await gateway.call("POST", GRANTS, gateway.admin, GRANT)
    said = await run(gateway, "audit-log", "--action", "grantCredits")
    for part in ("root admin 127.0.0.1 grant credits acme 201", "top_up.available 0 → 40", "sorry about Monday"):
        assert part in said


async def test_a_call_for_many_generations_of_one_account_is_in_that_accounts_entries(gateway: Visitor) -> None:
    """Its path names no account: what was refunded was in the log, but not in what support was shown of the account."""
    await gateway.account()
    refund = {"filter": {"account": "acme"}, "reason": "charged twice"}
    await gateway.call("POST", "/v1/ops/bulk/refund", gateway.admin, refund)
    (entry,) = await entries(gateway, "account=acme&limit=1")
    assert (entry["action"], entry["account"], entry["reason"]) == ("refundGenerations", "acme", "charged twice")
