"""Receipts: a generation's price and credit movements in full."""

from __future__ import annotations

from gateway.ledger import outcomes
from gateway.ledger.records import decode_entry
from gateway.outputs.ordered import differences
from gateway.schemas import receipts as receipt_schemas
from gateway.schemas.base import utc
from gateway.views.generations import credits_of, entry_shape, failure_shape
from gateway.views.metering import ceiling, receipt_lines


def receipt_shape(generation: outcomes.Generation) -> receipt_schemas.Receipt:
    """The receipt as of now; while the generation is open, its credits are held."""
    return receipt_schemas.Receipt(
        object="receipt",
        generation=generation.id,
        account=generation.account,
        key=generation.key,
        member=generation.member,
        status=generation.state,
        tool=generation.request.tool,
        model=generation.request.model,
        settings=dict(generation.request.settings),
        outputs_requested=generation.request.outputs,
        outputs_delivered=len(generation.outputs),
        credits=credits_of(generation.price_millicredits),
        lines=receipt_lines(generation),
        rate_card=generation.request.rate_card,
        allocation=[
            receipt_schemas.GrantShare(bucket=share.bucket, grant=share.grant, credits=credits_of(share.millicredits))
            for share in generation.allocation
        ],
        entries=[entry_shape(decode_entry(text)) for text in generation.entry_texts],
        held=credits_of(generation.held_millicredits),
        committed=credits_of(generation.committed_millicredits),
        refunded=credits_of(generation.refunded_millicredits),
        differences=[
            receipt_schemas.Difference(output=index, message=message)
            for index, message in differences(generation.request.settings, generation.outputs)
        ],
        error=failure_shape(generation),
        tags=dict(generation.request.tags),
        created_at=utc(generation.created_at),
        finished_at=utc(generation.finished_at),
        **ceiling(generation.request.metering),
    )
