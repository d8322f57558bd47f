"""One generation in the hands of support (R36): its charge is given back, or it is made again. Each is done once."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

from aiohttp import web

from gateway.api.access.auth import found
from gateway.api.errors import InvalidRequest, NotFound
from gateway.api.http.parse import read_body
from gateway.api.http.respond import answer_json
from gateway.api.middleware.idempotency import seed
from gateway.api.ordering.retries import Retries, retry_id
from gateway.api.ownership.changes import check_support_ceiling
from gateway.api.ownership.own_generations import shown
from gateway.api.services import LEDGER, OUTPUTS, RATE_CARDS, WORKFORCE
from gateway.domain import operation_id
from gateway.errors import FieldProblem
from gateway.ledger import outcomes
from gateway.ledger.operators import GivenBack
from gateway.schemas.bulk import ReasonIn

_WHY_NOT: Mapping[str, str] = {
    "open": "has not ended: cancel it instead",
    "nothing_charged": "was not charged",
    "payment_returned": "was paid with credits whose payment was returned",
    "too_much": "would take the account's balance above the largest there can be",
    "too_many_grants": "would take the account above 500 unspent grants",
    "not_failed": "has not failed",
    "archived": "is only in the archive, and is not changed any more",
    "erased": "was erased: what was ordered is not known any more",
    "inputs_gone": "has inputs that were deleted since",
    "unknown_model": "is of a model that is not on the rate card any more",
    "no_worker": "is of a model without a worker now: try again later",
    "store_unavailable": "has inputs that cannot be copied now: try again later",
    "paused": "is of something that is paused: resume it first",
    "insufficient_credits": "costs more credits than the account has now",
    "limit_reached": "costs more than the limit of its key or member leaves now",
    "plan_limit": "has settings that the account's plan does not allow any more",
    "subscription_required": "is of a model that requires a subscription, which the account has not",
    "waiting_room_full": "has no place among those that wait: try again later",
}
"""Why nothing is done, by the ledger's word."""


async def refund(request: web.Request) -> web.Response:
    """`POST /v1/admin/generations/{generation}/refund`: as it is, if its charge was given back before."""
    body, ledger, name = await read_body(request, ReasonIn), request.app[LEDGER], request.match_info["generation"]
    known = found(await ledger.generation(generation=name), f"generation {name}")
    check_support_ceiling(request, known.committed_millicredits or 0)
    outcome = await ledger.adjust_generation(generation=name, operation=operation_id(seed(request)), reason=body.reason)
    match outcome:
        case GivenBack(generation):
            return answer_json(body=await shown(request, generation))
        case outcomes.Refused("given_back"):
            return answer_json(body=await shown(request, await _generation(request, name)))
        case outcomes.Refused(why):
            raise _refusal(why)
    if known.given_back_millicredits:
        return answer_json(body=await shown(request, known))
    raise _refusal("archived")


async def retry(request: web.Request) -> web.Response:
    """`POST /v1/admin/generations/{generation}/retry`: the new generation, also if it was made before."""
    await read_body(request, ReasonIn)
    app, name = request.app, request.match_info["generation"]
    retries = Retries(app[LEDGER], app[OUTPUTS], app[RATE_CARDS], app[WORKFORCE])
    result = await retries.retry(name, operation_id(seed(request)))
    if result.word not in {"retried", "already_retried"}:
        raise NotFound(f"There is no generation {name}.") if result.word == "not_found" else _refusal(result.word)
    made = await _generation(request, retry_id(name))
    return answer_json(
        body=await shown(request, made),
        status=HTTPStatus.CREATED if result.word == "retried" else HTTPStatus.OK,
        headers={"Location": f"/v1/generations/{made.id}"},
    )


async def _generation(request: web.Request, name: str) -> outcomes.Generation:
    return found(await request.app[LEDGER].generation(generation=name), f"generation {name}")


def _refusal(why: str) -> InvalidRequest:
    text = _WHY_NOT.get(why, f"was refused: {why.replace('_', ' ')}")
    return InvalidRequest(f"The generation {text}. Nothing was changed.", fields=[FieldProblem("generation", text)])
