"""Members of an account (R25): listed, added, changed, removed; the caller's own, or for operators any account's."""

from __future__ import annotations

from http import HTTPStatus

from aiohttp import web

from gateway.api.access.sessions import INVITATION_SECONDS
from gateway.api.errors import NotFound
from gateway.api.http.parse import read_body
from gateway.api.http.respond import answer
from gateway.api.middleware.idempotency import seed
from gateway.api.ownership.managed_account import (
    ManagedAccount,
    changed,
    check_may_act_as,
    managed_account,
    read_account,
)
from gateway.api.services import LEDGER, RATE_CARDS, SESSIONS
from gateway.clock import now_seconds
from gateway.domain import credits_to_millicredits, member_id
from gateway.ledger import outcomes
from gateway.ledger.limits import Limit
from gateway.schemas import members as member_schemas
from gateway.schemas import sessions as session_schemas
from gateway.schemas.base import utc
from gateway.schemas.limits import LimitIn
from gateway.views.accounts import member_shape, members_shape


async def listed(request: web.Request) -> web.Response:
    """`GET /v1/members`, `GET /v1/admin/accounts/{account}/members`."""
    return answer(members_shape(await read_account(request), request.app[RATE_CARDS].card))


async def add(request: web.Request) -> web.Response:
    """`POST /v1/members`, `POST /v1/admin/accounts/{account}/members`."""
    body, managed = await read_body(request, member_schemas.MemberIn), managed_account(request)
    member = member_id(seed(request))
    outcome = await request.app[LEDGER].add_member(
        account=managed.account,
        member=member,
        name=body.name,
        email=body.email,
        role=body.role,
        limit=_limit(body.limit),
        by=managed.by,
        keys_version=managed.keys_version,
    )
    return _member(changed(outcome, managed.missing), member, HTTPStatus.CREATED)


async def change(request: web.Request) -> web.Response:
    """`PATCH /v1/members/{member}`, and the same below an account."""
    body, managed = await read_body(request, member_schemas.MemberChangeIn), managed_account(request)
    member, given = request.match_info["member"], body.model_fields_set
    outcome = await request.app[LEDGER].change_member(
        account=managed.account,
        member=member,
        name=body.name,
        email="none" if body.email is None and "email" in given else body.email,
        role=body.role,
        limit="none" if body.limit is None and "limit" in given else _limit(body.limit),
        by=managed.by,
        keys_version=managed.keys_version,
    )
    return _member(changed(outcome, _named(managed, member)), member)


async def hand_over(request: web.Request) -> web.Response:
    """`POST /v1/members/{member}/owner`, and the same below an account."""
    managed, member = managed_account(request), request.match_info["member"]
    outcome = await request.app[LEDGER].hand_over(
        account=managed.account, member=member, by=managed.by, keys_version=managed.keys_version
    )
    return _member(changed(outcome, _named(managed, member)), member)


async def invite(request: web.Request) -> web.Response:
    """`POST /v1/members/{member}/invitation`, and the same below an account: a link that signs them in once."""
    managed, account = managed_account(request), await read_account(request)
    member = next(
        (one for one in account.members if one.id == request.match_info["member"] and one.removed_at is None), None
    )
    if member is None:
        raise NotFound(f"There is no {_named(managed, request.match_info['member'])}.")
    check_may_act_as(managed, account, member)
    url = request.app[SESSIONS].invitation(account.id, member.id, member.role, by=managed.by)
    expires_at = utc((int(now_seconds()) + INVITATION_SECONDS) * 1000)
    return answer(session_schemas.InvitationOut(url=url, expires_at=expires_at), status=HTTPStatus.CREATED)


async def remove(request: web.Request) -> web.Response:
    """`DELETE /v1/members/{member}`, and the same below an account: their keys are revoked at once."""
    managed, member = managed_account(request), request.match_info["member"]
    outcome = await request.app[LEDGER].remove_member(
        account=managed.account, member=member, by=managed.by, keys_version=managed.keys_version
    )
    return _member(changed(outcome, _named(managed, member)), member)


def _named(managed: ManagedAccount, member: str) -> str:
    return managed.named(f"member {member}")


def _member(account: outcomes.Account, member: str, status: HTTPStatus = HTTPStatus.OK) -> web.Response:
    return answer(next(member_shape(one) for one in account.members if one.id == member), status=status)


def _limit(limit: LimitIn | None) -> Limit | None:
    return None if limit is None else Limit(credits_to_millicredits(limit.credits), limit.period)
