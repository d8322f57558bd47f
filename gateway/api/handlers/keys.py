"""API keys: created, listed and revoked by operators. A key is shown once, when it is created."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Collection, Iterable, Iterator
from http import HTTPStatus
from ipaddress import ip_network
from typing import Literal

from aiohttp import web

from gateway.api.access.auth import KEY_PREFIX, found
from gateway.api.errors import InvalidRequest, NotFound
from gateway.api.http.parse import read_body
from gateway.api.http.respond import answer
from gateway.api.middleware.idempotency import seed
from gateway.api.services import LEDGER, RATE_CARDS, SETTINGS
from gateway.clock import now_ms
from gateway.domain import Scope, credits_to_millicredits
from gateway.errors import FieldProblem
from gateway.ledger import outcomes
from gateway.ledger.accounts import key_id_of
from gateway.ledger.key_records import BoundsChange
from gateway.ledger.limits import Limit
from gateway.pricing.values import did_you_mean, show
from gateway.schemas import accounts as account_schemas
from gateway.schemas.base import to_milliseconds
from gateway.schemas.limits import BoundsIn, LimitIn
from gateway.views.accounts import key_shape

KEY_BYTES = 32  # 256 bits


async def create_for_account(request: web.Request) -> web.Response:
    """`POST /v1/admin/accounts/{account}/keys`."""
    body = await read_body(request, account_schemas.KeyIn)
    account = request.match_info["account"]
    limit = None if body.limit is None else _limit(body.limit)
    return await _create(request, Scope.ACCOUNT, account, body.label, limit=limit, bounds=_bounds(request, body))


async def create_for_operator(request: web.Request) -> web.Response:
    """`POST /v1/admin/keys`: a key of one of the operators' roles."""
    body = await read_body(request, account_schemas.OperatorKeyIn)
    return await _create(request, Scope(body.scope), None, body.label)


async def listed(request: web.Request) -> web.Response:
    """`GET /v1/admin/accounts/{account}/keys`."""
    account = request.match_info["account"]
    known = found(await request.app[LEDGER].account(account=account), f"account {account}")
    return answer(account_schemas.KeysOut(data=[key_shape(key) for key in known.keys]))


async def listed_of_operators(request: web.Request) -> web.Response:
    """`GET /v1/admin/keys`: the operators'; without the one from the settings."""
    return answer(account_schemas.KeysOut(data=[key_shape(key) for key in await request.app[LEDGER].operator_keys()]))


async def change_of_account(request: web.Request) -> web.Response:
    """`PATCH /v1/admin/accounts/{account}/keys/{key}`: its label, what it may spend and be used for (R26, R27)."""
    body = await read_body(request, account_schemas.KeyChangeIn)
    account, key_id = request.match_info["account"], request.match_info["key"]
    limit: Limit | Literal["none"] | None = None if body.limit is None else _limit(body.limit)
    if limit is None and "limit" in body.model_fields_set:
        limit = "none"
    changed = await request.app[LEDGER].change_key(
        account=account, key_id=key_id, limit=limit, label=body.label, bounds=_bounds(request, body)
    )
    known = found(changed, f"key {key_id} of account {account}")
    return answer(next(key_shape(key) for key in known.keys if key.id == key_id))


async def rotate_of_account(request: web.Request) -> web.Response:
    """`POST /v1/admin/accounts/{account}/keys/{key}/rotate`: a successor, and an end for the old one (R27)."""
    body = await read_body(request, account_schemas.KeyRotationIn)
    account, key_id, key = request.match_info["account"], request.match_info["key"], _new_key(request)
    outcome = await request.app[LEDGER].rotate_key(
        account=account, key_id=key_id, successor=key, overlap_ms=body.overlap_seconds * 1000
    )
    if isinstance(outcome, outcomes.Refused):
        raise InvalidRequest(
            f"This key was rotated before: its successor is {outcome.detail}. Rotate that one. Nothing was changed."
        )
    rotated = found(outcome, f"key {key_id} of account {account}")
    made = next(one for one in rotated.keys if one.id == key_id_of(key))
    return answer(key_shape(made).model_copy(update={"key": key}), status=HTTPStatus.CREATED)


async def revoke_of_account(request: web.Request) -> web.Response:
    """`DELETE /v1/admin/accounts/{account}/keys/{key}`: effective everywhere at once."""
    account = request.match_info["account"]
    return await _revoke(request, account, f"key {request.match_info['key']} of account {account}")


async def revoke_of_operator(request: web.Request) -> web.Response:
    """`DELETE /v1/admin/keys/{key}`."""
    return await _revoke(request, None, f"operator's key {request.match_info['key']}")


async def _create(
    request: web.Request,
    scope: Scope,
    account: str | None,
    label: str | None,
    *,
    limit: Limit | None = None,
    bounds: BoundsChange | None = None,
) -> web.Response:
    key = _new_key(request)
    added = await request.app[LEDGER].add_key(
        key=key, scope=scope, account=account, label=label, limit=limit, bounds=bounds
    )
    made = found(added, f"account {account}")
    return answer(key_shape(made).model_copy(update={"key": key}), status=HTTPStatus.CREATED)


async def _revoke(request: web.Request, account: str | None, what: str) -> web.Response:
    key_id = request.match_info["key"]
    if not await request.app[LEDGER].revoke_key(key_id=key_id, account=account):
        raise NotFound(f"There is no {what}, or it was already revoked.")
    return answer(account_schemas.Revoked(id=key_id, revoked=True))


def _bounds(request: web.Request, body: BoundsIn) -> BoundsChange:
    """The bounds that a body sets or removes; InvalidRequest for those that would leave a key useless."""
    card, given = request.app[RATE_CARDS].card, body.model_fields_set
    change: BoundsChange = {}
    if "tools" in given:
        change["tools"] = _known("tools", body.tools, card.tools)
    if "models" in given:
        change["models"] = _known("models", body.models, card.models)
    if "expires_at" in given:
        change["expires_at"] = None if body.expires_at is None else to_milliseconds(body.expires_at)
        if body.expires_at is not None and to_milliseconds(body.expires_at) <= now_ms():
            text = "must be in the future; to end a key now, revoke it"
            raise InvalidRequest(f"`expires_at` {text}.", fields=[FieldProblem("expires_at", text)])
    if "networks" in given:
        change["networks"] = None if body.networks is None else list(_networks(body.networks))
    return change


def _networks(texts: Iterable[str]) -> Iterator[str]:
    for index, text in enumerate(texts):
        try:
            yield str(ip_network(text))
        except ValueError:
            said = "must be an address or a network, such as 203.0.113.0/24"
            raise InvalidRequest(
                f"`networks.{index}` {said}.", fields=[FieldProblem(f"networks.{index}", said)]
            ) from None


def _known(field: str, names: list[str] | None, known: Collection[str]) -> list[str] | None:
    for index, name in enumerate(names or ()):
        if name not in known:
            text = f"{show(name)} is not on the rate card{did_you_mean(name, known) or '.'}"
            raise InvalidRequest(text, fields=[FieldProblem(f"{field}.{index}", text)])
    return names


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
