"""Generations: create, read, list, cancel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from http import HTTPStatus

from aiohttp import web

from gateway.api.auth import KeysStale, found
from gateway.api.context import caller, remember_generation
from gateway.api.errors import ApiError, InvalidRequest, NotFound, PriceAboveCeiling
from gateway.api.idempotency import REPLAY_HEADER, key_digest, reused
from gateway.api.inputs import GivenInput, given_inputs, stored, stored_keys
from gateway.api.parse import idempotency_key, read_body, read_query, request_digest
from gateway.api.periods import period_of
from gateway.api.quotes import price
from gateway.api.receiver_urls import checked_url
from gateway.api.refusals import refusal_of_reserve
from gateway.api.respond import answer, answer_json
from gateway.api.services import (
    BACKGROUND,
    BODIES,
    LEDGER,
    LINKS,
    OUTPUTS,
    QUEUE,
    QUOTE_TOKENS,
    RATE_CARDS,
    SETTINGS,
    SLOTS,
    UPLOAD_ADDRESSES,
)
from gateway.api.whose import whose
from gateway.domain import (
    GenerationRequest,
    Input,
    State,
    credits_to_millicredits,
    format_credits,
    generation_id,
    millicredits_to_credits,
    operation_id,
    partition_of_account,
)
from gateway.errors import FieldProblem, OutputNotStored, QueueUnavailable
from gateway.ledger import outcomes as o
from gateway.ledger.policy_of_card import terms_of
from gateway.pricing.card import Model
from gateway.queue import job_id
from gateway.schemas import generations as s
from gateway.schemas.errors import PriceAboveCeilingDetails
from gateway.shapes import generation_json, generation_shape

SANDBOX_PROVIDER = "sandbox"

Memory = tuple[str, str]
"""The digests of the caller's idempotency key and of the request (R11)."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that can be accepted: at its firm price, its inputs not stored yet."""

    request: GenerationRequest
    model: Model
    inputs: tuple[GivenInput, ...]
    webhook_url: str | None


async def create(request: web.Request) -> web.Response:
    """`POST /v1/generations`: price, reserve, queue. A refusal first looks whether this was accepted before (R11)."""
    body = await read_body(request, s.GenerationIn)
    memory = await _memory(request)
    try:
        asked = _asked(request, body)
        generation = _new_id(request, memory)
        if asked.inputs:
            inputs = await stored(request.app[OUTPUTS], generation, asked.inputs)
            asked = replace(asked, request=replace(asked.request, inputs=inputs))
    except (ApiError, OutputNotStored):
        replayed = await _replayed(request, memory)
        if replayed is None:
            raise
        return replayed
    return await _reserved(request, memory, generation, asked)


async def get(request: web.Request) -> web.Response:
    """`GET /v1/generations/{generation}`."""
    bodies, generation = request.app[BODIES], request.match_info["generation"]
    current = await own_generation(request, generation, bodies.known(generation))
    (position,) = await queue_positions(request, [current])
    return answer_json(bodies.json(current, position))


async def listed(request: web.Request) -> web.Response:
    """`GET /v1/generations`: newest first."""
    query = read_query(request, s.GenerationsQuery)
    of, (created_after, created_before) = whose(request, query.account), period_of(query)
    page = found(
        await request.app[LEDGER].generations(
            account=of.account,
            keys_version=of.keys_version,
            limit=query.limit,
            before=query.before,
            state=query.status,
            tool=query.tool,
            model=query.model,
            created_after=created_after,
            created_before=created_before,
        ),
        f"generation {query.before} in this account's list" if query.before else of.missing,
    )
    positions = await queue_positions(request, page.data)
    data = [
        generation_shape(generation, request.app[LINKS], position)
        for generation, position in zip(page.data, positions, strict=True)
    ]
    return answer(s.GenerationsOut(data=data, next=page.next))


async def cancel(request: web.Request) -> web.Response:
    """`POST /v1/generations/{generation}/cancel` (R18): after the end it changes nothing."""
    who = caller(request)
    generation = request.match_info["generation"]
    outcome = await request.app[LEDGER].cancel(
        generation=generation, account=who.acting_account, keys_version=who.keys_version
    )
    match outcome:
        case o.KeysChanged():
            raise KeysStale
        case o.NotFound():
            raise NotFound(f"There is no generation {generation}.")
        case o.Ended() | o.CancelRequested() | o.Unchanged():
            pass
    return answer_json(await shown(request, outcome.generation))


async def own_generation(request: web.Request, generation: str, known: o.Generation | None = None) -> o.Generation:
    """The generation, if it is the caller's, or the caller an admin; NotFound if it is another's, or none.

    `known` itself, if it has not changed since that was read.
    """
    who = caller(request)
    outcome = await request.app[LEDGER].generation(
        generation=generation, account=who.account, keys_version=who.keys_version, known=known
    )
    return found(outcome, f"generation {generation}")


async def shown(request: web.Request, generation: o.Generation) -> bytes:
    """A generation as the API shows it, with its place in the queue, as JSON."""
    (position,) = await queue_positions(request, [generation])
    return generation_json(generation, request.app[LINKS], position)


async def queue_positions(request: web.Request, generations: Sequence[o.Generation]) -> list[int | None]:
    """The places of those that are queued: in the tool's queue, or in the line of a provider that has no room.

    Without the queue's answer nobody knows them, and all else still stands.
    """
    queued = {generation.id: generation for generation in generations if generation.state is State.QUEUED}
    if not queued:
        return [None] * len(generations)
    jobs = [(one.request.tool, job_id(one.id, one.attempt + 1)) for one in queued.values()]
    try:
        places = dict(zip(queued, await request.app[QUEUE].positions(jobs), strict=True))
        standing = [
            (one.request.provider, one.id) for one in queued.values() if _may_stand_in_line(request, one, places)
        ]
        places |= zip([one for _, one in standing], await request.app[SLOTS].places(standing), strict=True)
    except QueueUnavailable:
        places = {}
    return [places.get(generation.id) for generation in generations]


def _may_stand_in_line(request: web.Request, generation: o.Generation, places: Mapping[str, int | None]) -> bool:
    table = request.app[RATE_CARDS].card.providers.get(generation.request.provider)
    return table is not None and table.max_in_work is not None and places[generation.id] is None


def _asked(request: web.Request, body: s.GenerationIn) -> Asked:
    """The request at its firm price; an ApiError if it cannot be accepted as asked."""
    priced = price(request, body)
    millicredits, lines, version = priced.price_millicredits, priced.lines, priced.rate_card
    if body.quote is not None:
        locked = request.app[QUOTE_TOKENS].open(body.quote, caller(request).acting_account, priced)
        millicredits, lines, version = locked.millicredits, locked.lines, locked.rate_card
    _check_ceiling(body, millicredits)
    _check_sandbox(request, body, priced.model)
    asked = GenerationRequest(
        tool=body.tool,
        model=body.model,
        provider=priced.model.provider,
        provider_model=priced.model.provider_model,
        prompt=body.prompt,
        outputs=body.outputs,
        price_millicredits=millicredits,
        rate_card=version,
        settings=priced.settings,
        lines=lines,
        metadata=body.metadata,
        sandbox=None if body.sandbox is None else body.sandbox.model_dump(mode="json", exclude_unset=True),
    )
    uploads, account = request.app[UPLOAD_ADDRESSES], caller(request).acting_account
    webhook_url = checked_url(request, body.webhook_url, "webhook_url")
    given = given_inputs(body.inputs, uploads, request.app[SETTINGS].input_guard, account)
    return Asked(asked, priced.model, given, webhook_url)


def _check_ceiling(body: s.GenerationIn, millicredits: int) -> None:
    """Refuse a price above the request's own `max_credits` (R23)."""
    if body.max_credits is None or millicredits <= credits_to_millicredits(body.max_credits):
        return
    raise PriceAboveCeiling(
        f"This costs {format_credits(millicredits)} credits, and `max_credits` is {body.max_credits:f}. Raise it, or "
        "change the settings or the number of outputs. Nothing was reserved.",
        PriceAboveCeilingDetails(price=millicredits_to_credits(millicredits), max_credits=body.max_credits),
    )


def _check_sandbox(request: web.Request, body: s.GenerationIn, model: Model) -> None:
    if body.sandbox is None:
        return
    if not request.app[SETTINGS].in_test_mode:
        reason = "works in test mode only (FAREBOX_TEST_MODE=1), and this gateway is not in it: leave it out"
    elif model.provider != SANDBOX_PROVIDER:
        reason = f"works with models of the sandbox provider only, and {model.name} is not one: leave it out"
    else:
        return
    raise InvalidRequest(f"`sandbox` {reason}.", fields=[FieldProblem("sandbox", reason)])


async def _memory(request: web.Request) -> Memory | None:
    key = idempotency_key(request)
    return None if key is None else (key_digest(caller(request), key), await request_digest(request))


async def _replayed(request: web.Request, memory: Memory | None) -> web.Response | None:
    """The answer to the same request before, for one that is about to be refused."""
    if memory is None:
        return None
    who = caller(request)
    outcome = found(
        await request.app[LEDGER].replay(account=who.acting_account, keys_version=who.keys_version, idempotency=memory),
        "account of this key any more",
    )
    match outcome:
        case o.Replayed():
            return await _accepted(request, outcome.generation, replay=True)
        case o.KeyReused():
            raise reused()
        case None:
            return None


def _new_id(request: web.Request, memory: Memory | None) -> str:
    """An id: two requests in flight with one idempotency key ask for the same, so that they can only make one (R11)."""
    account = caller(request).acting_account
    seed = None if memory is None else "\n".join((account, *memory))
    return generation_id(partition_of_account(account, request.app[LEDGER].partitions), seed)


async def _reserved(request: web.Request, memory: Memory | None, generation: str, asked: Asked) -> web.Response:
    """Reserve, and answer with what was made now or before."""
    who, card = caller(request), request.app[RATE_CARDS].card
    outcome = await request.app[LEDGER].reserve(
        account=who.acting_account,
        generation=generation,
        operation=operation_id(),
        request=asked.request,
        terms=terms_of(card, asked.request.tool),
        pro=asked.model.pro,
        keys_version=who.keys_version,
        idempotency=memory,
        webhook_url=asked.webhook_url,
    )
    match outcome:
        case o.Reserved():
            return await _accepted(request, outcome.generation)
        case o.Replayed():
            _drop_inputs(request, asked, kept=outcome.generation.request.inputs)
            return await _accepted(request, outcome.generation, replay=True)
        case _:
            _drop_inputs(request, asked)
            raise refusal_of_reserve(outcome, asked.request, card)


def _drop_inputs(request: web.Request, asked: Asked, kept: Sequence[Input] = ()) -> None:
    """Delete what this request has stored, and nothing else: their names are its own.

    `kept` are the inputs of the generation that was made before: by this very request, if its answer was lost.
    """
    keys = set(stored_keys(asked.request.inputs)) - set(stored_keys(kept))
    if keys:
        request.app[BACKGROUND].start(request.app[OUTPUTS].delete(keys), "delete_inputs")


async def _accepted(request: web.Request, generation: o.Generation, *, replay: bool = False) -> web.Response:
    remember_generation(request, generation.id)
    headers = {"Location": f"/v1/generations/{generation.id}"}
    if replay:
        return answer_json(await shown(request, generation), headers=headers | {REPLAY_HEADER: "true"})
    # Its place is not known before it is dispatched, and nobody waits for that here.
    body = generation_json(generation, request.app[LINKS])
    return answer_json(body, status=HTTPStatus.ACCEPTED, headers=headers)
