"""The rate card and the plans, which are public."""

from __future__ import annotations

from aiohttp import web

from gateway.api.http.respond import answer
from gateway.api.services import PAUSE_BOARD, RATE_CARDS, STARTUP
from gateway.views.cards import plans_shape, rate_card_shape


async def rate_card(request: web.Request) -> web.Response:
    """`GET /v1/rate-card`."""
    pauses = await request.app[PAUSE_BOARD].named() if request.app[STARTUP].ready else {}
    return answer(rate_card_shape(request.app[RATE_CARDS].card, pauses))


async def plans(request: web.Request) -> web.Response:
    """`GET /v1/plans`."""
    return answer(plans_shape(request.app[RATE_CARDS].card))
