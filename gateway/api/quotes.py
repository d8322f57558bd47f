"""Quotes: the firm price of one request, whether the plan allows it, and who would pay (R6, R7, R23)."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from aiohttp import web

from gateway.api.context import caller
from gateway.api.credits import own_account
from gateway.api.inputs import given_inputs, measured
from gateway.api.parse import read_body
from gateway.api.quote_tokens import QUOTE_SECONDS
from gateway.api.refusals import refusal_of_request
from gateway.api.respond import answer
from gateway.api.services import KEPT_QUOTES, QUOTE_TOKENS, RATE_CARDS, SETTINGS, UPLOAD_ADDRESSES
from gateway.api.ways_out import ways_out
from gateway.clock import now_seconds
from gateway.domain import Bucket
from gateway.errors import RequestRefused
from gateway.ledger import outcomes as o
from gateway.pricing.card import FREE_PLAN, RateCard
from gateway.pricing.gating import gating
from gateway.pricing.measures import PROMPT_CHARACTERS
from gateway.pricing.quote import Quote
from gateway.schemas import generations as s
from gateway.schemas.base import utc
from gateway.shapes import credits_of, line_shapes, share_shapes


async def create(request: web.Request) -> web.Response:
    """`POST /v1/quotes`: never refuses for gating or for want of credits."""
    body = await read_body(request, s.QuoteIn)
    account, guard = caller(request).acting_account, request.app[SETTINGS].input_guard
    given_inputs(body.inputs, request.app[UPLOAD_ADDRESSES], guard, account, files=False)
    card = request.app[RATE_CARDS].card
    priced = price(request, body)
    own = await own_account(request)
    token = request.app[QUOTE_TOKENS].make(own.id, priced)
    return answer(_shape(card, own, priced, token))


def price(request: web.Request, body: s.GenerationIn) -> Quote:
    """Price a request from the rate card; UnknownModel or SettingsRefused if it cannot be."""
    card = request.app[RATE_CARDS].card
    try:
        return request.app[KEPT_QUOTES].quote(
            card,
            tool=body.tool,
            model=body.model,
            settings=body.settings,
            outputs=body.outputs,
            input_images=sum(given.kind == "image" for given in body.inputs),
            input_videos=sum(given.kind == "video" for given in body.inputs),
            measured=_measured(request, card, body),
        )
    except RequestRefused as refused:
        raise refusal_of_request(refused) from None


def _measured(request: web.Request, card: RateCard, body: s.GenerationIn) -> dict[str, Decimal]:
    """What the gateway can measure of this request; of its prompt only where the price depends on it."""
    model = card.models.get(body.model)
    measures: dict[str, Decimal] = {}
    if body.inputs:
        measures = measured(body.inputs, request.app[UPLOAD_ADDRESSES], caller(request).acting_account)
    if body.prompt and model is not None and PROMPT_CHARACTERS in model.priced_by:  # a quote may leave the prompt out
        measures[PROMPT_CHARACTERS] = Decimal(len(body.prompt))
    return measures


def _shape(card: RateCard, account: o.Account, priced: Quote, token: str) -> s.QuoteOut:
    plan = FREE_PLAN if account.subscription is None else account.subscription.plan
    gate = gating(card, plan=plan, model=priced.model, settings=priced.settings)
    available = sum(account.available_millicredits.values())
    shortfall = max(0, priced.price_millicredits - available)
    optional: dict[str, object] = {"ways_out": ways_out(account, card, priced.price_millicredits)} if shortfall else {}
    return s.QuoteOut(
        credits=credits_of(priced.price_millicredits),
        lines=line_shapes(priced.lines),
        rate_card=priced.rate_card,
        allowed=gate is None,
        reason=None if gate is None else gate.code,
        message=None if gate is None else gate.message,
        affordable=shortfall == 0,
        shortfall=credits_of(shortfall),
        allocation=share_shapes(_allocated(account, priced.price_millicredits)),
        quote=token,
        expires_at=utc((int(now_seconds()) + QUOTE_SECONDS) * 1000),
        **optional,
    )


def _allocated(account: o.Account, millicredits: int) -> Iterator[tuple[Bucket, int]]:
    """Who would pay, as far as the credits go: the grants are in burn order (R5)."""
    for grant in account.grants:
        part = min(millicredits, grant.available_millicredits)
        if part:
            yield grant.bucket, part
            millicredits -= part
