"""Creates a generation from a client's call: finds its model, maps its parameters; retries share one generation."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Coroutine, Mapping
from functools import partial, wraps
from http import HTTPStatus
from time import monotonic
from typing import Any

from aiohttp import web

from gateway.api.access.auth import ACCOUNT_CALLER
from gateway.api.errors import ApiError, UnknownModel
from gateway.api.http.context import context
from gateway.api.http.headers import GENERATION_HEADER, IDEMPOTENCY_HEADER, REPLAY_HEADER
from gateway.api.http.parse import shaped
from gateway.api.http.route import Handler
from gateway.api.middleware.idempotency import digests_of
from gateway.api.ordering.ordering import Ordered
from gateway.api.ordering.refusals import refusal_of_request
from gateway.api.services import BACKGROUND, CLIENT_CALLS, KEY_USE, ORDERING, RATE_CARDS
from gateway.domain import OwnWebhook, SettingValue
from gateway.errors import FieldProblem, RequestRefused
from gateway.facades.open_calls import OPEN_CALLS, OpenCall
from gateway.facades.parameters import RETRY_COUNT_HEADER, refused
from gateway.kinds import MADE, MediaKind
from gateway.ledger.client_calls import ClientCall
from gateway.pricing import facade_settings
from gateway.pricing.card import Model
from gateway.pricing.facade_settings import Sense
from gateway.pricing.facades import FacadeName
from gateway.pricing.values import did_you_mean, show
from gateway.schemas.generations import GenerationIn

RETRY_SECONDS = 600
"""How long after a call an equal request that says it is a retry belongs to it."""

OURS = frozenset({"max_credits", "metadata", "sandbox", "tags"})
"""Members of `POST /v1/generations` that a client may send besides its own parameters."""

_RETRIED = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS})
_CALL = web.RequestKey("CALL", OpenCall)


def model_of(request: web.Request, name: object, kind: MediaKind | None = None) -> str:
    """The id of the model with this name; UnknownModel if there is none, or it makes another kind of thing."""
    card = request.app[RATE_CARDS].card
    model_id = card.model_named(name) if isinstance(name, str) else None
    if model_id is None:
        shown = show(name[:80]) if isinstance(name, str) else "of this kind"
        hint = did_you_mean(name, card.models) if isinstance(name, str) else ""
        text = f"There is no model {shown}{hint or '.'} GET /v1/rate-card lists all models."
        raise UnknownModel(text, fields=[FieldProblem("model", text)])
    model = card.models[model_id]
    made = card.kind_of(model)
    if kind is not None and made is not kind:
        text = f"{model.name} makes no {MADE[kind]}: it is a model of the tool {show(model.tool)}."
        raise UnknownModel(text, fields=[FieldProblem("model", text)])
    return model_id


def models_of(request: web.Request, kind: MediaKind) -> dict[str, Model]:
    """The models that make this kind of thing, by id; the baseline model of each tool, the default, comes first."""
    card = request.app[RATE_CARDS].card
    models = [tool.baseline_model for tool in card.tools.values()] + list(card.models)
    made = {name: card.models[name] for name in models}
    return {name: model for name, model in made.items() if card.kind_of(model) is kind}


def settings_of(
    request: web.Request, model_id: str, facade: FacadeName, given: Mapping[str, object], senses: Mapping[str, Sense]
) -> dict[str, SettingValue]:
    """Map a client's parameters to settings; SettingsRefused names every one that cannot be mapped."""
    try:
        return facade_settings.settings_of(request.app[RATE_CARDS].card, model_id, facade, given, senses)
    except RequestRefused as refused:
        raise refusal_of_request(refused) from None


def prompt_of(request: web.Request, model_id: str, given: dict[str, Any], where: str = "") -> Any:
    """Remove the prompt from the parameters in `given`, and return it; "" if the model does not require one."""
    if "prompt" not in given and request.app[RATE_CARDS].card.models[model_id].prompt == "required":
        raise refused("prompt", f"is required{where}")
    return given.pop("prompt", "")


def generation_of(request: web.Request, model_id: str, members: Mapping[str, Any]) -> GenerationIn:
    """The body of our own create call; InvalidRequest if a member is invalid."""
    tool = request.app[RATE_CARDS].card.models[model_id].tool
    return shaped({"tool": tool, "model": model_id, **members}, GenerationIn)


async def order(
    request: web.Request,
    body: GenerationIn,
    *,
    digest: str,
    retries: int | None,
    seconds: int = RETRY_SECONDS,
    webhook: OwnWebhook | None = None,
) -> Ordered:
    """Price, reserve and queue; for a retry, return the generation of its call.

    `digest` covers everything that makes two calls equal. `retries`: the client's retry count, for retries within
    `seconds`; None if it does not count: then every call may be a retry of an unanswered one.
    `webhook` receives the generation's events in the client's form; the digest must cover it.
    """
    who, key = request[ACCOUNT_CALLER], None
    asked = hashlib.sha256(f"{request.method}\n{request.path}\n{digest}".encode()).hexdigest()
    if IDEMPOTENCY_HEADER not in request.headers:
        same = f"{who.key_id}\n{asked}"
        call = ClientCall(who.account, hashlib.sha256(same.encode()).hexdigest(), seconds)
        opened = await _opened(request, call, retries)
        if not _is_connected(request):
            # If this request was delayed, its retry may have come first and be a call of its own by now.
            raise ConnectionResetError("the client left before its call was accepted")
        # Headers cannot contain a space, so this is never a key that a client has sent.
        key = f"client call {opened.key}"
    digests = await digests_of(request, who, asked, key=key)
    ordered = await request.app[ORDERING].order(who, body, digests, webhook)
    context(request).generation = ordered.generation.id
    if not ordered.replay:
        request.app[KEY_USE].recorded[who.key_id] = monotonic()
    return ordered


async def _opened(request: web.Request, call: ClientCall, retries: int | None) -> OpenCall:
    """The call of this request: the same if it orders again, as when it waits for room."""
    opened, calls = request.get(_CALL), request.app[OPEN_CALLS]
    if opened is None or opened.is_answered:
        opened = request[_CALL] = await calls.begin(call, retries, partial(_is_connected, request))
    else:
        calls.resume(opened)
    return opened


def answered(request: web.Request) -> None:
    """Record that the response of this request was sent completely.

    Retries are then matched to other calls first. If the client does not count retries, an equal request is a new call.
    """
    opened, calls = request.get(_CALL), request.app[CLIENT_CALLS]
    _note(request, calls.answered if opened is None or opened.counted else calls.forgotten)


def keep(request: web.Request) -> None:
    """Keep the call's record for as long as its client waits."""
    opened = request.get(_CALL)
    if opened is not None and opened.is_due_to_be_kept():
        request.app[BACKGROUND].start(request.app[CLIENT_CALLS].kept(opened.of, opened.key), "keep a client's call")


def ends_its_call(handler: Handler) -> Handler:
    """Wrap a create's handler: when it ends, an equal request may be a retry of this one."""

    @wraps(handler)
    async def answer(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except ApiError as refusal:
            if context(request).generation is None:
                calls = request.app[CLIENT_CALLS]
                _note(request, calls.refused if _is_retried(request, refusal) else calls.forgotten)
            raise
        finally:
            opened = request.get(_CALL)
            if opened is not None and not opened.is_answered:
                request.app[OPEN_CALLS].end(opened)

    return answer


def _is_retried(request: web.Request, refusal: ApiError) -> bool:
    """Whether the client sends this again by itself, and says so."""
    return RETRY_COUNT_HEADER in request.headers and (
        refusal.status in _RETRIED or refusal.status >= HTTPStatus.INTERNAL_SERVER_ERROR
    )


def _note(request: web.Request, note: Callable[[ClientCall, str], Coroutine[Any, Any, None]]) -> None:
    """Update the record of this request's call in the background."""
    opened = request.get(_CALL)
    if opened is None or opened.is_answered:
        return
    opened.is_answered = True

    async def noted() -> None:
        try:
            await note(opened.of, opened.key)
        finally:
            request.app[OPEN_CALLS].end(opened)

    request.app[BACKGROUND].start(noted(), "note a client's call")


def _is_connected(request: web.Request) -> bool:
    return request.transport is not None and not request.transport.is_closing()


def created_headers(ordered: Ordered) -> dict[str, str]:
    """Headers that name the generation, so that a client that hangs up can find it again."""
    headers = {GENERATION_HEADER: ordered.generation.id}
    return headers | {REPLAY_HEADER: "true"} if ordered.replay else headers
