"""Pauses (R36): operators stop what is new of a tool, model, provider or account, and resume it."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from gateway.api.access.auth import found
from gateway.api.errors import NotFound
from gateway.api.http.parse import read_body
from gateway.api.http.respond import answer
from gateway.api.services import LEDGER, RATE_CARDS
from gateway.domain import PauseKind
from gateway.ledger.pauses import Pause
from gateway.pricing.card import RateCard
from gateway.schemas import pauses as pause_schemas
from gateway.schemas.base import utc
from gateway.views.accounts import account_shape


async def listed(request: web.Request) -> web.Response:
    """`GET /v1/ops/pauses`."""
    pauses = await request.app[LEDGER].pauses()
    return answer(pause_schemas.PausesOut(data=[_shape(pause) for pause in pauses]))


async def put(request: web.Request) -> web.Response:
    """`PUT /v1/ops/pauses/{kind}/{name}`."""
    body = await read_body(request, pause_schemas.PauseIn)
    kind, name = _named(request)
    if name not in _on_card(request.app[RATE_CARDS].card, kind):
        raise NotFound(f"There is no {kind} {name} on the rate card.")
    paused = await request.app[LEDGER].pause(kind=kind, name=name, reason=body.reason)
    return answer(_shape(found(paused, f"{kind} {name}")))


async def end(request: web.Request) -> web.Response:
    """`DELETE /v1/ops/pauses/{kind}/{name}`: also of what is no longer on the card."""
    kind, name = _named(request)
    if not await request.app[LEDGER].end_pause(kind=kind, name=name):
        raise NotFound(f"The {kind} {name} is not paused.")
    return answer(pause_schemas.Resumed(kind=_word(kind), name=name, resumed=True))


async def put_account(request: web.Request) -> web.Response:
    """`PUT /v1/admin/accounts/{account}/pause`."""
    body = await read_body(request, pause_schemas.PauseIn)
    account = request.match_info["account"]
    found(
        await request.app[LEDGER].pause(kind=PauseKind.ACCOUNT, name=account, reason=body.reason), f"account {account}"
    )
    return await _account(request, account)


async def end_account(request: web.Request) -> web.Response:
    """`DELETE /v1/admin/accounts/{account}/pause`."""
    account = request.match_info["account"]
    if not await request.app[LEDGER].end_pause(kind=PauseKind.ACCOUNT, name=account):
        raise NotFound(f"There is no account {account}, or it is not paused.")
    return await _account(request, account)


async def _account(request: web.Request, account: str) -> web.Response:
    return answer(account_shape(found(await request.app[LEDGER].account(account=account), f"account {account}")))


def _named(request: web.Request) -> tuple[PauseKind, str]:
    kind, name = request.match_info["kind"], request.match_info["name"]
    if kind not in {PauseKind.TOOL, PauseKind.MODEL, PauseKind.PROVIDER}:
        raise NotFound(f"There is nothing of the kind {kind} to pause: tool, model or provider.")
    return PauseKind(kind), name


def _on_card(card: RateCard, kind: PauseKind) -> Any:
    if kind is PauseKind.TOOL:
        return card.tools
    return card.models if kind is PauseKind.MODEL else {model.provider for model in card.models.values()}


def _shape(pause: Pause) -> pause_schemas.PauseOut:
    return pause_schemas.PauseOut(
        object="pause", kind=_word(pause.kind), name=pause.name, reason=pause.reason, since=utc(pause.since)
    )


def _word(kind: PauseKind) -> Any:
    return kind.value
