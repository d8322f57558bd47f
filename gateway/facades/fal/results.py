"""A generation in fal's form: its status and result."""

from __future__ import annotations

import json
from typing import Any

from aiohttp import web

from gateway.api.http.headers import GENERATION_HEADER
from gateway.api.http.respond import answer_json
from gateway.api.services import LINKS, OUTPUTS, SETTINGS
from gateway.domain import FINAL_STATES, State
from gateway.facades.fal.errors import REQUEST_ID_HEADER, not_made
from gateway.ledger import outcomes
from gateway.outputs import texts_of
from gateway.views.fal_results import error_members, result_shape

Generation = outcomes.Generation

_OWNER_AND_ALIAS = 2


def urls_of(request: web.Request, app: str, generation: Generation) -> dict[str, str]:
    """The URLs that the client calls next, as it would build them itself: with owner and alias only."""
    name = "/".join(app.split("/")[:_OWNER_AND_ALIAS])
    base = f"{request.app[SETTINGS].public_address}/fal/queue/{name}/requests/{generation.id}"
    return {"response_url": base, "status_url": f"{base}/status", "cancel_url": f"{base}/cancel"}


def status_of(generation: Generation, position: int | None, *, logs: bool) -> dict[str, Any]:
    """The status: COMPLETED means any end; `error` tells whether there is a result."""
    members: dict[str, Any] = {"request_id": generation.id, "logs": [] if logs else None}
    if generation.state is State.RUNNING:
        return members | {"status": "IN_PROGRESS", "progress": generation.progress_thousandths / 1000}
    if generation.state not in FINAL_STATES:
        # The client counts from 0.
        return members | {"status": "IN_QUEUE", "queue_position": max(0, (position or 1) - 1)}
    members |= {"status": "COMPLETED", "metrics": {}}
    if generation.started_at is not None and generation.finished_at is not None:
        members["metrics"] = {"inference_time": (generation.finished_at - generation.started_at) / 1000}
    return members if generation.outputs else members | error_members(generation)


async def result_of(request: web.Request, generation: Generation) -> web.Response:
    """The delivered outputs, even if fewer than requested: they are what was charged."""
    if not generation.outputs:
        return not_made(generation)
    return answer_json(body=json.dumps(await made_of(request, generation)).encode(), headers=headers_of(generation))


async def made_of(request: web.Request, generation: Generation) -> dict[str, Any]:
    """The members of a result, as far as delivered."""
    texts = await texts_of(request.app[OUTPUTS], generation.outputs)
    return result_shape(generation, request.app[LINKS], texts)


def headers_of(generation: Generation) -> dict[str, str]:
    """Headers that name the generation, under fal's name and ours."""
    return {REQUEST_ID_HEADER: generation.id, GENERATION_HEADER: generation.id}
