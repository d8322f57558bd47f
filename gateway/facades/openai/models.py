"""`/openai/v1/models`: the rate card's models, under all of their names."""

from __future__ import annotations

import json
from typing import Any

from aiohttp import web

from gateway.api.errors import NotFound
from gateway.api.http.respond import answer_json
from gateway.api.services import RATE_CARDS
from gateway.pricing.card import RateCard
from gateway.pricing.facades import OWNER


async def listed(request: web.Request) -> web.Response:
    """`GET /openai/v1/models`: our ids first, then the aliases."""
    card = request.app[RATE_CARDS].card
    aliases = [alias for model_id, model in card.models.items() for alias in model.aliases if alias != model_id]
    data = [_shape(card, name) for name in (*card.models, *aliases)]
    return answer_json(body=json.dumps({"object": "list", "data": data}).encode())


async def get(request: web.Request) -> web.Response:
    """`GET /openai/v1/models/{model}`."""
    card, name = request.app[RATE_CARDS].card, request.match_info["model"]
    if card.model_named(name) is None:
        raise NotFound(f"There is no model {name[:80]}.")
    return answer_json(body=json.dumps(_shape(card, name)).encode())


def _shape(card: RateCard, name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": card.file_time_ms // 1000, "owned_by": OWNER}
