"""What one request knows of itself: its id, its caller, and what its log line says."""

from __future__ import annotations

import secrets

from aiohttp import web

from gateway.api.access.auth import Caller
from gateway.domain import is_generation_id

_CALLER = web.RequestKey("CALLER", Caller)
_REQUEST_ID = web.RequestKey("REQUEST_ID", str)
_GENERATION = web.RequestKey("GENERATION", str)
_STARTED = web.RequestKey("STARTED", bool)
_RATE_HEADERS = web.RequestKey("RATE_HEADERS", dict)


def caller(request: web.Request) -> Caller:
    """Who is calling; only for routes that have scopes."""
    return request[_CALLER]


def caller_if_any(request: web.Request) -> Caller | None:
    """Who is calling, if a key was sent where none is needed."""
    return request.get(_CALLER)


def set_caller(request: web.Request, who: Caller) -> None:
    """Note who is calling."""
    request[_CALLER] = who


def request_id(request: web.BaseRequest) -> str:
    """The id in `X-Request-Id`, made when it is first asked for."""
    named = request.get(_REQUEST_ID)
    if named is None:
        named = request[_REQUEST_ID] = f"req_{secrets.token_hex(12)}"
    return named


def set_rate_headers(request: web.Request, headers: dict[str, str]) -> None:
    """Note what the answer is to say of its key's rate."""
    request[_RATE_HEADERS] = headers


def remember_generation(request: web.Request, generation: str) -> None:
    """Note the generation that the request made."""
    request[_GENERATION] = generation


def has_started(request: web.Request) -> bool:
    """Whether headers have been sent: from then on an error can only end the connection."""
    return request.get(_STARTED) is True


def start_response(request: web.Request) -> dict[str, str]:
    """Note that headers are on their way; the headers about its key's rate, if the request was counted."""
    request[_STARTED] = True
    headers: dict[str, str] = request.get(_RATE_HEADERS, {})
    return headers


def log_members(request: web.Request) -> dict[str, str | None]:
    """Which request it is, for the log, with its account and its generation.

    The account is the caller's own, or the one in an operator's path; the generation was made, or is in the path.
    """
    who, named = request.get(_CALLER), request.match_info.get("generation")
    return {
        "request_id": request_id(request),
        "account": None if who is None else who.account or request.match_info.get("account"),
        "generation": request.get(_GENERATION) or (named if named is not None and is_generation_id(named) else None),
    }
