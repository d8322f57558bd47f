"""Providers' callbacks when a job has ended. A callback only triggers a poll, which fetches the result."""

from __future__ import annotations

import structlog
from aiohttp import web

from gateway.api.access.callback_signatures import KeysUnavailable, NotSigned
from gateway.api.errors import InvalidJson, InvalidKey, InvalidRequest, LedgerDown, ProviderDown
from gateway.api.http.context import context
from gateway.api.http.parse import raw_body
from gateway.api.services import (
    BACKGROUND,
    CALLBACK_LINKS,
    CALLBACK_SIGNATURES,
    LEDGER,
    QUEUE,
    RATE_CARDS,
    STARTUP,
)
from gateway.errors import FieldProblem
from gateway.ledger import outcomes
from gateway.outside.strict_json import NotJson, read_json
from gateway.pricing.providers import ProviderTable

JOB_MAX_CHARACTERS = 500
_JOB_FIELDS = {"replicate": "id", "fal": "request_id", "http": "id"}
"""The member with the job's id, by kind of provider. Nothing else is read of a callback's body."""

log = structlog.get_logger(__name__)


class CallbackRefused(InvalidKey):
    """The callback's URL was not issued here, or its signature is not its provider's."""


async def take(request: web.Request) -> web.Response:
    """`POST /v1/callbacks/{provider}/{token}`: poll the token's generation now."""
    provider = request.match_info["provider"]
    generation = request.app[CALLBACK_LINKS].open(provider, request.match_info["token"])
    table = request.app[RATE_CARDS].card.providers.get(provider)
    if generation is None or table is None or table.kind not in _JOB_FIELDS:
        raise CallbackRefused("This is not a callback URL that this gateway issued. Nothing was done.")
    context(request).generation = generation
    body = await raw_body(request, signed=True)
    may_stop = await _checked(request, provider, table, body)
    if not request.app[STARTUP].ready:
        raise LedgerDown(f"Farebox is not ready: {request.app[STARTUP].problem}. Retry later.")
    job = _job(table, body)
    outcome = await request.app[LEDGER].call_back(generation=generation, job=job, provider=provider)
    _follow(request, generation, job, outcome, provider=provider, may_stop=may_stop)
    log.info("called_back", generation=generation, provider=provider, outcome=type(outcome).__name__)
    return web.json_response({})


async def _checked(request: web.Request, provider: str, table: ProviderTable, body: bytes) -> bool:
    """Whether the callback may stop a job, because it is signed; CallbackRefused if it is not the provider's."""
    try:
        return await request.app[CALLBACK_SIGNATURES].check(table, request.headers, body)
    except NotSigned as error:
        log.warning("callback_refused", provider=provider, reason=str(error))
        raise CallbackRefused("The signature does not verify against this provider's keys. Nothing was done.") from None
    except KeysUnavailable:
        raise ProviderDown(
            "The provider's signing keys cannot be fetched, so the signature cannot be verified. Retry later."
        ) from None


def _job(table: ProviderTable, body: bytes) -> str:
    name = _JOB_FIELDS[table.kind]
    try:
        document = read_json(body, any_numbers=True)
    except NotJson as error:
        raise InvalidJson(f"The body {error}.") from None
    job = document.get(name) if isinstance(document, dict) else None
    if not isinstance(job, str) or not 0 < len(job) <= JOB_MAX_CHARACTERS:
        problem = FieldProblem(name, f"must be the job's id, 1 to {JOB_MAX_CHARACTERS} characters")
        raise InvalidRequest(f"The body's `{name}` {problem.message}.", fields=[problem])
    return job


def _follow(
    request: web.Request,
    generation: str,
    job: str,
    outcome: outcomes.NotFound | outcomes.Stray | outcomes.Unchanged | outcomes.CalledBack,
    *,
    provider: str,
    may_stop: bool,
) -> None:
    match outcome:
        case outcomes.Stray(tool) if may_stop:
            at = provider if provider in request.app[RATE_CARDS].card.with_alternatives else ""
            stop = request.app[QUEUE].stop_stray(tool=tool, generation=generation, ref=job, provider=at)
            request.app[BACKGROUND].start(stop, "stop_stray")
