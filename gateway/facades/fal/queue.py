"""`/fal/<model>/requests/…`: a request's status, result and cancellation."""

from __future__ import annotations

import json
from http import HTTPStatus

from aiohttp import web

from gateway.api.http.parse import query_of
from gateway.api.http.respond import answer_json
from gateway.api.ownership.own_generations import cancel_own, own_generation, queue_positions
from gateway.domain import FINAL_STATES, State
from gateway.facades.fal.errors import refusal
from gateway.facades.fal.results import Generation, headers_of, result_of, status_of, urls_of
from gateway.facades.held import changed

STATUS_SECONDS = 4.0
"""How long a status request waits for a change: the client polls 0.1 s after a response, and times out after 120 s."""


async def status(request: web.Request) -> web.Response:
    """`GET …/requests/{generation}/status`: at once if it has ended, else when it changes, or after a few seconds."""
    query = query_of(request)
    before = await own_generation(request, request.match_info["generation"])
    generation = await changed(request, before, lambda one: _moved(before, one), seconds=STATUS_SECONDS)
    (position,) = await queue_positions(request, [generation])
    logs = query.get("logs", "").lower() in {"1", "true"}
    members = status_of(generation, position, logs=logs) | urls_of(request, _app(request), generation)
    pending = generation.state not in FINAL_STATES
    sent = HTTPStatus.ACCEPTED if pending else HTTPStatus.OK
    return answer_json(body=json.dumps(members).encode(), status=sent, headers=headers_of(generation))


def _moved(before: Generation, now: Generation) -> bool:
    return now.state in FINAL_STATES or now.state is not before.state


async def result(request: web.Request) -> web.Response:
    """`GET …/requests/{generation}`: the result, or the failure's error."""
    generation = await own_generation(request, request.match_info["generation"])
    if generation.state not in FINAL_STATES:
        detail = "The request is still in progress: wait until its status is COMPLETED."
        return refusal(detail, "in_progress", HTTPStatus.BAD_REQUEST, headers=headers_of(generation))
    return await result_of(request, generation)


async def cancel(request: web.Request) -> web.Response:
    """`PUT …/requests/{generation}/cancel`: one that has ended otherwise cannot be cancelled."""
    generation = await cancel_own(request, request.match_info["generation"])
    if generation.state in FINAL_STATES and generation.state is not State.CANCELLED:
        return refusal(
            "The request has ended already.",
            "already_completed",
            HTTPStatus.BAD_REQUEST,
            headers=headers_of(generation),
            more={"status": "ALREADY_COMPLETED", "error": {"code": "already_completed"}},
        )
    members = {"status": "CANCELLATION_REQUESTED", "request_id": generation.id}
    return answer_json(body=json.dumps(members).encode(), status=HTTPStatus.ACCEPTED, headers=headers_of(generation))


def _app(request: web.Request) -> str:
    return request.match_info["app"].removeprefix("queue/")
