"""API keys: created, listed, changed, rotated and revoked. A key is shown once, when it is created."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from http import HTTPStatus
from ipaddress import ip_network
from typing import Literal

from aiohttp import web

from gateway.api.access.auth import KEY_PREFIX
from gateway.api.access.new_keys import new_secret
from gateway.api.errors import InvalidRequest, NotFound
from gateway.api.http.parse import read_body
from gateway.api.http.respond import answer
from gateway.api.middleware.idempotency import seed
from gateway.api.ownership.managed_account import ManagedAccount, changed, managed_account, read_account
from gateway.api.ownership.sold import known_names
from gateway.api.services import LEDGER, RATE_CARDS, SETTINGS
from gateway.clock import now_ms
from gateway.domain import Scope, credits_to_millicredits
from gateway.errors import FieldProblem
from gateway.ledger import outcomes
from gateway.ledger.accounts import key_id_of
from gateway.ledger.key_records import AccountKey, BoundsChange
from gateway.ledger.limits import Limit
from gateway.schemas import accounts as account_schemas
from gateway.schemas.base import to_milliseconds
from gateway.schemas.limits import BoundsIn, LimitIn
from gateway.views.accounts import key_shape


async def create_for_account(request: web.Request) -> web.Response:
    """`POST /v1/admin/accounts/{account}/keys`."""
    body, managed = await read_body(request, account_schemas.KeyIn), managed_account(request)
    key = _new_key(request)
    added = await request.app[LEDGER].add_key(
        key=key,
        scope=Scope.ACCOUNT,
        account=managed.account,
        label=body.label,
        limit=None if body.limit is None else _limit(body.limit),
        bounds=_bounds(request, body),
        member=body.member if "member" in body.model_fields_set else managed.by,
        keys_version=managed.keys_version,
        by=managed.by,
    )
    return _shown_once(changed(added, managed.missing), key)


async def create_for_operator(request: web.Request) -> web.Response:
    """`POST /v1/admin/keys`: a key of one of the operators' roles."""
    body = await read_body(request, account_schemas.OperatorKeyIn)
    key = _new_key(request)
    added = await request.app[LEDGER].add_key(key=key, scope=Scope(body.scope), account=None, label=body.label)
    return _shown_once(changed(added, "operators"), key)


async def listed(request: web.Request) -> web.Response:
    """`GET /v1/admin/accounts/{account}/keys`."""
    known = await read_account(request)
    return answer(account_schemas.KeysOut(data=[key_shape(key) for key in known.keys]))


async def listed_of_operators(request: web.Request) -> web.Response:
    """`GET /v1/admin/keys`: the operators'; without the one from the settings."""
    return answer(account_schemas.KeysOut(data=[key_shape(key) for key in await request.app[LEDGER].operator_keys()]))


async def change_of_account(request: web.Request) -> web.Response:
    """`PATCH /v1/admin/accounts/{account}/keys/{key}`: its label, what it may spend and be used for (R26, R27)."""
    body = await read_body(request, account_schemas.KeyChangeIn)
    managed, key_id = managed_account(request), request.match_info["key"]
    limit: Limit | Literal["none"] | None = None if body.limit is None else _limit(body.limit)
    if limit is None and "limit" in body.model_fields_set:
        limit = "none"
    outcome = await request.app[LEDGER].change_key(
        account=managed.account,
        key_id=key_id,
        limit=limit,
        label=body.label,
        bounds=_bounds(request, body),
        keys_version=managed.keys_version,
        by=managed.by,
    )
    known = changed(outcome, managed.named(f"key {key_id}"))
    return answer(next(key_shape(key) for key in known.keys if key.id == key_id))


async def rotate_of_account(request: web.Request) -> web.Response:
    """`POST /v1/admin/accounts/{account}/keys/{key}/rotate`: a successor, and an end for the old one (R27)."""
    body = await read_body(request, account_schemas.KeyRotationIn)
    managed, key_id, key = (
        managed_account(request),
        request.match_info["key"],
        _new_key(request),
    )
    outcome = await request.app[LEDGER].rotate_key(
        account=managed.account,
        key_id=key_id,
        successor=key,
        overlap_ms=body.overlap_seconds * 1000,
        keys_version=managed.keys_version,
        by=managed.by,
    )
    if isinstance(outcome, outcomes.Refused) and outcome.reason == "already_rotated":
        raise InvalidRequest(
            f"This key was rotated before: its successor is {outcome.detail}. Rotate that one. Nothing was changed."
        )
    rotated = changed(outcome, managed.named(f"key {key_id}"))
    return _shown_once(next(one for one in rotated.keys if one.id == key_id_of(key)), key)


async def revoke_of_account(request: web.Request) -> web.Response:
    """`DELETE /v1/admin/accounts/{account}/keys/{key}`: effective everywhere at once."""
    managed = managed_account(request)
    return await _revoke(request, managed, managed.named(f"key {request.match_info['key']}"))


async def revoke_of_operator(request: web.Request) -> web.Response:
    """`DELETE /v1/admin/keys/{key}`."""
    return await _revoke(request, None, f"operator's key {request.match_info['key']}")


def _shown_once(made: AccountKey, key: str) -> web.Response:
    return answer(key_shape(made).model_copy(update={"key": key}), status=HTTPStatus.CREATED)


async def _revoke(request: web.Request, managed: ManagedAccount | None, what: str) -> web.Response:
    key_id, ledger = request.match_info["key"], request.app[LEDGER]
    revoked = (
        await ledger.revoke_key(key_id=key_id, account=None)
        if managed is None
        else await ledger.revoke_key(
            key_id=key_id, account=managed.account, keys_version=managed.keys_version, by=managed.by
        )
    )
    if not changed(revoked, what):
        raise NotFound(f"There is no {what}, or it was already revoked.")
    return answer(account_schemas.Revoked(id=key_id, revoked=True))


def _bounds(request: web.Request, body: BoundsIn) -> BoundsChange:
    """The bounds that a body sets or removes; InvalidRequest for those that would leave a key useless."""
    card, given = request.app[RATE_CARDS].card, body.model_fields_set
    change: BoundsChange = {}
    if "tools" in given:
        change["tools"] = known_names("tools", body.tools, card.tools)
    if "models" in given:
        change["models"] = known_names("models", body.models, card.models)
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


def _limit(limit: LimitIn) -> Limit:
    return Limit(credits_to_millicredits(limit.credits), limit.period)


def _new_key(request: web.Request) -> str:
    signing_key = request.app[SETTINGS].secret("signing-key")
    return new_secret(KEY_PREFIX, purpose="api-key", made_from=seed(request), signing_key=signing_key)
