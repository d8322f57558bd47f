"""From the ledger's values to the answers' shapes: millicredits become credits here, and milliseconds RFC 3339."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from gateway.domain import Output, PriceLine, State, millicredits_to_credits
from gateway.failures import failure_message
from gateway.ledger import outcomes as o
from gateway.outputs import OutputLinks
from gateway.schemas import generations as s
from gateway.schemas.base import utc, utc_or_none

credits_of = millicredits_to_credits


def generation_shape(generation: o.Generation, links: OutputLinks, position: int | None = None) -> s.GenerationOut:
    """A generation as the API shows it; `position` is its place in the queue, if known."""
    request = generation.request
    optional: dict[str, object] = {}
    if generation.state is State.QUEUED:
        optional["queue_position"] = position
    if generation.cancel_requested and generation.finished_at is None:
        optional["cancel_requested"] = True
    if generation.outputs_deleted:
        optional["outputs_deleted"] = True
    if request.inputs:
        optional["inputs"] = [
            s.InputOut(kind=given.kind, url=given.url if given.url.startswith("https://") else None)
            for given in request.inputs
        ]
    return s.GenerationOut(
        id=generation.id,
        object="generation",
        account=generation.account,
        status=generation.state,
        tool=request.tool,
        model=request.model,
        prompt=request.prompt,
        settings=dict(request.settings),
        outputs_requested=request.outputs,
        price=price_shape(generation),
        credits=s.GenerationCredits(
            held=credits_of(generation.held_millicredits),
            committed=credits_of(generation.committed_millicredits),
            refunded=credits_of(generation.refunded_millicredits),
            allocation=share_shapes((share.bucket, share.millicredits) for share in generation.allocation),
        ),
        outputs=[output_shape(generation, output, links) for output in generation.outputs],
        progress=Decimal(generation.progress_thousandths) / 1000,
        attempt=generation.attempt,
        error=failure_shape(generation),
        metadata=dict(request.metadata),
        created_at=utc(generation.created_at),
        started_at=utc_or_none(generation.started_at),
        finished_at=utc_or_none(generation.finished_at),
        **optional,
    )


def progress_shape(generation: o.Generation, position: int | None) -> s.Progress:
    """Where a generation stands."""
    optional: dict[str, object] = {"queue_position": position} if generation.state is State.QUEUED else {}
    return s.Progress(
        id=generation.id,
        status=generation.state,
        progress=Decimal(generation.progress_thousandths) / 1000,
        attempt=generation.attempt,
        cancel_requested=generation.cancel_requested,
        **optional,
    )


def price_shape(generation: o.Generation) -> s.Price:
    """The firm price of a generation, as it was reserved (R7)."""
    return s.Price(
        credits=credits_of(generation.price_millicredits),
        lines=line_shapes(generation.request.lines),
        rate_card=generation.request.rate_card,
    )


def line_shapes(lines: Iterable[PriceLine]) -> list[s.Line]:
    """The lines of a price."""
    return [s.Line(label=line.label, credits=line.credits, count=line.count, total=line.total) for line in lines]


def share_shapes(shares: Iterable[tuple[object, int]]) -> list[s.Share]:
    """Who pays, by bucket: shares of the same bucket are added up, in burn order."""
    sums: dict[object, int] = {}
    for bucket, millicredits in shares:
        sums[bucket] = sums.get(bucket, 0) + millicredits
    return [s.Share(bucket=bucket, credits=credits_of(millicredits)) for bucket, millicredits in sums.items()]


def output_shape(generation: o.Generation, output: Output, links: OutputLinks) -> s.OutputOut:
    """One output; its URL is signed anew each time it is shown."""
    optional: dict[str, object] = {}
    if output.duration_seconds is not None:
        optional["duration_seconds"] = output.duration_seconds
    if generation.outputs_deleted:
        optional["deleted"] = True
    return s.OutputOut(
        index=output.index,
        url=None if generation.outputs_deleted else links.url(generation.id, output.index),
        content_type=output.content_type,
        bytes=output.bytes,
        width=output.width,
        height=output.height,
        sha256=output.sha256,
        **optional,
    )


def failure_shape(generation: o.Generation) -> s.Failure | None:
    """Why it failed, in our words: never the provider's."""
    if generation.error is None:
        return None
    return s.Failure(code=generation.error, message=failure_message(generation))


def entry_shape(entry: o.Entry) -> s.EntryOut:
    """One journal entry; a generation or a reason is shown only if it has one."""
    optional = {
        name: value for name, value in (("generation", entry.generation), ("reason", entry.reason)) if value is not None
    }
    return s.EntryOut(
        id=entry.id,
        at=utc(entry.at),
        kind=entry.kind,
        credits=credits_of(entry.credits_millicredits),
        held=credits_of(entry.held_millicredits),
        buckets={
            bucket: s.BucketDelta(
                credits=credits_of(change.credits_millicredits), held=credits_of(change.held_millicredits)
            )
            for bucket, change in entry.buckets.items()
        },
        available_after=credits_of(entry.available_after_millicredits),
        held_after=credits_of(entry.held_after_millicredits),
        **optional,
    )
