"""A client's call becomes an order: its model by name, its parameters as settings, one generation for all retries."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from gateway.api.access.auth import ACCOUNT_CALLER
from gateway.api.errors import ApiError, UnknownModel
from gateway.api.http.context import context
from gateway.api.http.headers import GENERATION_HEADER, REPLAY_HEADER
from gateway.api.http.parse import idempotency_key, shaped
from gateway.api.middleware.idempotency import digests_of
from gateway.api.ordering.ordering import Ordered
from gateway.api.ordering.refusals import refusal_of_request
from gateway.api.services import BACKGROUND, CLIENT_CALLS, ORDERING, RATE_CARDS
from gateway.domain import MediaKind, OwnWebhook, SettingValue, kind_asked
from gateway.errors import FieldProblem, RequestRefused
from gateway.ledger.client_calls import ClientCall
from gateway.pricing import facade_settings
from gateway.pricing.card import Model
from gateway.pricing.facade_settings import Sense
from gateway.pricing.facades import FacadeName
from gateway.pricing.values import did_you_mean, show
from gateway.schemas.generations import GenerationIn

RETRY_SECONDS = 600
"""For how long after a call the same request, called a retry, is that call."""

OURS = frozenset({"max_credits", "metadata", "sandbox"})
"""Members of `POST /v1/generations` that a client may send beside its own parameters."""


@dataclass(frozen=True, slots=True)
class _CallInWork:
    """The call that a request is, or is a retry of."""

    of: ClientCall
    key: str
    counted: bool
    """Whether its client counts its retries."""


_CALL = web.RequestKey("CALL", _CallInWork)


def model_of(request: web.Request, name: object, kind: MediaKind | None = None) -> str:
    """The id of the model that a client calls so; UnknownModel if none is called so, or it makes something else."""
    card = request.app[RATE_CARDS].card
    model_id = card.model_named(name) if isinstance(name, str) else None
    if model_id is None:
        shown = show(name[:80]) if isinstance(name, str) else "of this kind"
        hint = did_you_mean(name, card.models) if isinstance(name, str) else ""
        text = f"There is no model {shown}{hint or '.'} GET /v1/rate-card lists all models."
        raise UnknownModel(text, fields=[FieldProblem("model", text)])
    model = card.models[model_id]
    made = kind_asked(model.tool, model.settings)
    if kind is not None and made is not kind:
        text = f"{model.name} makes no {kind}s: it is a model of the tool {show(model.tool)}."
        raise UnknownModel(text, fields=[FieldProblem("model", text)])
    return model_id


def models_of(request: web.Request, kind: MediaKind) -> dict[str, Model]:
    """The models that make this kind of thing, by id: first the baseline model of each tool, which is the default."""
    card = request.app[RATE_CARDS].card
    models = [tool.baseline_model for tool in card.tools.values()] + list(card.models)
    made = {name: card.models[name] for name in models}
    return {name: model for name, model in made.items() if kind_asked(model.tool, model.settings) is kind}


def settings_of(
    request: web.Request, model_id: str, facade: FacadeName, given: Mapping[str, object], senses: Mapping[str, Sense]
) -> dict[str, SettingValue]:
    """A client's parameters as settings; SettingsRefused names every one that cannot be mapped."""
    try:
        return facade_settings.settings_of(request.app[RATE_CARDS].card, model_id, facade, given, senses)
    except RequestRefused as refused:
        raise refusal_of_request(refused) from None


def generation_of(request: web.Request, model_id: str, members: Mapping[str, Any]) -> GenerationIn:
    """The body of our own create call; InvalidRequest if a member is not what it has to be."""
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
    """Price, reserve and queue; of a call that was made before, the generation that it made then.

    `digest` is of all that makes two calls the same. `retries`: how often the client says that it has sent this
    before, within `seconds`; None if it does not count: then every call may be a retry of one that was not answered.
    `webhook` receives the generation's events in the client's form; the digest has to cover it.
    """
    who, key = request[ACCOUNT_CALLER], idempotency_key(request)
    asked = hashlib.sha256(f"{request.method}\n{request.path}\n{digest}".encode()).hexdigest()
    if key is None:
        same = f"{who.key_id}\n{asked}"
        call = ClientCall(who.account, hashlib.sha256(same.encode()).hexdigest(), seconds)
        made = await request.app[CLIENT_CALLS].key_of(call, 1 if retries is None else retries)
        request[_CALL] = _CallInWork(call, made, counted=retries is not None)
        if request.transport is None or request.transport.is_closing():
            # Its retry may have come first, while this was held up, and be another call by now.
            raise ConnectionResetError("the client left before its call was accepted")
        # No header has a space in it, so this is never a key that somebody has sent.
        key = f"client call {made}"
    digests = await digests_of(request, who, asked, key=key)
    try:
        ordered = await request.app[ORDERING].order(who, body, digests, webhook)
    except ApiError:
        _note(request, request.app[CLIENT_CALLS].forgotten)
        raise
    context(request).generation = ordered.generation.id
    return ordered


def answered(request: web.Request) -> None:
    """Note that the response of this request is whole, or about to be.

    Its retries come only after all others'; of a client that does not count them, the same request is a new call.
    """
    call, calls = request.get(_CALL), request.app[CLIENT_CALLS]
    _note(request, calls.answered if call is None or call.counted else calls.forgotten)


def _note(request: web.Request, note: Callable[[ClientCall, str], Coroutine[Any, Any, None]]) -> None:
    """Note something of this request's call, without letting the client wait."""
    call = request.get(_CALL)
    if call is not None:
        request.app[BACKGROUND].start(note(call.of, call.key), "note a client's call")


def created_headers(ordered: Ordered) -> dict[str, str]:
    """Which generation an answer is about, so that whoever hangs up can find it again."""
    headers = {GENERATION_HEADER: ordered.generation.id}
    return headers | {REPLAY_HEADER: "true"} if ordered.replay else headers
