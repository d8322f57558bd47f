"""The audit log (R37): every call with an operator's key that changes something leaves an entry.

It is decided here for all routes, by the method and the key, so that no handler can forget it. The entry is written
before the handler runs, and nothing runs without it; what the call was about is read before and after.
"""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import replace
from urllib.parse import unquote

import structlog
from aiohttp import web

from gateway.api.access.auth import Caller
from gateway.api.description.operations import NAMES, NOT_LOGGED
from gateway.api.errors import ApiError
from gateway.api.http.context import context
from gateway.api.http.headers import REASON_HEADER, REPLAY_HEADER
from gateway.api.http.parse import DOCUMENT
from gateway.api.middleware.client_address import client_address
from gateway.api.middleware.idempotency import seed
from gateway.api.middleware.what_changed import State, Subject, changed, kept, state_of, subject_in_path, subject_made
from gateway.api.services import LEDGER
from gateway.domain import operation_id
from gateway.errors import LedgerUnavailable
from gateway.ledger.audit_log import OperatorCall
from gateway.ledger.records import clean_reason

_REASON_MAX = 500
_TEXT_MAX = 200

log = structlog.get_logger(__name__)


async def logged(
    request: web.Request, who: Caller, run: Callable[[], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Run an operator's or a managing member's call, logged before and after.

    LedgerUnavailable, and it does not run, if it cannot be logged.
    """
    resource = request.match_info.route.resource
    action = NAMES[request.method, "" if resource is None else resource.canonical]
    if action in NOT_LOGGED:
        return await run()
    subject = subject_in_path(request, who.account)
    before = await state_of(request, subject)
    call = OperatorCall(
        request=context(request).id,
        key=who.key_id,
        role=who.scope if who.role is None else who.role,
        member=who.member,
        address=client_address(request),
        action=action,
        account=who.account or _cut(request.match_info.get("account") or before.get("account")),
        subject=_cut(subject.id if subject is not None else None),
        before=kept(before),
        reason=_reason(request),
    )
    begun = await request.app[LEDGER].log_call(call)
    try:
        response = await run()
    except ApiError as refusal:
        await _conclude(request, begun, replace(call, before=None, status=refusal.status))
        raise
    ended = replace(call, before=None, status=response.status)
    await _conclude(request, begun, await _changes(request, ended, subject, before, response))
    return response


async def _changes(
    request: web.Request, call: OperatorCall, subject: Subject | None, before: State, response: web.StreamResponse
) -> OperatorCall:
    """The call with what it changed."""
    if subject is None:
        subject = subject_made(request, response)
        call = replace(call, subject=None if subject is None else subject.id)
    if REPLAY_HEADER in response.headers:
        return replace(call, replayed=True)
    # The change was made: what cannot be read of it now must not fail the call.
    with contextlib.suppress(LedgerUnavailable):
        was, became = changed(before, await state_of(request, subject))
        return replace(call, before=was, after=became)
    return call


async def _conclude(request: web.Request, begun: str, call: OperatorCall) -> None:
    repeatable = seed(request)
    call = replace(
        call,
        account=call.account or _cut(_filtered_account(request)),
        reason=_reason(request),
        operation=None if repeatable is None else operation_id(repeatable),
    )
    try:
        await request.app[LEDGER].log_call(call, begun=begun)
    except LedgerUnavailable as error:
        log.warning("audit_log_outcome_not_written", request_id=call.request, action=call.action, error=str(error))


def _filtered_account(request: web.Request) -> str | None:
    """The account that the body narrows a call down to: its entry is one of that account's."""
    body = request.get(DOCUMENT)
    given = body.get("filter") if isinstance(body, dict) else None
    account = given.get("account") if isinstance(given, dict) else None
    return account if isinstance(account, str) else None


def _reason(request: web.Request) -> str | None:
    """The reason in the body, where the call takes one there; else the one in the header."""
    body = request.get(DOCUMENT)
    given = body.get("reason") if isinstance(body, dict) else None
    if not isinstance(given, str):
        given = unquote(request.headers.get(REASON_HEADER, ""), errors="replace")
    return clean_reason(given)[:_REASON_MAX] or None


def _cut(text: str | None) -> str | None:
    """What is in a path may be anything, and long."""
    return None if text is None else clean_reason(text)[:_TEXT_MAX]
