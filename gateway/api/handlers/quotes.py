"""Quotes: the firm price of one request, whether the plan allows it, and which buckets would pay (R6, R7, R23)."""

from __future__ import annotations

from collections.abc import Iterator

from aiohttp import web

from gateway.api.access.auth import ACCOUNT_CALLER
from gateway.api.http.parse import read_body
from gateway.api.http.respond import answer
from gateway.api.ordering.prices import price_with_plan
from gateway.api.ordering.quote_tokens import QUOTE_SECONDS
from gateway.api.ordering.ways_out import ways_out
from gateway.api.ownership.target_account import own_account
from gateway.api.services import ORDERING, QUOTE_TOKENS
from gateway.clock import now_seconds
from gateway.domain import Bucket
from gateway.ledger import outcomes
from gateway.ledger.volumes import ordered_this_month
from gateway.pricing.card import FREE_PLAN, RateCard
from gateway.pricing.gating import gating
from gateway.pricing.quote import Quote
from gateway.schemas import generations as generation_schemas
from gateway.schemas.base import utc
from gateway.schemas.prices import QuoteOut
from gateway.views.generations import credits_of, share_shapes
from gateway.views.metering import ceiling, line_shapes


async def create(request: web.Request) -> web.Response:
    """`POST /v1/quotes`: never refused because of the plan or missing credits."""
    body, who = await read_body(request, generation_schemas.QuoteIn), request[ACCOUNT_CALLER]
    ordering = request.app[ORDERING]
    ordering.check_inputs(who.account, body)
    own = await own_account(request)
    card, priced = ordering.prices.price(who, body, own.priced_for, own.now)
    if priced.volume is not None:
        before = ordered_this_month(own, body.model, card.free.timezone)
        card, priced = ordering.prices.price(who, body, own.priced_for, own.now, before)
    token = request.app[QUOTE_TOKENS].make(own.id, priced)
    return answer(_shape(card, own, priced, token))


def _shape(card: RateCard, account: outcomes.Account, priced: Quote, token: str) -> QuoteOut:
    plan = FREE_PLAN if account.subscription is None else account.subscription.plan
    gate = gating(card, plan=plan, model=priced.model, settings=priced.settings)
    available = sum(account.available_millicredits.values())
    shortfall = max(0, priced.price_millicredits - available)
    optional: dict[str, object] = dict(ceiling(priced.metering))
    if shortfall:
        optional["ways_out"] = ways_out(account, card, price_with_plan(card, account.priced_for, priced))
    return QuoteOut(
        credits=credits_of(priced.price_millicredits),
        lines=line_shapes(priced.lines, priced.metering),
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


def _allocated(account: outcomes.Account, millicredits: int) -> Iterator[tuple[Bucket, int]]:
    """The buckets that would pay, as far as the credits go. Grants are in burn order (R5)."""
    for grant in account.grants:
        part = min(millicredits, grant.available_millicredits)
        if part:
            yield grant.bucket, part
            millicredits -= part
