"""Signing in and out: `/session` for the console's pages, and one-time sign-in links."""

from __future__ import annotations

from http import HTTPStatus

from aiohttp import web

from gateway.api.access.auth import CALLER, Caller
from gateway.api.access.console_keys import console_key
from gateway.api.access.sessions import (
    COOKIE,
    INVITATION_SECONDS,
    LINK_SECONDS,
    SIGNED_OUT_SECONDS,
    Invitation,
    SignInLink,
    check_from_our_page,
    from_our_page,
    session_cookie,
)
from gateway.api.errors import Forbidden, InvalidKey, LedgerDown
from gateway.api.http.parse import read_body
from gateway.api.http.respond import answer
from gateway.api.ownership.managed_account import may_act_as
from gateway.api.services import CALLERS, LEDGER, OPENID, SESSIONS, SETTINGS, STARTUP
from gateway.clock import now_seconds
from gateway.errors import LedgerUnavailable
from gateway.ledger import outcomes
from gateway.schemas import sessions as session_schemas
from gateway.schemas.base import utc

SESSION = "/session"


async def sign_in(request: web.Request) -> web.Response:
    """`POST /session`: exchange an API key, or a link's token, for a session cookie."""
    if from_our_page(request, request.app[SETTINGS].public_address) is False:
        raise Forbidden("Signing in is only possible on the gateway's own page.")
    body = await read_body(request, session_schemas.SignIn)
    _check_ready(request)
    callers, sessions, brief = request.app[CALLERS], request.app[SESSIONS], False
    if body.link is not None and (invitation := sessions.open_invitation(body.link)) is not None:
        caller = await _of_invitation(request, invitation)
    elif body.link is not None:
        link = sessions.open_link(body.link)
        caller, brief = await _of_link(request, link), link.brief
    else:
        caller = await callers.of_key(request, body.key or "", operators=True)
        callers.check_bounds(request, caller)
    response = answer(_shape(caller), status=HTTPStatus.CREATED)
    sessions.begin(response, caller.key_id, brief=brief)
    return response


async def _of_link(request: web.Request, link: SignInLink) -> Caller:
    callers = request.app[CALLERS]
    caller = await callers.of_key_id(link.key_id)
    callers.check_bounds(request, caller)
    await _use(request, link.nonce, LINK_SECONDS)
    return caller


async def _of_invitation(request: web.Request, invitation: Invitation) -> Caller:
    """The invited member (R25), unless they were removed, or have another role than the one who invited them knew.

    Nor if the one who invited them may no longer do so: whoever was removed must not get back in as another.
    """
    ledger, gone = request.app[LEDGER], InvalidKey("This invitation is no longer valid. Ask for a new one.")
    account = await ledger.account(account=invitation.account)
    if not isinstance(account, outcomes.Account):
        raise gone
    member = next((one for one in account.members if one.id == invitation.member and one.removed_at is None), None)
    if member is None or member.role != invitation.role:
        raise gone
    if invitation.by is not None and not may_act_as(account, invitation.by, member):
        raise gone
    await _use(request, invitation.nonce, INVITATION_SECONDS)
    key_id = await console_key(ledger, account, invitation.member)
    if key_id is None:
        raise gone
    return await request.app[CALLERS].of_key_id(key_id)


async def _use(request: web.Request, nonce: str, seconds: int) -> None:
    """InvalidKey if the link was used before."""
    if not await request.app[LEDGER].use_sign_in_link(nonce=nonce, seconds=seconds):
        raise InvalidKey(
            "This link has already been used: it is valid for one sign-in. Request a new one, or sign in with a key."
        )


async def who_is_signed_in(request: web.Request) -> web.Response:
    """`GET /session`: the owner of the session cookie or key, or nobody; pages call this first."""
    _check_ready(request)
    try:
        return answer(_shape(await request.app[CALLERS].authenticate(request, operators=True)))
    except InvalidKey:
        single = {"single_sign_on": True} if request.app[OPENID] is not None else {}
        return answer(session_schemas.SessionOut(scope=None, account=None, **single))


async def sign_out(request: web.Request) -> web.Response:
    """`DELETE /session`: end the session at all gateways and delete the cookie. The key stays valid."""
    check_from_our_page(request, request.app[SETTINGS].public_address)
    await _end_session(request)
    response = web.Response(status=HTTPStatus.NO_CONTENT)
    request.app[SESSIONS].end(response)
    return response


async def _end_session(request: web.Request) -> None:
    """End the session of the request's cookie. If the ledger does not respond, the cookie stays, for a retry."""
    try:
        session = request.app[SESSIONS].open(request.cookies.get(COOKIE, ""))
    except InvalidKey:
        return  # there is none, or it has ended
    _check_ready(request)
    try:
        await request.app[LEDGER].sign_out(
            key_id=session.key_id, session=session.id, began_at=session.began_at, kept_seconds=SIGNED_OUT_SECONDS
        )
    except LedgerUnavailable:
        raise LedgerDown("The ledger is not responding, so you may still be signed in. Try again soon.") from None


async def make_link(request: web.Request) -> web.Response:
    """`POST /v1/sign-in-links`: with a key. A session could go on for ever by one link after another."""
    if session_cookie(request) is not None:
        raise Forbidden(
            "A console session cannot make a sign-in link, which would outlive it. Send an API key instead."
        )
    url = request.app[SESSIONS].link(request[CALLER].key_id)
    expires_at = utc((int(now_seconds()) + LINK_SECONDS) * 1000)
    return answer(session_schemas.SignInLinkOut(url=url, expires_at=expires_at), status=HTTPStatus.CREATED)


def mount(app: web.Application) -> None:
    """Add the routes of sessions: for the console only, so not in the API's table."""
    app.router.add_post(SESSION, sign_in)
    app.router.add_get(SESSION, who_is_signed_in)
    app.router.add_delete(SESSION, sign_out)


def _shape(caller: Caller) -> session_schemas.SessionOut:
    who = {} if caller.role is None else {"member": caller.member, "role": caller.role}
    return session_schemas.SessionOut(scope=caller.scope, account=caller.account, **who)


def _check_ready(request: web.Request) -> None:
    if not request.app[STARTUP].ready:
        raise LedgerDown(f"Farebox is not ready: {request.app[STARTUP].problem}. Try again soon.")
