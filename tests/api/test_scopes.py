"""Every route × every kind of caller, by the table in `gateway/api/routes.py`; `docs/limits.md` shows the same."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import pytest

from gateway.api import limits
from gateway.api.access.member_roles import LEAST, admits, for_members
from gateway.api.description.operations import EXAMPLES
from gateway.api.http.route import Route
from gateway.api.routes import ROUTES, SSE
from gateway.domain import Role, Scope
from gateway.facades.routes import FACADE_ROUTES
from tests.api.visitor import Reply, Visitor

ALL_ROUTES = (*ROUTES, *FACADE_ROUTES)
ROLES = tuple(scope.value for scope in Scope if scope not in {Scope.ACCOUNT, Scope.TOKEN})
TEAM = {"member": Role.MEMBER, "team admin": Role.ADMIN, "owner": Role.OWNER}
# An admin comes last, who erases the person and so revokes the keys of all others.
WHO = ("nobody", "unknown", "revoked", "revoked support", "revoked admin", "own", "other", "token", *TEAM, *ROLES)
HEADS = ("nobody", "revoked", "own", "member", "viewer", "admin")
STATUS = {"invalid_key": 401, "forbidden": 403, "not_found": 404}
SCOPE = {"own": Scope.ACCOUNT, "other": Scope.ACCOUNT, "token": Scope.TOKEN} | {role: Scope(role) for role in ROLES}
SCOPE |= dict.fromkeys(TEAM, Scope.ACCOUNT)


@dataclass(frozen=True, slots=True)
class Place:
    """A gateway with an account `acme` that has a finished generation, and somebody of each kind."""

    gateway: Visitor
    generation: str
    key_id: str
    keys: dict[str, str | None]

    def path(self, route: Route) -> str:
        """The route's path, to things of `acme`."""
        named = {"generation": self.generation, "account": "acme", "key": self.key_id, "index": "0"}
        return re.sub(r"{(\w+)}", lambda match: named.get(match[1], "none"), route.named_path)

    async def answer(
        self, route: Route, who: str, method: str | None = None, given: dict[str, Any] | None = None
    ) -> tuple[int, str]:
        """The status, and the error's code; a stream is opened and left. `given` is the body, by default empty."""
        method, path, key = method or route.method, self.path(route), self.keys[who]
        if route.media == SSE and key is not None:
            headers = {"Authorization": f"Bearer {key}"}
            async with self.gateway.session.get(self.gateway.address + path, headers=headers) as response:
                error = response.content_type == "application/json"
                return response.status, Reply(response.status, {}, await response.read()).code if error else ""
        body = (given or {}) if method in {"POST", "PUT", "PATCH"} else None
        reply = await self.gateway.call(method, path, key, body)
        is_error = reply.status >= 400 and reply.raw and reply.headers["Content-Type"].startswith("application/json")
        return reply.status, reply.code if is_error else ""


@pytest.fixture
async def place(gateway: Visitor, monkeypatch: pytest.MonkeyPatch) -> Place:
    for allowance in ("WRONG_KEYS_PER_MINUTE", "WRONG_OPERATOR_KEYS_PER_MINUTE"):
        monkeypatch.setattr(limits, allowance, 10_000)  # there are so many routes
    own = await gateway.account()
    other = await gateway.account("other")
    gone = (await gateway.call("POST", "/v1/admin/accounts/acme/keys", gateway.admin, {})).body
    assert (await gateway.call("GET", "/v1/balance", gone["key"])).status == 200, "it is cached when it is revoked"
    await gateway.call("DELETE", f"/v1/admin/accounts/acme/keys/{gone['id']}", gateway.admin)
    keys = {"nobody": None, "unknown": "fbx_" + "0" * 43, "revoked": gone["key"], "own": own, "other": other}
    keys["token"] = (await gateway.call("POST", "/v1/tokens", own, {"credits": 5})).body["token"]
    keys |= {role: await gateway.operator_key(role) for role in ROLES}
    for name, role in reversed(TEAM.items()):
        body = {"name": name, "role": role}
        member = (await gateway.call("POST", "/v1/admin/accounts/acme/members", gateway.admin, body)).body["id"]
        made = await gateway.call("POST", "/v1/admin/accounts/acme/keys", gateway.admin, {"member": member})
        keys[name] = made.body["key"]
    spare = (await gateway.call("POST", "/v1/admin/accounts/acme/keys", gateway.admin, {"member": member})).body
    for scope in ("support", "admin"):
        lost = (await gateway.call("POST", "/v1/admin/keys", gateway.admin, {"scope": scope})).body
        await gateway.call("DELETE", f"/v1/admin/keys/{lost['id']}", gateway.admin)
        keys[f"revoked {scope}"] = lost["key"]
    return Place(gateway, await gateway.finished(own), spare["id"], keys)


def expected(route: Route, who: str) -> str:
    """`admitted`, or the error's code."""
    if not route.scopes or (who == "nobody" and route.key_optional):
        return "admitted"
    if who not in SCOPE:
        return "invalid_key"
    if SCOPE[who] not in route.scopes:
        return "forbidden"
    if SCOPE[who] is Scope.ACCOUNT:
        call, role = for_members(route.method, route.named_path), TEAM.get(who)
        if call.only if role is None else not admits(call.least, role):
            return "forbidden"
    return "not_found" if who in {"other", "token", "member"} and "{generation}" in route.path else "admitted"


def is_as_expected(route: Route, who: str, method: str, status: int, code: str) -> bool:
    match expected(route, who):
        case "admitted":
            return status < 500 and not (route.scopes and status in {401, 403})
        case wanted:
            return (status, code) == (STATUS[wanted], "" if method == "HEAD" else wanted)


def test_the_table_of_roles_says_what_r25_does() -> None:
    """Only the owner buys, changes the plan and hands over; a member changes and reads nothing of the account's."""
    managing = re.compile(r"webhooks|/members|/keys|/purchases|/checkouts|/subscription|/top-ups")
    assert all(role is not Role.MEMBER for call, role in LEAST.items() if managing.search(call))
    buying = re.compile(r"(POST|PATCH|DELETE) /v1/(top-ups|subscription.*|members/.*/owner)")
    assert {call for call, role in LEAST.items() if role is Role.OWNER} == set(filter(buying.fullmatch, LEAST))
    with pytest.raises(LookupError, match="does not say which roles may call GET /v1/new"):
        for_members("GET", "/v1/new")
    taken = {
        f"{route.method} {route.named_path}".replace("/v1/v1/", "/v1/")
        for route in ALL_ROUTES
        if Scope.ACCOUNT in route.scopes
    }
    assert taken == LEAST.keys()


async def test_every_route_admits_exactly_its_scopes(place: Place) -> None:
    """And a HEAD needs the same key as its GET."""
    assert WHO[-1] == "admin"
    wrong = []
    for who in WHO:
        for route in ALL_ROUTES:
            heads = ["HEAD"] if route.method == "GET" and route.media != SSE and who in HEADS else []
            for method in (*heads, route.method):
                status, code = await place.answer(route, who, method)
                if not is_as_expected(route, who, method, status, code):
                    wrong.append((who, method, route.path, status, code, expected(route, who)))
    assert wrong == []


async def test_a_cached_key_revoked_at_another_gateway_is_refused(place: Place) -> None:
    """`POST /v1/sign-in-links` asked the ledger nothing, and so took a revoked key for as long as it was cached.

    Bodies are those of the description: a refused one leads to a lookup of the key, and `PUT /v1/alerts` had no other.
    """
    gateway = place.gateway
    for route in ALL_ROUTES:
        if Scope.ACCOUNT in route.scopes:
            made = (await gateway.call("POST", "/v1/admin/accounts/acme/keys", gateway.admin, {})).body
            assert (await gateway.call("GET", "/v1/balance", made["key"])).status == 200
            await gateway.ledger.revoke_key(key_id=made["id"], account="acme")  # as another gateway does
            place.keys["revoked"] = made["key"]
            answer = await place.answer(route, "revoked", given=EXAMPLES.get((route.method, route.path)))
            assert answer == (401, "invalid_key"), (route.method, route.path)


async def test_another_accounts_things_do_not_exist(place: Place) -> None:
    """Not even by the error's words: they are those for a generation that never was."""
    for route in ALL_ROUTES:
        if "{generation}" not in route.path or Scope.ACCOUNT not in route.scopes:
            continue
        unknown = f"gen_{place.generation[4:6]}" + "a" * 24
        replies = [
            await place.gateway.call(
                route.method, place.path(route).replace(place.generation, name), place.keys["other"]
            )
            for name in (place.generation, unknown)
        ]
        said = [reply.message.replace(place.generation, "G").replace(unknown, "G") for reply in replies]
        assert said[0] == said[1]
        assert {reply.status for reply in replies} == {404}


async def test_no_route_is_missing_from_the_table_except_known_ones(gateway: Visitor) -> None:
    """A route that is mounted elsewhere has no scopes and no guard.

    `/session` is where a key is presented; the console's pages and their files hold nothing of anybody.
    """
    pages = re.compile(r"/[a-z-]*|/generations/{generation}|/static/.*")
    table = {route.named_path for route in ALL_ROUTES}
    for resource in gateway.app.router.resources():
        assert resource.canonical in table or pages.fullmatch(resource.canonical), resource.canonical
