"""What one request knows of itself: its id, its caller, and what its log line says."""

from __future__ import annotations

import re

from aiohttp import web

from gateway.api.auth import Caller
from gateway.domain import GENERATION_PATTERN

_CALLER = "farebox.caller"
_REQUEST_ID = "farebox.request_id"
_GENERATION = "farebox.generation"
_STARTED = "farebox.started"


def caller(request: web.Request) -> Caller:
    """Who is calling; only for routes that have scopes."""
    who: Caller = request[_CALLER]
    return who


def set_caller(request: web.Request, who: Caller) -> None:
    """Note who is calling."""
    request[_CALLER] = who


def account_id(request: web.Request) -> str | None:
    """The account that the request is for, for the log: the caller's own, or the one in an operator's path."""
    who: Caller | None = request.get(_CALLER)
    own = None if who is None else who.account
    return own or (request.match_info.get("account") if who is not None else None)


def request_id(request: web.Request) -> str:
    """The id in `X-Request-Id`."""
    made: str = request[_REQUEST_ID]
    return made


def set_request_id(request: web.Request, made: str) -> None:
    """Note the request's id."""
    request[_REQUEST_ID] = made


def generation_id_of(request: web.Request) -> str | None:
    """The generation that the request is about, for the log."""
    made: str | None = request.get(_GENERATION)
    named = made or request.match_info.get("generation", "")
    return named if re.match(GENERATION_PATTERN, named) else None


def remember_generation(request: web.Request, generation: str) -> None:
    """Note the generation that the request made."""
    request[_GENERATION] = generation


def has_started(request: web.Request) -> bool:
    """Whether headers have been sent: from then on an error can only end the connection."""
    return bool(request.get(_STARTED))


def note_started(request: web.Request) -> None:
    """Note that the headers are on their way."""
    request[_STARTED] = True
