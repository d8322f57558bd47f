"""Signing in to the console with an OpenID provider: which person is which member, account or operator.

The callback ends in a sign-in link for one use, opened by our own page: so a session begins in one place only, and its
cookie is never sent with a request that another site caused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import structlog
from aiohttp import web

from gateway.api.access.auth import KEY_PREFIX
from gateway.api.access.console_keys import console_key
from gateway.api.access.new_keys import new_secret
from gateway.api.access.openid import (
    CALLBACK,
    STATE_COOKIE,
    STATE_SECONDS,
    NotProven,
    OpenIdProvider,
    ProviderUnavailable,
    SignInAttempt,
)
from gateway.api.access.sessions import SIGNED_OUT_SECONDS, KeyId
from gateway.api.http.parse import query_of
from gateway.api.services import LEDGER, OPENID, SESSIONS, SETTINGS
from gateway.clock import now_seconds
from gateway.domain import Scope, is_account_id
from gateway.errors import LedgerUnavailable
from gateway.ledger import outcomes
from gateway.ledger.accounts import key_id_of
from gateway.ledger.ledger import Ledger
from gateway.ledger.member_records import Member
from gateway.ledger.persons import ACCOUNT_ITSELF, PersonSignsIn

BEGIN = "/oidc"
_PAGE = re.compile(r"/(?![/\\])[A-Za-z0-9_/?=&.%-]{0,200}")
_OPERATORS: list[Scope] = [scope for scope in Scope if scope not in {Scope.ACCOUNT, Scope.TOKEN}]

log = structlog.get_logger(__name__)


async def begin(request: web.Request) -> web.Response:
    """`GET /oidc?to=/usage`: to the OpenID provider."""
    provider = _provider(request)
    to = query_of(request).get("to", "/")
    try:
        url, cookie = await provider.begin(to if _PAGE.fullmatch(to) else "/")
    except ProviderUnavailable as error:
        return _back(request, "unavailable", error)
    response = _redirect(url)
    response.set_cookie(
        STATE_COOKIE,
        cookie,
        max_age=STATE_SECONDS,
        path=CALLBACK,
        httponly=True,
        samesite="Lax",  # it comes back with a navigation from the provider's site
        secure=request.app[SETTINGS].public_address.startswith("https://"),
    )
    return response


async def callback(request: web.Request) -> web.Response:
    """`GET /oidc-callback`: from the OpenID provider, with a code or an error."""
    provider = _provider(request)
    try:
        attempt = provider.attempt(request.cookies.get(STATE_COOKIE, ""), query_of(request))
        claims = await provider.claims(attempt, await _code(request, attempt))
        key_id = await _key_of(request, provider, claims)
    except NotProven as error:
        return _back(request, "failed", error)
    except (ProviderUnavailable, LedgerUnavailable) as error:
        return _back(request, "unavailable", error)
    if key_id is None:
        log.warning("oidc_nobody", issuer=provider.issuer, subject=claims["sub"])
        return _back(request, "nobody")
    log.info("oidc_sign_in", subject=claims["sub"], key=key_id)
    link = request.app[SESSIONS].link(key_id, brief=True)
    page, _, token = link.partition("#")
    return _done(_redirect(f"{page}?to={quote(attempt.to, safe='')}#{token}"))


async def _code(request: web.Request, attempt: SignInAttempt) -> str:
    """The code of the callback; NotProven if there is none, or its attempt was used before."""
    if not await request.app[LEDGER].use_sign_in_link(nonce=attempt.state, seconds=STATE_SECONDS):
        raise NotProven("this attempt was used before")
    said = query_of(request)
    if "error" in said or "code" not in said:
        raise NotProven("the provider did not sign the person in")
    return said["code"]


async def _key_of(request: web.Request, provider: OpenIdProvider, claims: Mapping[str, Any]) -> KeyId | None:
    """The key that the person's session is of, which nobody has seen; None if they are nobody here."""
    role = await _operator(request, provider, claims)
    return role if role is not None else await _of_account(request, provider, claims)


async def _operator(request: web.Request, provider: OpenIdProvider, claims: Mapping[str, Any]) -> KeyId | None:
    """The operator's key of the person's highest role; keys of roles that they no longer have are revoked."""
    settings, ledger = request.app[SETTINGS], request.app[LEDGER]
    if not settings.oidc_role_claim:
        return None
    said = claims.get(settings.oidc_role_claim)
    groups = said if isinstance(said, list) else [said]
    roles = [role for group, role in settings.operator_roles if group in groups]
    role = max(roles, key=_rank, default=None)
    signing_key, found = settings.secret("signing-key"), None
    for each in _OPERATORS:
        whose = f"{provider.issuer}\n{claims['sub']}\n{each}"
        key = new_secret(KEY_PREFIX, purpose="oidc-operator", made_from=whose, signing_key=signing_key)
        if each is role:
            found = KeyId(key_id_of(key))
            if isinstance(await ledger.find_key_by_id(key_id=found), outcomes.NotFound):
                # It gets the id of one that was revoked, whose sessions must not go on with it.
                await ledger.sign_out_all(
                    key_id=found, began_before=int(now_seconds()), kept_seconds=SIGNED_OUT_SECONDS
                )
                await ledger.add_key(key=key, scope=each, account=None, label=_label(claims))
        else:
            await ledger.revoke_key(key_id=key_id_of(key), account=None)
    return found


async def _of_account(request: web.Request, provider: OpenIdProvider, claims: Mapping[str, Any]) -> KeyId | None:
    """The member that the person is, or has the verified email of; of an account without members, the account itself.

    Whoever has signed in before is found by the provider's id of them, whatever their email is now.
    """
    ledger, claim = request.app[LEDGER], request.app[SETTINGS].oidc_account_claim
    person, email = provider.person(claims), _verified_email(claims)
    if claim:
        named = claims.get(claim)
        account = await ledger.account(account=named) if isinstance(named, str) and is_account_id(named) else None
        if isinstance(account, outcomes.Account) and not _members(account):
            return await console_key(ledger, account, None)  # whoever has the claim
        return await _signed_in(ledger, account, person, email)
    known = await ledger.find_person(person=person)
    if known is not None:
        key_id = await _signed_in(ledger, await ledger.account(account=known), person, None)
        if key_id is not None:
            return key_id
    return None if email is None else await _signed_in(ledger, await ledger.find_account(email=email), person, email)


async def _signed_in(ledger: Ledger, account: object, person: str, email: str | None) -> KeyId | None:
    """The key of the account's sessions of this person; with an email, also if they have not signed in before."""
    if not isinstance(account, outcomes.Account):
        return None
    members = _members(account)
    by_email = next((one.id for one in members if email and one.email and one.email.lower() == email), None)
    if email is not None and not members:
        by_email = ACCOUNT_ITSELF
    whose = await ledger.sign_in_person(account=account.id, person=person, by_email=by_email)
    if isinstance(whose, PersonSignsIn):
        return await console_key(ledger, account, whose.member)
    if whose == outcomes.Refused("taken"):
        log.warning("oidc_email_is_anothers", account=account.id, member=by_email)
    return None


def _members(account: outcomes.Account) -> list[Member]:
    return [member for member in account.members if member.removed_at is None]


def _rank(role: Scope) -> int:
    return _OPERATORS.index(role)


def _verified_email(claims: Mapping[str, Any]) -> str | None:
    """The email, if the provider has verified it; anybody could have typed it otherwise."""
    email = claims.get("email")
    return email.strip().lower() if isinstance(email, str) and claims.get("email_verified") in (True, "true") else None


def _label(claims: Mapping[str, Any]) -> str:
    return f"OIDC {_verified_email(claims) or claims['sub']}"[:100]


def _provider(request: web.Request) -> OpenIdProvider:
    provider = request.app[OPENID]
    if provider is None:
        raise web.HTTPNotFound
    return provider


def _back(request: web.Request, problem: str, error: Exception | None = None) -> web.Response:
    """To the sign-in page, which says what to do; why, is in the log."""
    if error is not None:
        log.warning("oidc_refused", problem=problem, why=str(error))
    return _done(_redirect(f"{request.app[SETTINGS].public_address}/sign-in?problem={problem}"))


def _redirect(url: str) -> web.Response:
    return web.Response(status=HTTPStatus.SEE_OTHER, headers={"Location": url, "Cache-Control": "no-store"})


def _done(response: web.Response) -> web.Response:
    response.del_cookie(STATE_COOKIE, path=CALLBACK)
    return response


def mount(app: web.Application) -> None:
    """Add both routes: for browsers only, so not in the API's table."""
    app.router.add_get(BEGIN, begin)
    app.router.add_get(CALLBACK, callback)
