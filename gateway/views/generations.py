"""Converts the ledger's values to the shapes of responses: millicredits to credits, milliseconds to RFC 3339."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from gateway.domain import (
    Bucket,
    Input,
    Output,
    State,
    millicredits_to_credits,
)
from gateway.ledger import outcomes
from gateway.ledger.journal_records import Entry
from gateway.ledger.pause_records import Pause
from gateway.outputs import OutputLinks
from gateway.schemas import generations as generation_schemas
from gateway.schemas.base import as_number, of_thousandths, utc
from gateway.schemas.pauses import HeldBy
from gateway.schemas.prices import Share
from gateway.views.failures import failure_message
from gateway.views.generation_members import (
    CreditsMembers,
    DelayMembers,
    GenerationMembers,
    InputMembers,
    OutputMembers,
    PriceMembers,
    WorkMembers,
)
from gateway.views.metering import report_members, units_of
from gateway.views.pauses import held_by_members

credits_of = millicredits_to_credits


@dataclass(frozen=True, slots=True)
class Standing:
    """What the ledger does not say of one that is open.

    Its place in the queue, if known, what holds it, and whether its provider is unreachable.
    """

    position: int | None = None
    pause: Pause | None = None
    away: bool = False


UNKNOWN = Standing()


def generation_shape(
    generation: outcomes.Generation, links: OutputLinks | None, standing: Standing = UNKNOWN
) -> generation_schemas.GenerationOut:
    """A generation as part of a larger response."""
    return generation_schemas.GenerationOut.model_validate(generation_members(generation, links, standing))


def generation_members(
    generation: outcomes.Generation, links: OutputLinks | None, standing: Standing = UNKNOWN
) -> GenerationMembers:
    """A generation as JSON values: the members of `GenerationOut`.

    `links` signs the URLs of outputs; None: for a role that is not shown prompts, inputs and outputs. Not as ten nested
    pydantic models, which would take three times as long to validate what the types already guarantee.
    """
    request, failed, (price, credited) = generation.request, generation.error, _amounts(generation)
    members: GenerationMembers = {
        "id": generation.id,
        "object": "generation",
        "account": generation.account,
        "key": generation.key,
        "member": generation.member,
        "status": generation.state,
        "tool": request.tool,
        "model": request.model,
        "prompt": "" if links is None else request.prompt,
        "settings": {
            name: as_number(value) if isinstance(value, Decimal) else value for name, value in request.settings.items()
        },
        "outputs_requested": request.outputs,
        "price": price,
        "credits": credited,
        "outputs": [_output_members(generation, output, links) for output in generation.outputs],
        "progress": of_thousandths(generation.progress_thousandths),
        "attempt": generation.attempt,
        "error": None if failed is None else {"code": failed, "message": failure_message(generation)},
        "metadata": request.metadata,
        "tags": request.tags,
        "created_at": utc(generation.created_at),
        "started_at": utc(generation.started_at),
        "finished_at": utc(generation.finished_at),
    }
    if request.inputs:
        members["inputs"] = [_input_members(one, shown=links is not None) for one in request.inputs]
    if links is None:
        members["withheld"] = True
    if generation.state is State.QUEUED:
        members["queue_position"] = standing.position
    if standing.pause is not None or standing.away:
        _add_what_holds_it(members, generation, standing)
    if generation.retry_of is not None:
        members["retry_of"] = generation.retry_of
    if generation.cancel_requested and generation.finished_at is None:
        members["cancel_requested"] = True
    if generation.finished_at is not None:
        _add_end_of_outputs(members, generation)
    return members


def _add_end_of_outputs(members: GenerationMembers, generation: outcomes.Generation) -> None:
    if generation.outputs_deleted:
        members["outputs_deleted"] = True
    elif generation.outputs_expire_at is not None:
        members["outputs_expire_at"] = utc(generation.outputs_expire_at)


def _add_what_holds_it(members: GenerationMembers, generation: outcomes.Generation, standing: Standing) -> None:
    if standing.pause is not None:
        members["paused"] = held_by_members(standing.pause)
    if standing.away:
        members["delayed"] = _delay_members(generation)


def _delay_members(generation: outcomes.Generation) -> DelayMembers:
    gives_up_at = utc(generation.give_up_at)
    until = "" if gives_up_at is None else f" until {gives_up_at[:10]} {gives_up_at[11:16]} UTC"
    message = (
        f"Its provider is not responding, and is tried again{until}. "
        "Then the generation ends, and credits for undelivered outputs are returned."
    )
    return {"reason": "provider_unreachable", "gives_up_at": gives_up_at, "message": message}


def work_members(generation: outcomes.Generation) -> WorkMembers:
    """What operators are shown of a generation besides."""
    return {
        "provider": generation.request.provider,
        "provider_job": generation.provider_ref,
        "submitted_at": utc(generation.ref_at),
        "failures": generation.failures,
        "gives_up_at": utc(generation.give_up_at),
        "tried": [
            {"provider": one.provider, "result": one.result, "times": one.times, "at": utc(one.at)}
            for one in generation.tried
        ],
    }


def progress_shape(generation: outcomes.Generation, standing: Standing) -> generation_schemas.Progress:
    """A generation's progress."""
    optional: dict[str, object] = {"queue_position": standing.position} if generation.state is State.QUEUED else {}
    if standing.pause is not None:
        optional["paused"] = HeldBy(**held_by_members(standing.pause))
    if standing.away:
        optional["delayed"] = generation_schemas.Delay(**_delay_members(generation))
    return generation_schemas.Progress(
        id=generation.id,
        status=generation.state,
        progress=Decimal(generation.progress_thousandths) / 1000,
        attempt=generation.attempt,
        cancel_requested=generation.cancel_requested,
        **optional,
    )


def _amounts(generation: outcomes.Generation) -> tuple[PriceMembers, CreditsMembers]:
    """Its firm price, as reserved (R7), and where its credits are."""
    request, shares = generation.request, dict[Bucket, int]()
    for share in generation.allocation:
        shares[share.bucket] = shares.get(share.bucket, 0) + share.millicredits
    price: PriceMembers = {
        "credits": of_thousandths(generation.price_millicredits),
        "lines": [
            {
                "label": line.label,
                "credits": as_number(line.credits),
                "count": as_number(line.count),
                "total": as_number(line.total),
            }
            for line in request.lines
        ],
        "rate_card": request.rate_card,
    }
    if request.metering is not None:
        price["at_most"] = True
        for line, unit in zip(price["lines"], units_of(request.lines, request.metering), strict=True):
            if unit is not None:
                line["unit"] = unit
    credited: CreditsMembers = {
        "held": of_thousandths(generation.held_millicredits),
        "committed": of_thousandths(generation.committed_millicredits),
        "refunded": of_thousandths(generation.refunded_millicredits),
        "allocation": [{"bucket": bucket, "credits": of_thousandths(part)} for bucket, part in shares.items()],
    }
    if generation.given_back_millicredits:
        credited["given_back"] = of_thousandths(generation.given_back_millicredits)
    return price, credited


def share_shapes(shares: Iterable[tuple[Bucket, int]]) -> list[Share]:
    """The shares of the price by bucket, in burn order; shares of the same bucket are added up."""
    sums = Counter[Bucket]()
    for bucket, millicredits in shares:
        sums[bucket] += millicredits
    return [Share(bucket=bucket, credits=credits_of(total)) for bucket, total in sums.items()]


def output_shape(
    generation: outcomes.Generation, output: Output, links: OutputLinks | None
) -> generation_schemas.OutputOut:
    """One output; its URL is signed each time it is shown."""
    return generation_schemas.OutputOut.model_validate(_output_members(generation, output, links))


def _input_members(given: Input, *, shown: bool) -> InputMembers:
    """An input; the URL of one that was sent as a file is not shown."""
    return {"kind": given.kind, "url": given.url if shown and given.url.startswith("https://") else None}


def _output_members(generation: outcomes.Generation, output: Output, links: OutputLinks | None) -> OutputMembers:
    members: OutputMembers = {
        "index": output.index,
        "url": None if links is None or generation.outputs_deleted else links.url(generation.id, output.index),
        "content_type": output.content_type,
        "bytes": output.bytes,
        "sha256": output.sha256,
    }
    if output.width is not None and output.height is not None:
        members |= {"width": output.width, "height": output.height}
    if output.duration_seconds is not None:
        members["duration_seconds"] = as_number(output.duration_seconds)
    if output.reports:
        members["reported"] = report_members(output.reports)
    if output.characters is not None:
        members["characters"] = output.characters
    if generation.outputs_deleted:
        members["deleted"] = True
    return members


def failure_shape(generation: outcomes.Generation) -> generation_schemas.Failure | None:
    """Why it failed, in our own words, never the provider's."""
    if generation.error is None:
        return None
    return generation_schemas.Failure(code=generation.error, message=failure_message(generation))


def entry_shape(entry: Entry) -> generation_schemas.EntryOut:
    """One journal entry; a reason is shown only if it has one, and a generation with who created it."""
    optional: dict[str, str | None] = {} if entry.reason is None else {"reason": entry.reason}
    if entry.generation is not None:
        optional |= {"generation": entry.generation, "key": entry.key, "member": entry.member}
    return generation_schemas.EntryOut(
        id=entry.id,
        at=utc(entry.at),
        kind=entry.kind,
        credits=credits_of(entry.credits_millicredits),
        held=credits_of(entry.held_millicredits),
        buckets={
            bucket: generation_schemas.BucketDelta(
                credits=credits_of(change.credits_millicredits), held=credits_of(change.held_millicredits)
            )
            for bucket, change in entry.buckets.items()
        },
        available_after=credits_of(entry.available_after_millicredits),
        held_after=credits_of(entry.held_after_millicredits),
        **optional,
    )
