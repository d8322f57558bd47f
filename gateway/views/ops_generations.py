"""Generations as operators see them."""

from __future__ import annotations

from decimal import Decimal

from gateway.ledger.finding import FoundGeneration
from gateway.schemas.base import utc
from gateway.schemas.ops_generations import OpsGenerationOut
from gateway.views.generations import credits_of
from gateway.views.pauses import paused_details


def found_shape(found: FoundGeneration, now: int) -> OpsGenerationOut:
    """One that was found, as of `now` (ms)."""
    until = now if found.finished_at is None else found.finished_at
    return OpsGenerationOut(
        id=found.id,
        object="generation_summary",
        account=found.account,
        key=found.key,
        tool=found.tool,
        model=found.model,
        provider=found.provider,
        status=found.state,
        code=found.error,
        age_seconds=Decimal(max(0, until - found.created_at)) / 1000,
        deadline=utc(found.deadline),
        overdue=found.deadline is not None and found.deadline <= now,
        gives_up_at=utc(found.gives_up_at),
        paused=None if found.pause is None else paused_details(found.pause),
        attempt=found.attempt,
        failures=found.failures,
        parked=found.parked,
        waits_for_slot=found.waits_for_slot,
        provider_job=found.provider_ref,
        cancel_requested=found.cancel_requested,
        progress=Decimal(found.progress_thousandths) / 1000,
        outputs_requested=found.outputs,
        outputs_delivered=found.delivered,
        price=credits_of(found.price_millicredits),
        held=credits_of(found.held_millicredits),
        committed=credits_of(found.committed_millicredits),
        refunded=credits_of(found.refunded_millicredits),
        given_back=credits_of(found.given_back_millicredits),
        created_at=utc(found.created_at),
        queued_at=utc(found.queued_at),
        started_at=utc(found.started_at),
        finished_at=utc(found.finished_at),
    )
