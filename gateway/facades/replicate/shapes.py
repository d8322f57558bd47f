"""A generation as a prediction of this gateway."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from gateway.api.services import LINKS, OUTPUTS, RATE_CARDS, SETTINGS
from gateway.ledger import outcomes
from gateway.outputs import texts_of
from gateway.views.predictions import prediction_shape


async def prediction_of(request: web.Request, generation: outcomes.Generation) -> dict[str, Any]:
    """Status, input and output, and what it was charged."""
    app, texts = request.app, await texts_of(request.app[OUTPUTS], generation.outputs)
    return prediction_shape(generation, app[RATE_CARDS].card, app[LINKS], app[SETTINGS].public_address, texts)
