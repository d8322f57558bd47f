"""Which of a model's providers makes the next attempt (R30): the first that takes a job now, the least tried first.

Only a generation whose provider has no job, nor ever, may go to another one (`may_change_provider`). A provider is
skipped while operators have paused it, no worker can call it, it has refused this very generation a moment ago, its
breaker is open, it was given its jobs of this minute, or all its slots are taken. If all are, the generation waits in
the queue of the first that is only full; if none is working, its time is limited (`give_up_at`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from gateway.clock import now_ms
from gateway.ledger.outcomes import Generation, Noted
from gateway.ledger.tried import may_change_provider
from gateway.queue.slots import Refusal
from workers.attempts.slot import Slot
from workers.context import WorkerContext


@dataclass(frozen=True, slots=True)
class Choice:
    """The generation with the provider chosen for it, and whether it has a slot there.

    `limited`: it has none because no provider is working. `not_before`: none may be asked before. `stale`: another
    worker was first.
    """

    generation: Generation
    acquired: bool
    limited: bool = False
    not_before: int = 0
    stale: bool = False


async def choose(context: WorkerContext, found: Generation) -> Choice:
    """Choose a provider of a queued generation and take a slot there; QueueUnavailable."""
    refusals: dict[str, Refusal] = {}
    names, not_before = await _candidates(context, found)
    if not_before > now_ms():
        return Choice(found, acquired=False, not_before=not_before)
    for name in names:
        refusal = await Slot(context, _at(context, found, name)).acquire()
        if refusal is None:
            return await _assigned(context, found, name, acquired=True)
        refusals[name] = refusal
    waits_at = next((name for name, refusal in refusals.items() if refusal != "open"), next(iter(refusals)))
    choice = await _assigned(context, found, waits_at, acquired=False)
    return replace(choice, limited=set(refusals.values()) == {"open"})


async def _candidates(context: WorkerContext, found: Generation) -> tuple[Sequence[str], int]:
    """The providers that may be asked now, in order; and when the first of them may be."""
    current = found.request.provider
    model = context.providers.card.models.get(found.request.model)
    if model is None or current not in model.offers or len(model.offers) == 1 or not may_change_provider(found):
        return [current], 0
    times = {one.provider: one.times for one in found.tried}
    names = sorted(model.offers, key=lambda name: times.get(name, 0))
    paused = await context.retry_until_answered(
        "paused_providers", lambda: context.ledger.paused_providers(generation=found.id, providers=names)
    )
    lacking = {name for name in names if context.providers.missing(name) is not None}
    if lacking:
        lacking -= await context.queue.callable_providers(found.request.tool)
    able = [name for name in names if name not in paused | lacking] or [current]
    until = {one.provider: one.until for one in found.tried}
    first = min(until.get(name, 0) for name in able)
    return [name for name in able if until.get(name, 0) <= max(first, now_ms())], first


def _at(context: WorkerContext, found: Generation, provider: str) -> Generation:
    """The same, made by this provider."""
    if provider == found.request.provider:
        return found
    return replace(found, request=context.providers.asked_of(found.request, provider))


async def _assigned(context: WorkerContext, found: Generation, provider: str, *, acquired: bool) -> Choice:
    chosen = _at(context, found, provider)
    if chosen is found:
        return Choice(found, acquired)
    outcome = await context.retry_until_answered(
        "assign",
        lambda: context.ledger.assign(
            generation=found, provider=provider, provider_model=chosen.request.provider_model
        ),
    )
    if isinstance(outcome, Noted):
        Slot(context, found).release()  # its place in the queue of the one before
        return Choice(chosen, acquired)
    Slot(context, chosen).release()
    return Choice(found, acquired=True, stale=True)
