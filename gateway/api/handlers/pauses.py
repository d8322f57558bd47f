"""Pauses (R36): operators stop a tool, model, provider or account from starting anything, and resume it."""

from __future__ import annotations

from typing import Any

import structlog
from aiohttp import web

from gateway.api.access.auth import found
from gateway.api.errors import InvalidRequest, NotFound
from gateway.api.http.parse import read_body
from gateway.api.http.respond import answer
from gateway.api.services import BACKGROUND, LEDGER, PAUSE_BOARD, RATE_CARDS
from gateway.clock import now_ms
from gateway.domain import PauseKind, State
from gateway.errors import FieldProblem, LedgerUnavailable
from gateway.ledger import outcomes
from gateway.ledger.finding import GenerationFilter, Kind
from gateway.ledger.ledger import Ledger
from gateway.ledger.pause_records import Pause
from gateway.pricing.card import RateCard
from gateway.schemas import pauses as pause_schemas
from gateway.schemas.base import to_milliseconds
from gateway.views.accounts import account_shape
from gateway.views.pauses import pause_shape

HELD_MAX = 1_000_000

log = structlog.get_logger(__name__)


async def listed(request: web.Request) -> web.Response:
    """`GET /v1/ops/pauses`."""
    pauses = await request.app[LEDGER].pauses()
    return answer(pause_schemas.PausesOut(data=[pause_shape(pause) for pause in pauses]))


async def put(request: web.Request) -> web.Response:
    """`PUT /v1/ops/pauses/{kind}/{name}`."""
    body = await read_body(request, pause_schemas.PauseIn)
    kind, name = _named(request)
    if name not in _on_card(request.app[RATE_CARDS].card, kind):
        raise NotFound(f"There is no {kind} {name} on the rate card.")
    return answer(pause_shape(found(await _pause(request, kind, name, body), f"{kind} {name}")))


async def end(request: web.Request) -> web.Response:
    """`DELETE /v1/ops/pauses/{kind}/{name}`: also of what is no longer on the card."""
    kind, name = _named(request)
    if not await request.app[LEDGER].end_pause(kind=kind, name=name):
        raise NotFound(f"The {kind} {name} is not paused.")
    _resumed(request, kind, name)
    return answer(pause_schemas.Resumed(kind=_word(kind), name=name, resumed=True))


async def put_account(request: web.Request) -> web.Response:
    """`PUT /v1/admin/accounts/{account}/pause`."""
    body = await read_body(request, pause_schemas.PauseIn)
    account = request.match_info["account"]
    found(await _pause(request, PauseKind.ACCOUNT, account, body), f"account {account}")
    return await _account(request, account)


async def end_account(request: web.Request) -> web.Response:
    """`DELETE /v1/admin/accounts/{account}/pause`."""
    account = request.match_info["account"]
    if not await request.app[LEDGER].end_pause(kind=PauseKind.ACCOUNT, name=account):
        raise NotFound(f"There is no account {account}, or it is not paused.")
    _resumed(request, PauseKind.ACCOUNT, account)
    return await _account(request, account)


async def _pause(
    request: web.Request, kind: PauseKind, name: str, body: pause_schemas.PauseIn
) -> outcomes.NotFound | Pause:
    until = None if body.until is None else to_milliseconds(body.until)
    if until is not None and until <= now_ms():
        text = "must be in the future"
        raise InvalidRequest(f"The end of a pause (`until`) {text}.", fields=[FieldProblem("until", text)])
    paused = await request.app[LEDGER].pause(kind=kind, name=name, reason=body.reason, new=body.new, until=until)
    request.app[PAUSE_BOARD].forget()
    return paused


def _resumed(request: web.Request, kind: PauseKind, name: str) -> None:
    """Start what was held, in the background: what this misses, a caretaker finds within a minute."""
    request.app[PAUSE_BOARD].forget()
    request.app[BACKGROUND].start(_start_held(request.app[LEDGER], kind, name), "start what was paused")


async def _start_held(ledger: Ledger, kind: PauseKind, name: str) -> None:
    named: Any = {kind.value: name}
    only = GenerationFilter(state=State.QUEUED, **named)
    try:
        held = await ledger.find(kind=Kind.OPEN, only=only, examine=HELD_MAX)
        started = await ledger.recheck(one.id for one in held.data if one.provider_ref is None)
    except LedgerUnavailable as error:
        log.warning("held_generations_left_to_caretaker", kind=kind, name=name, error=str(error))
    else:
        log.info("held_generations_started", kind=kind, name=name, generations=started)


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
    return card.models if kind is PauseKind.MODEL else {name for model in card.models.values() for name in model.offers}


def _word(kind: PauseKind) -> Any:
    return kind.value
