"""The rate card and the plans, which are public, and what an account pays of their prices."""

from __future__ import annotations

from aiohttp import web

from gateway.api.http.parse import read_query
from gateway.api.http.respond import answer
from gateway.api.ownership.target_account import account_of, target_account
from gateway.api.services import PAUSE_BOARD, RATE_CARDS, SETTINGS, STARTUP
from gateway.schemas.base import OfAccount
from gateway.views.cards import discounts_shape, plans_shape, rate_card_shape


async def rate_card(request: web.Request) -> web.Response:
    """`GET /v1/rate-card`."""
    pauses = await request.app[PAUSE_BOARD].named() if request.app[STARTUP].ready else {}
    return answer(rate_card_shape(request.app[RATE_CARDS].card, pauses))


async def discounts(request: web.Request) -> web.Response:
    """`GET /v1/discounts`."""
    account = await account_of(request, target_account(request, read_query(request, OfAccount).account))
    return answer(discounts_shape(request.app[RATE_CARDS].at(account.now), account.priced_for))


async def plans(request: web.Request) -> web.Response:
    """`GET /v1/plans`."""
    return answer(plans_shape(request.app[RATE_CARDS].card, output_days=request.app[SETTINGS].output_days))
