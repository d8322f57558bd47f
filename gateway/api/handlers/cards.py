"""The rate card and the plans, which are public."""

from __future__ import annotations

from aiohttp import web

from gateway.api.http.respond import answer
from gateway.api.services import RATE_CARDS
from gateway.views.cards import plans_shape, rate_card_shape


async def rate_card(request: web.Request) -> web.Response:
    """`GET /v1/rate-card`."""
    return answer(rate_card_shape(request.app[RATE_CARDS].card))


async def plans(request: web.Request) -> web.Response:
    """`GET /v1/plans`."""
    return answer(plans_shape(request.app[RATE_CARDS].card))
