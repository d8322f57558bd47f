"""Jobs that a provider finished although the generation had left it: discarded, and counted as what they cost (R30)."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import replace

import structlog

from gateway.domain import Cost
from gateway.errors import FareboxError
from gateway.ledger.outcomes import Generation
from gateway.queue.slots import LATE_SUCCESS
from workers.attempts.costs import JobCosts
from workers.attempts.slot import Slot
from workers.context import WorkerContext
from workers.metrics import FIGURES, LATE_SUCCESSES
from workers.providers import Rendered

_LOOK_SECONDS = 30.0

log = structlog.get_logger(__name__)


async def book_late_success(context: WorkerContext, left: Generation, ref: str) -> None:
    """Look once at the job `ref` of a provider that the generation has left; log and count it if it has an output.

    `left` is the generation as that provider was asked. Its cost is booked as a loss. Never raises, unless the ledger
    does: the job is stopped next in any case.
    """
    made = await _made(context, left, ref)
    if not made:
        return
    FIGURES.count_losses(left.request.model, made)
    if lost := [cost for cost in made if cost.assumed is not None or cost.reported is not None]:
        await context.retry_until_answered(
            "book_loss", lambda: context.ledger.book_loss(generation=left.id, job=ref, lost=lost)
        )
    provider = left.request.provider
    log.warning("provider_succeeded_late", provider=provider, generation=left.id, model=left.request.model, job=ref)
    LATE_SUCCESSES.labels(provider).inc()
    Slot(context, left).note(LATE_SUCCESS)


async def _made(context: WorkerContext, left: Generation, ref: str) -> list[Cost]:
    """The cost of each output that the job has made."""
    made: list[Cost] = []
    try:
        async with asyncio.timeout(_LOOK_SECONDS):
            provider = context.providers.provider(left.request.provider)
            request = await context.providers.request(replace(left, provider_ref=ref), left.attempt, ())
            costs = JobCosts(context.providers.card, left, request)
            async with aclosing(provider.results(ref, replace(request, last_poll=True))) as results:
                async for result in results:
                    if not isinstance(result, Rendered):
                        break
                    made.append(costs.of(result, None))
    except (FareboxError, TimeoutError) as error:
        log.debug("left_job_not_found", provider=left.request.provider, generation=left.id, error=str(error))
    return made
