"""Signing in to the console with an OpenID provider, and every way in which a sign-in must not succeed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from time import monotonic
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from gateway.api.access.openid import STATE_COOKIE
from gateway.errors import SettingsError
from gateway.settings import load_settings
from tests.api.openid_server import CLIENT, SECRET, OpenIdServer, open_openid_server, rsa_key
from tests.api.visitor import Visitor, open_gateway
from tests.cases import cases
from tests.free_ports import free_port

ADA = {"sub": "u-1", "email": "Ada@example.com", "email_verified": True}
Place = tuple[Visitor, OpenIdServer]


@pytest.fixture
async def place(redis_url: str, tmp_path: Path) -> AsyncIterator[Place]:
    """A gateway and its provider; a browser that keeps cookies."""
    async with (
        open_openid_server() as provider,
        open_gateway(
            redis_url,
            tmp_path,
            public_url="http://127.0.0.1:1",  # the browser of these tests knows better
            oidc_issuer=provider.address,
            oidc_client_id=CLIENT,
            oidc_client_secret=SECRET,
            oidc_role_claim="groups",
            oidc_roles="sre=admin,helpdesk=support",
        ) as gateway,
    ):
        provider.person = dict(ADA)
        yield gateway, provider


async def get(gateway: Visitor, url: str, cookie: str = "") -> tuple[str, str]:
    """Where a browser is sent, and the cookie of the attempt that it was given."""
    path = url.replace("http://127.0.0.1:1", gateway.address)
    path = path if path.startswith("http") else gateway.address + path
    headers = {"Cookie": f"{STATE_COOKIE}={cookie}"} if cookie else {}
    async with gateway.session.get(path, headers=headers, allow_redirects=False) as response:
        given = response.cookies.get(STATE_COOKIE)
        return response.headers["Location"], "" if given is None else given.value


async def come_back(gateway: Visitor, to: str = "/usage") -> tuple[str, str]:
    """As far as the callback's URL, and the cookie for it."""
    at_provider, cookie = await get(gateway, f"/oidc?to={to}")
    back, _ = await get(gateway, at_provider)
    return back, cookie


async def sign_in(gateway: Visitor, to: str = "/usage") -> dict[str, Any]:
    """A whole sign-in: what `/session` says then, its cookie, and where the browser is; `problem` if it fails."""
    ended, _ = await get(gateway, *await come_back(gateway, to))
    at = urlsplit(ended)
    assert (at.scheme, at.netloc, at.path) == ("http", "127.0.0.1:1", "/sign-in")
    query = {name: values[0] for name, values in parse_qs(at.query).items()}
    if not at.fragment:
        return query
    page = {"Sec-Fetch-Site": "same-origin"}
    reply = await gateway.call("POST", "/session", None, {"link": at.fragment}, page)
    assert reply.status == 201, reply.raw
    again = await gateway.call("POST", "/session", None, {"link": at.fragment}, page)
    assert again.status == 401, "the link that ends it is for one use"
    return dict(reply.body) | query | {"cookie": reply.headers["Set-Cookie"].partition(";")[0]}


async def test_the_email_that_the_provider_verified_is_the_accounts(place: Place) -> None:
    gateway, provider = place
    assert (await sign_in(gateway))["problem"] == "nobody"
    await gateway.call("PUT", "/v1/admin/accounts/acme", gateway.admin, {"email": "ada@example.com"})
    for _ in range(2):
        who = await sign_in(gateway)
        assert (who["scope"], who["account"], who["to"]) == ("account", "acme", "/usage")
    keys = (await gateway.call("GET", "/v1/admin/accounts/acme/keys", gateway.admin)).body["data"]
    assert [key["label"] for key in keys] == ["Console"], "one key for all sign-ins, which nobody has seen"
    asked = provider.asked[0]
    assert (asked["response_type"], asked["code_challenge_method"], asked["client_id"]) == ("code", "S256", CLIENT)
    for unproven in (None, False, "no"):
        provider.person = ADA | {"sub": "u-2", "email_verified": unproven}
        assert (await sign_in(gateway))["problem"] == "nobody", "anybody could have typed that address"


async def test_a_member_signs_in_as_that_member_and_a_stranger_does_not(place: Place) -> None:
    gateway, provider = place
    await gateway.call("PUT", "/v1/admin/accounts/acme", gateway.admin, {"email": "ada@example.com"})
    body = {"name": "Ada", "email": "ada@example.com", "role": "owner"}
    made = await gateway.call("POST", "/v1/admin/accounts/acme/members", gateway.admin, body)
    who = await sign_in(gateway)
    assert (who["account"], who["member"], who["role"]) == ("acme", made.body["id"], "owner")
    await gateway.call("PUT", "/v1/admin/accounts/acme", gateway.admin, {"email": "team@example.com"})
    provider.person = ADA | {"sub": "u-2", "email": "team@example.com"}
    assert (await sign_in(gateway))["problem"] == "nobody", "an account with members is signed in to by members only"


async def test_a_person_is_who_the_provider_says_and_not_who_has_the_address(place: Place) -> None:
    """Whoever was given the address of somebody who had left got their account, and a new address locked one out."""
    gateway, provider = place
    await gateway.call("PUT", "/v1/admin/accounts/acme", gateway.admin, {"email": "ada@example.com"})
    assert (await sign_in(gateway))["account"] == "acme"
    provider.person = ADA | {"email": "ada.king@example.com"}
    assert (await sign_in(gateway))["account"] == "acme", "another address makes nobody another person"
    provider.person = ADA | {"sub": "u-2"}
    assert (await sign_in(gateway))["problem"] == "nobody", "who has her address now is not her"
    for email in ("other@example.com", "ada@example.com"):
        await gateway.call("PUT", "/v1/admin/accounts/acme", gateway.admin, {"email": email})
    assert (await sign_in(gateway))["account"] == "acme", "unless the account is given to them"
    provider.person = ADA | {"email": None}
    assert (await sign_in(gateway))["problem"] == "nobody"


async def test_a_member_is_who_the_provider_says_in_the_account_that_it_names(redis_url: str, tmp_path: Path) -> None:
    named: dict[str, Any] = {
        "public_url": "http://127.0.0.1:1",
        "oidc_account_claim": "team",
        "oidc_client_secret": SECRET,
    }
    async with (
        open_openid_server() as provider,
        open_gateway(redis_url, tmp_path, oidc_issuer=provider.address, oidc_client_id=CLIENT, **named) as gateway,
    ):
        await gateway.account()
        provider.person = ADA | {"team": "acme"}
        assert (await sign_in(gateway))["account"] == "acme", "without members it is everybody's who has the claim"
        path = "/v1/admin/accounts/acme/members"
        ids = [
            (await gateway.call("POST", path, gateway.admin, {"name": "x", "email": f"{name}@example.com"})).body["id"]
            for name in ("ada", "bob")
        ]
        assert (await sign_in(gateway))["member"] == ids[0]
        provider.person |= {"email": "bob@example.com"}
        assert (await sign_in(gateway))["member"] == ids[0], "by who they are, though Bob has the address"
        provider.person |= {"sub": "u-2", "email": "ada@example.com"}
        assert (await sign_in(gateway))["problem"] == "nobody"
        for email in (None, "ada@example.com"):
            await gateway.call("PATCH", f"{path}/{ids[0]}", gateway.admin, {"email": email})
        assert (await sign_in(gateway))["member"] == ids[0]
        erased = await gateway.call("DELETE", "/v1/admin/accounts/acme/person", gateway.admin)
        assert erased.body["done"] is True
        assert not await gateway.ledger.redis.keys("fb:person:*")


async def test_a_session_begun_at_the_provider_lasts_12_hours(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """It lasted a week, whatever had become of its person at the provider."""
    gateway, _ = place
    key = await gateway.account()
    await gateway.call("PUT", "/v1/admin/accounts/acme", gateway.admin, {"email": "ada@example.com"})
    brief = (await sign_in(gateway))["cookie"]
    page = {"Sec-Fetch-Site": "same-origin"}
    begun = await gateway.call("POST", "/session", None, {"key": key}, page)
    usual = begun.headers["Set-Cookie"].partition(";")[0]

    async def scopes() -> list[str | None]:
        replies = [await gateway.call("GET", "/session", None, None, {"Cookie": one}) for one in (brief, usual)]
        return [reply.body["scope"] for reply in replies]

    assert await scopes() == ["account", "account"]
    monkeypatch.setattr("gateway.clock.CLOCK.seconds", lambda: time.time() + 12 * 3600 + 1)
    assert await scopes() == [None, "account"]


async def test_a_provider_that_is_away_is_asked_once_by_all_who_sign_in(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each request without a key made a call of up to ten seconds."""
    gateway, provider = place
    provider.away = True
    ended = await asyncio.gather(*(get(gateway, "/oidc") for _ in range(5)))
    assert {at for at, _ in ended} == {"http://127.0.0.1:1/sign-in?problem=unavailable"}
    assert (await get(gateway, "/oidc"))[0].endswith("problem=unavailable")
    assert provider.reads == 1
    provider.away = False
    later = monotonic() + 5
    monkeypatch.setattr("gateway.api.access.openid.monotonic", lambda: later)
    assert (await get(gateway, "/oidc"))[0].startswith(f"{provider.address}/authorize")


async def test_a_group_is_an_operators_role_for_as_long_as_the_provider_says(place: Place) -> None:
    gateway, provider = place
    provider.person = ADA | {"groups": ["helpdesk", "others"]}
    assert (await sign_in(gateway))["scope"] == "support"
    provider.person = ADA | {"groups": ["sre", "helpdesk"]}
    assert (await sign_in(gateway))["scope"] == "admin"
    (key,) = (await gateway.call("GET", "/v1/admin/keys", gateway.admin)).body["data"]
    assert (key["scope"], key["label"]) == ("admin", "OIDC ada@example.com"), "the role before was revoked"
    provider.person = ADA | {"groups": "others"}
    assert (await sign_in(gateway))["problem"] == "nobody"
    assert (await gateway.call("GET", "/v1/admin/keys", gateway.admin)).body["data"] == []


async def test_a_revoked_session_does_not_return_when_its_person_signs_in_again(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The key of an operator's role has the same id each time: a stolen cookie went on with the next sign-in."""
    gateway, provider = place

    async def signed_in(cookie: str) -> bool:
        return bool((await gateway.call("GET", "/session", None, None, {"Cookie": cookie})).body["scope"])

    provider.person = ADA | {"groups": "helpdesk"}
    with monkeypatch.context() as earlier:  # sessions are told apart by the second
        earlier.setattr("gateway.clock.CLOCK.seconds", lambda: time.time() - 5)
        stolen = (await sign_in(gateway))["cookie"]
    await sign_in(gateway)
    assert await signed_in(stolen), "another sign-in ends no session"
    (key,) = (await gateway.call("GET", "/v1/admin/keys", gateway.admin)).body["data"]
    await gateway.call("DELETE", f"/v1/admin/keys/{key['id']}", gateway.admin)
    again = (await sign_in(gateway))["cookie"]
    assert await signed_in(again)
    assert not await signed_in(stolen)


@cases("claims", [{"groups": 5}, {"groups": [["sre"], {}]}, {"groups": {"sre": 1}}, {"email_verified": ["true"]}])
async def test_claims_of_another_type_than_expected_are_nobodys(place: Place, claims: dict[str, Any]) -> None:
    gateway, provider = place
    provider.person = {"sub": "u-1", "email": "ada@example.com"} | claims
    assert (await sign_in(gateway))["problem"] == "nobody"


WRONG: dict[str, dict[str, Any]] = {
    "nonce": {"nonce": "another"},
    "no nonce": {"nonce": None},
    "audience": {"aud": "another client"},
    "for another client": {"aud": [CLIENT, "another"], "azp": "another"},
    "issuer": {"iss": "https://evil.example"},
    "expired": {"exp": int(time.time()) - 3600},
    "no expiry": {"exp": None},
    "not yet valid": {"nbf": int(time.time()) + 86_400},
    "nobody": {"sub": ""},
}


@cases("name", WRONG)
async def test_an_id_token_that_proves_something_else_is_refused(place: Place, name: str) -> None:
    gateway, provider = place
    await gateway.call("PUT", "/v1/admin/accounts/acme", gateway.admin, {"email": "ada@example.com"})
    provider.wrong = WRONG[name]
    assert (await sign_in(gateway)) == {"problem": "failed"}


async def test_a_signature_that_is_none_a_shared_secret_or_a_strangers_is_refused(place: Place) -> None:
    gateway, provider = place
    await gateway.call("PUT", "/v1/admin/accounts/acme", gateway.admin, {"email": "ada@example.com"})
    for provider.algorithm in ("none", "HS256"):
        assert (await sign_in(gateway)) == {"problem": "failed"}, provider.algorithm
    provider.algorithm, provider.stranger = "RS256", rsa_key("a stranger's")
    assert (await sign_in(gateway)) == {"problem": "failed"}
    provider.stranger = None
    assert (await sign_in(gateway))["account"] == "acme"


async def test_a_callback_is_of_the_browser_that_began_it_and_for_once(place: Place) -> None:
    """Else a link to the callback would sign a victim in as the attacker, or a stolen URL the thief as the victim."""
    gateway, _ = place
    await gateway.call("PUT", "/v1/admin/accounts/acme", gateway.admin, {"email": "ada@example.com"})
    back, cookie = await come_back(gateway)
    _, others = await come_back(gateway)
    for wrong in ("", others, cookie[:-2]):
        assert (await get(gateway, back, wrong))[0].endswith("/sign-in?problem=failed")
    for query in (
        "",
        "?code=x",
        "?state=x&code=x",
        back[back.index("?") :].replace("iss=", "iss=https://evil.example&x="),
    ):
        assert (await get(gateway, f"/oidc-callback{query}", cookie))[0].endswith("problem=failed")
    assert "#" in (await get(gateway, back, cookie))[0]
    assert (await get(gateway, back, cookie))[0].endswith("problem=failed"), "its state was used"
    denied, cookie = await get(gateway, "/oidc")
    state = parse_qs(urlsplit(denied).query)["state"][0]
    assert (await get(gateway, f"/oidc-callback?error=access_denied&state={state}", cookie))[0].endswith(
        "problem=failed"
    )


ELSEWHERE = ("https://evil.example", "//evil.example", "/%5Cevil.example", "javascript:alert(1)", "/\\evil")


async def test_afterwards_only_pages_of_ours_are_shown(place: Place) -> None:
    gateway, _ = place
    await gateway.call("PUT", "/v1/admin/accounts/acme", gateway.admin, {"email": "ada@example.com"})
    for to in ELSEWHERE:
        assert (await sign_in(gateway, to))["to"] == "/", to
    assert (await sign_in(gateway, "/generations?key=key_1"))["to"] == "/generations?key=key_1"


async def test_a_provider_that_is_away_is_said_so_and_none_is_not_offered(
    redis_url: str, tmp_path: Path, gateway: Visitor
) -> None:
    assert (await gateway.call("GET", "/oidc")).status == 404
    assert "single_sign_on" not in (await gateway.call("GET", "/session")).body
    away = f"http://127.0.0.1:{free_port()}"
    async with open_gateway(redis_url, tmp_path, oidc_issuer=away, oidc_client_id=CLIENT) as other:
        assert (await other.call("GET", "/session")).body["single_sign_on"] is True
        assert (await get(other, "/oidc"))[0].endswith("/sign-in?problem=unavailable")


@pytest.mark.parametrize(
    "wrong",
    [
        {"oidc_issuer": "https://id.example"},
        {"oidc_issuer": "http://id.example", "oidc_client_id": "x"},
        {"oidc_roles": "sre=admin"},
        {"oidc_role_claim": "groups", "oidc_roles": "sre=root"},
    ],
)
def test_settings_that_do_not_fit_together_stop_the_start(wrong: dict[str, str]) -> None:
    with pytest.raises(SettingsError, match="FAREBOX_OIDC_"):
        load_settings(**wrong)
