"""What follows a change in the ledger: dispatch what was promoted, tell the watchers, have the provider stop."""

from __future__ import annotations

from collections.abc import Sequence

from aiohttp import web

from gateway.api.services import BACKGROUND, DISPATCHER, QUEUE, RATE_CARDS, SLOTS
from gateway.ledger import outcomes as o
from gateway.queue import job_id


def after_reserve(request: web.Request, outcome: o.Reserved) -> None:
    """A new generation: put it into the queue unless it waits."""
    dispatches = [] if outcome.dispatch is None else [outcome.dispatch]
    request.app[DISPATCHER].dispatch(dispatches)
    hint(request, outcome.generation.account, outcome.generation.id, outcome.generation.version)


def after_cancel_request(request: web.Request, outcome: o.CancelRequested) -> None:
    """A running one was asked to stop; a parked one needs a worker to do it."""
    dispatches = [] if outcome.dispatch is None else [outcome.dispatch]
    request.app[DISPATCHER].dispatch(dispatches)
    request.app[BACKGROUND].start(request.app[QUEUE].ask_to_look(outcome.generation.id), "ask_to_look")
    hint(request, outcome.generation.account, outcome.generation.id, outcome.generation.version)


def after_end(request: web.Request, outcome: o.Ended) -> None:
    """A generation has ended: whoever waited behind it may go on (R14), and its provider need not (R17)."""
    ended = outcome.generation
    job = job_id(ended.id, ended.attempt + 1)
    request.app[BACKGROUND].start(request.app[QUEUE].take_out(ended.request.tool, job), "take_out")
    table = request.app[RATE_CARDS].card.providers.get(ended.request.provider)
    if table is not None:
        leaving = _leave_provider(request, ended.request.provider, table.max_in_work, ended.id)
        request.app[BACKGROUND].start(leaving, "leave_provider")
    after_promotion(request, ended.account, outcome.promoted)
    hint(request, ended.account, ended.id, ended.version)
    if outcome.provider_ref is not None:
        stop = request.app[QUEUE].stop(tool=ended.request.tool, generation=ended.id, ref=outcome.provider_ref)
        request.app[BACKGROUND].start(stop, "stop")


async def _leave_provider(request: web.Request, provider: str, limit: int | None, generation: str) -> None:
    """Give up the slot at its provider, or the place in the line: others go on."""
    request.app[DISPATCHER].dispatch(await request.app[SLOTS].release(provider, limit, generation))


def after_promotion(request: web.Request, account: str, promoted: Sequence[o.Dispatch]) -> None:
    """Generations moved from `waiting` to `queued`."""
    request.app[DISPATCHER].dispatch(promoted)
    for dispatch in promoted:
        hint(request, account, dispatch.generation)


def hint(request: web.Request, account: str, generation: str, version: int = 0) -> None:
    """Tell every gateway that a generation, or with `generation` "" the balance alone, has changed."""
    request.app[DISPATCHER].tell(account, generation, version)
