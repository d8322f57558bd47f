"""API keys: created, listed and revoked by operators. A key is shown once, when it is created."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from http import HTTPStatus
from typing import Literal

from aiohttp import web

from gateway.api.access.auth import KEY_PREFIX, found
from gateway.api.errors import NotFound
from gateway.api.http.parse import read_body
from gateway.api.http.respond import answer
from gateway.api.middleware.idempotency import seed
from gateway.api.services import LEDGER, SETTINGS
from gateway.domain import Scope, credits_to_millicredits
from gateway.ledger.limits import Limit
from gateway.schemas import accounts as account_schemas
from gateway.schemas.limits import LimitIn
from gateway.views.accounts import key_shape

KEY_BYTES = 32  # 256 bits


async def create_for_account(request: web.Request) -> web.Response:
    """`POST /v1/admin/accounts/{account}/keys`."""
    body = await read_body(request, account_schemas.KeyIn)
    account = request.match_info["account"]
    return await _create(
        request, Scope.ACCOUNT, account, body.label, None if body.limit is None else _limit(body.limit)
    )


async def create_for_operator(request: web.Request) -> web.Response:
    """`POST /v1/admin/keys`: another admin key, or an ops key."""
    body = await read_body(request, account_schemas.OperatorKeyIn)
    return await _create(request, Scope(body.scope), None, body.label)


async def listed(request: web.Request) -> web.Response:
    """`GET /v1/admin/accounts/{account}/keys`."""
    account = request.match_info["account"]
    known = found(await request.app[LEDGER].account(account=account), f"account {account}")
    return answer(account_schemas.KeysOut(data=[key_shape(key) for key in known.keys]))


async def listed_of_operators(request: web.Request) -> web.Response:
    """`GET /v1/admin/keys`: admin and ops keys; without the one from the settings."""
    return answer(account_schemas.KeysOut(data=[key_shape(key) for key in await request.app[LEDGER].operator_keys()]))


async def change_of_account(request: web.Request) -> web.Response:
    """`PATCH /v1/admin/accounts/{account}/keys/{key}`: its label, and what it may spend from now on (R26)."""
    body = await read_body(request, account_schemas.KeyChangeIn)
    account, key_id = request.match_info["account"], request.match_info["key"]
    limit: Limit | Literal["none"] | None = None if body.limit is None else _limit(body.limit)
    if limit is None and "limit" in body.model_fields_set:
        limit = "none"
    changed = await request.app[LEDGER].change_key(account=account, key_id=key_id, limit=limit, label=body.label)
    known = found(changed, f"key {key_id} of account {account}")
    return answer(next(key_shape(key) for key in known.keys if key.id == key_id))


async def revoke_of_account(request: web.Request) -> web.Response:
    """`DELETE /v1/admin/accounts/{account}/keys/{key}`: effective everywhere at once."""
    account = request.match_info["account"]
    return await _revoke(request, account, f"key {request.match_info['key']} of account {account}")


async def revoke_of_operator(request: web.Request) -> web.Response:
    """`DELETE /v1/admin/keys/{key}`."""
    return await _revoke(request, None, f"admin or ops key {request.match_info['key']}")


async def _create(
    request: web.Request, scope: Scope, account: str | None, label: str | None, limit: Limit | None = None
) -> web.Response:
    key = _new_key(request)
    added = await request.app[LEDGER].add_key(key=key, scope=scope, account=account, label=label, limit=limit)
    made = found(added, f"account {account}")
    return answer(key_shape(made).model_copy(update={"key": key}), status=HTTPStatus.CREATED)


async def _revoke(request: web.Request, account: str | None, what: str) -> web.Response:
    key_id = request.match_info["key"]
    if not await request.app[LEDGER].revoke_key(key_id=key_id, account=account):
        raise NotFound(f"There is no {what}, or it was already revoked.")
    return answer(account_schemas.Revoked(id=key_id, revoked=True))


def _limit(limit: LimitIn) -> Limit:
    return Limit(credits_to_millicredits(limit.credits), limit.period)


def _new_key(request: web.Request) -> str:
    """256 random bits; with an idempotency key, derived from it, so that concurrent duplicates share one."""
    made_from = seed(request)
    if made_from is None:
        return KEY_PREFIX + secrets.token_urlsafe(KEY_BYTES)
    secret = request.app[SETTINGS].secret("signing-key").encode()
    derived = hmac.digest(secret, f"api-key\n{made_from}".encode(), hashlib.sha256)
    return KEY_PREFIX + base64.urlsafe_b64encode(derived).rstrip(b"=").decode()
