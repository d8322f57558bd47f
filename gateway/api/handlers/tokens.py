"""Client tokens, for browsers and phones: they quote, generate, and read what they made themselves."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus

from aiohttp import web

from gateway.api import limits
from gateway.api.access.auth import ACCOUNT_CALLER, OWN_ACCOUNT, TOKEN_PREFIX, found
from gateway.api.access.new_keys import new_secret
from gateway.api.errors import InvalidRequest, RateLimited
from gateway.api.http.parse import read_body
from gateway.api.http.respond import answer
from gateway.api.middleware.idempotency import seed
from gateway.api.ownership.sold import known_names
from gateway.api.services import LEDGER, RATE_CARDS, SETTINGS
from gateway.domain import credits_to_millicredits
from gateway.errors import FieldProblem
from gateway.ledger.allowances import Limited
from gateway.schemas.base import utc
from gateway.schemas.errors import RateLimitedDetails
from gateway.schemas.tokens import TokenIn, TokenOut


async def create(request: web.Request) -> web.Response:
    """`POST /v1/tokens`: with an account's key; a token makes none."""
    body, caller = await read_body(request, TokenIn), request[ACCOUNT_CALLER]
    card = request.app[RATE_CARDS].card
    tools = _within("tools", known_names("tools", body.tools, card.tools), caller.bounds.tools)
    models = _within("models", known_names("models", body.models, card.models), caller.bounds.models)
    await _admit(request, caller.key_id)
    token = _new_token(request)
    made = found(
        await request.app[LEDGER].add_token(
            token=token,
            parent=caller.key_id,
            account=caller.account,
            keys_version=caller.keys_version,
            millicredits=credits_to_millicredits(body.credits),
            lifetime_ms=body.expires_in_seconds * 1000,
            tools=tools,
            models=models,
        ),
        OWN_ACCOUNT,
    )
    shape = TokenOut(
        id=made.id,
        object="token",
        token=token,
        account=caller.account,
        key=caller.key_id,
        member=caller.member,
        credits=body.credits,
        tools=tools,
        models=models,
        expires_at=utc(made.bounds.expires_at),
    )
    return answer(shape, status=HTTPStatus.CREATED)


def _new_token(request: web.Request) -> str:
    signing_key = request.app[SETTINGS].secret("signing-key")
    return new_secret(TOKEN_PREFIX, purpose="client-token", made_from=seed(request), signing_key=signing_key)


def _within(field: str, names: list[str] | None, allowed: Sequence[str] | None) -> list[str] | None:
    """What the token is bound to: no more than its key, which may be bound itself (R27)."""
    if allowed is None:
        return names
    beyond = [name for name in names or () if name not in allowed]
    if beyond:
        text = f"must be among those of this API key: {', '.join(allowed)}"
        raise InvalidRequest(f"`{field}` {text}.", fields=[FieldProblem(field, text)])
    return list(allowed) if names is None else names


async def _admit(request: web.Request, key_id: str) -> None:
    """RateLimited if the key has created too many this minute: each is kept for up to an hour."""
    outcome = await request.app[LEDGER].admit(key_id=f"tokens_{key_id}", per_minute=limits.TOKENS_PER_MINUTE)
    if isinstance(outcome, Limited):
        seconds = -(-outcome.retry_after_ms // 1000)
        raise RateLimited(
            f"Rate limit exceeded: {limits.TOKENS_PER_MINUTE} client tokens per minute per key. Retry in {seconds} s.",
            RateLimitedDetails(requests_per_minute=limits.TOKENS_PER_MINUTE),
            headers={"Retry-After": str(seconds)},
        )
