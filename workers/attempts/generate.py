"""The two kinds of job: `generate` makes one attempt at a generation, `stop` asks a provider to stop a job."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import structlog

from gateway.clock import now_seconds
from gateway.domain import FINAL_STATES, State, operation_id
from gateway.errors import QueueUnavailable
from gateway.ledger.outcomes import Begun, Ended, Generation, Stale, TooEarly, WaitingForSlot
from gateway.ledger.pause_records import Paused
from gateway.queue.jobs import job_id
from gateway.queue.slots import Limits
from workers.attempts.attempt import Attempt
from workers.attempts.choosing import Choice, choose
from workers.attempts.late_successes import book_late_success
from workers.attempts.slot import Slot
from workers.attempts.spans import attempt_span
from workers.context import WorkerContext

# Pauses end by the ledger's clock; ours may be ahead, so check again at least this often, but not in a busy loop.
_TOO_EARLY_SECONDS = (0.1, 5)
_SLOTS_AGAIN_SECONDS = 1.0
# A longer pause of its providers than this leaves no worker with the job: the ledger checks it once a minute.
_PAUSE_SECONDS_MAX = 30
_TAKE_OUT_AGAIN_SECONDS = (0.5, 2.0)

log = structlog.get_logger(__name__)


class LeftForAnotherWorker(Exception):
    """The worker must stop and has not started the job."""


async def generate(arq_context: Mapping[str, Any], generation: str, attempt: int, provider: str | None = None) -> None:
    """Make attempt number `attempt`, if the ledger gives it the lease.

    `provider` is taken from the job; None if an earlier version wrote the job.
    """
    context: WorkerContext = arq_context["context"]
    hand_back: asyncio.Event = arq_context["hand_back"]
    tool = arq_context["tool"]
    if _must_check(context, provider):
        provider = await _provider_for(context, hand_back, tool, generation, attempt)
        if provider is None:
            return
    asked_ns = time.time_ns()
    begun = await _begin(context, hand_back, generation, attempt)
    if isinstance(begun, Paused):
        log.info("attempt_paused", generation=generation, paused=begun.pause.kind, reason=begun.pause.reason)
        await _take_out(context, tool, job_id(generation, attempt))
        if provider:
            context.follow_ups.leave_slot(provider, generation)
        return
    if begun is None:
        await _take_out(context, tool, job_id(generation, attempt))
        return
    # In parallel with the attempt: from now on the lease counts.
    waited_ms = _waited_ms(begun)
    taking_out = asyncio.create_task(_take_out(context, tool, job_id(generation, attempt), waited_ms))
    try:
        with attempt_span(begun, asked_ns, waited_ms):
            await Attempt(context, begun, hand_back).run()
    finally:
        await taking_out


async def stop(arq_context: Mapping[str, Any], generation: str, ref: str, provider: str | None = None) -> None:
    """Ask the provider to stop the job `ref` of a generation that was ended elsewhere, or has left the `provider`."""
    context: WorkerContext = arq_context["context"]
    found = await context.retry_until_answered("generation", lambda: context.ledger.generation(generation=generation))
    if not isinstance(found, Generation):
        return
    asked = found.request if provider is None else context.providers.asked_of(found.request, provider)
    if context.providers.missing(asked.provider) is not None:
        await _stop_elsewhere(context, found, asked.provider, ref, left=provider is not None)
        return
    if provider is not None:
        await book_late_success(context, replace(found, request=asked), ref)
    if not await context.ask_to_stop(asked, ref, generation):
        # Another job has taken this slot in the meantime.
        context.run_in_background(context.ask_again_to_stop(asked, ref, generation), "stop provider again")


async def _stop_elsewhere(context: WorkerContext, found: Generation, provider: str, ref: str, *, left: bool) -> None:
    """Leave the stop to a worker that can call the provider."""
    tool = found.request.tool
    try:
        await context.queue.stop_elsewhere(tool=tool, provider=provider, generation=found.id, ref=ref, left=left)
    except QueueUnavailable as error:
        log.warning("stop_not_left_to_worker", generation=found.id, error=str(error))


def _must_check(context: WorkerContext, provider: str | None) -> bool:
    """Whether the generation must be read first: its provider has limits or alternatives, or this worker lacks the key.

    For a job that does not name its provider, whether that is true of any provider.
    """
    providers, card = context.providers, context.providers.card
    if provider is None:
        limited = any(Limits.of(table).limited for table in card.providers.values())
        return providers.any_missing or limited or bool(card.with_alternatives)
    table = card.providers.get(provider)
    limited = table is not None and Limits.of(table).limited
    return limited or provider in card.with_alternatives or providers.missing(provider) is not None


async def _provider_for(
    context: WorkerContext, hand_back: asyncio.Event, tool: str, generation: str, attempt: int
) -> str | None:
    """The provider that makes the attempt, which has a slot for it and which this worker can call.

    None if there is none: the job is passed on. "" if `begin` will tell.
    """
    found = await context.retry_until_answered("generation", lambda: context.ledger.generation(generation=generation))
    if not isinstance(found, Generation) or found.state in FINAL_STATES or found.attempt + 1 != attempt:
        return ""
    if found.state is State.QUEUED:  # a running one is parked: its provider already has the job
        choice = await _choose(context, hand_back, found)
        if choice.stale:
            return ""
        if choice.not_before:
            log.info("waits_for_provider", generation=generation, until=choice.not_before)
            await _take_out(context, tool, job_id(generation, attempt))
            return None
        if not choice.acquired:
            await _wait_for_slot(context, tool, choice)
            return None
        found = choice.generation
    if context.providers.missing(found.request.provider) is not None:
        await _reroute(context, tool, found.request.provider, job_id(generation, attempt))
        return None
    return found.request.provider


async def _reroute(context: WorkerContext, tool: str, provider: str, job: str) -> None:
    """Reroute the job to workers that can call its provider. If the queue is unavailable, it stays claimed."""
    log.info("job_rerouted", job=job, provider=provider)
    try:
        await context.queue.reroute(tool, provider, job)
    except QueueUnavailable as error:
        log.warning("job_not_rerouted", job=job, error=str(error))


async def _choose(context: WorkerContext, hand_back: asyncio.Event, found: Generation) -> Choice:
    """Choose its provider and take a slot there, as soon as the queue's Redis responds and after a short pause."""
    while True:
        try:
            choice = await choose(context, found)
        except QueueUnavailable as error:
            log.warning("slots_not_reached", generation=found.id, error=str(error))
            await _wait_seconds(_SLOTS_AGAIN_SECONDS, hand_back)
            continue
        if not choice.not_before or choice.not_before / 1000 - now_seconds() > _PAUSE_SECONDS_MAX:
            return choice
        await _wait_until(choice.not_before, hand_back)


async def _wait_for_slot(context: WorkerContext, tool: str, choice: Choice) -> None:
    """The generation joins the queue of the provider that was chosen."""
    found, attempt = choice.generation, choice.generation.attempt + 1
    outcome = await context.retry_until_answered(
        "wait_for_slot",
        lambda: context.ledger.wait_for_slot(generation=found.id, attempt=attempt, limited=choice.limited),
    )
    # The job dispatched from that queue has the same id, so this one is removed first.
    await _take_out(context, tool, job_id(found.id, attempt))
    if isinstance(outcome, WaitingForSlot):
        log.info("waits_for_slot", generation=found.id, provider=found.request.provider, not_working=choice.limited)
        await Slot(context, found).enqueue(outcome.dispatch)


async def _begin(
    context: WorkerContext, hand_back: asyncio.Event, generation: str, attempt: int
) -> Begun | Paused | None:
    """Request the lease; None if there is nothing to do (anymore)."""
    operation = operation_id()
    while True:
        outcome = await context.retry_until_answered(
            "begin", lambda: context.ledger.begin(generation=generation, attempt=attempt, operation=operation)
        )
        match outcome:
            case Begun():
                log.info("attempt_begun", generation=generation, attempt=attempt, account=outcome.generation.account)
                return outcome
            case Paused():
                return outcome
            case TooEarly(not_before):
                await _wait_until(not_before, hand_back)
            case Ended():
                return None
            case Stale():
                log.debug("attempt_stale", generation=generation, attempt=attempt)
                return None


async def _wait_until(not_before: int, hand_back: asyncio.Event) -> None:
    """Wait for the end of a retry's pause; if the worker must stop first, leave the job in arq for another one."""
    shortest, longest = _TOO_EARLY_SECONDS
    await _wait_seconds(min(max(not_before / 1000 - now_seconds(), shortest), longest), hand_back)


async def _wait_seconds(seconds: float, hand_back: asyncio.Event) -> None:
    """Wait; LeftForAnotherWorker if the worker must stop first."""
    try:
        await asyncio.wait_for(hand_back.wait(), seconds)
    except TimeoutError:
        return
    raise LeftForAnotherWorker


async def _take_out(context: WorkerContext, tool: str, job: str, waited_ms: int | None = None) -> None:
    """Remove a job from arq: it has started, or need not start anymore. It counts as queued until then."""
    problem: QueueUnavailable | None = None
    for pause_seconds in (0, *_TAKE_OUT_AGAIN_SECONDS):
        await asyncio.sleep(pause_seconds)
        try:
            await context.queue.take_out(tool, job, waited_ms=waited_ms)
        except QueueUnavailable as error:
            problem = error
        else:
            return
    # Harmless: the worker that claims it again finds it stale and removes it.
    log.warning("job_not_taken_out", job=job, error=str(problem))


def _waited_ms(begun: Begun) -> int | None:
    """How long the generation was queued before its first start; later attempts include pauses."""
    generation = begun.generation
    if begun.attempt != 1 or generation.queued_at is None or generation.started_at is None:
        return None
    return generation.started_at - generation.queued_at
