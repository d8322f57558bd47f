"""Deletes expired objects from the object store: outputs and inputs of ended generations, and uploads.

Runs in the background: a bucket takes 50 ms for a deletion, or does not respond at all. Any number of caretakers may
delete; a claim in the ledger separates their work. The ledger learns that outputs are gone after their deletion: if the
process dies in between, they are due again when the claim expires.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from gateway.clock import now_seconds
from gateway.ledger.ledger import Ledger
from gateway.outputs import OutputStore, hour
from workers.metrics import OUTPUTS_DELETED, UPLOADS_DELETED

_CHECK_SECONDS = 60.0
_REST_SECONDS = 0.1  # between batches, while there is more to delete
_BATCH_SECONDS = 120.0  # for a hung store; a batch over a slow link takes 5 s
_CLAIM_MS = 300_000  # longer than a batch and its record in the ledger may take
_OF_A_PARTITION = 8  # in one batch: 512 generations, some thousand objects
_UPLOADS_AT_ONCE = 1000

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class ExpiredFiles:
    """Deletes in batches, forever."""

    ledger: Ledger
    outputs: OutputStore
    claim_ms: int = _CLAIM_MS

    async def delete_outputs(self) -> None:
        """Delete expired outputs: batch after batch while there are any, then check each minute."""
        while True:
            more = False
            try:
                more = await self.delete_some_outputs()
            except Exception as error:  # noqa: BLE001 - an object store may raise anything; the next round retries
                log.warning("outputs_not_deleted", error=f"{type(error).__name__}: {error}")
            await asyncio.sleep(_REST_SECONDS if more else _CHECK_SECONDS)

    async def delete_uploads(self) -> None:
        """Delete uploads that can no longer be used. Generations have their own copies."""
        while True:
            more = False
            try:
                more = await self.delete_some_uploads()
            except Exception as error:  # noqa: BLE001 - as above
                log.warning("uploads_not_deleted", error=f"{type(error).__name__}: {error}")
            await asyncio.sleep(_REST_SECONDS if more else _CHECK_SECONDS)

    async def delete_some_outputs(self) -> bool:
        """Delete one batch; returns whether more may be due."""
        claims = await asyncio.gather(
            *(
                self.ledger.claim_outputs(partition=partition, limit=_OF_A_PARTITION, claim_ms=self.claim_ms)
                for partition in range(self.ledger.partitions)
            )
        )
        claimed = [generation for claim in claims for generation in claim]
        if not claimed:
            return False
        async with asyncio.timeout(_BATCH_SECONDS):
            deleted = await self.outputs.delete_generations(claimed)
        await asyncio.gather(*(self.ledger.outputs_deleted(generation=generation) for generation in deleted))
        _tell(deleted, left=len(claimed) - len(deleted))
        return any(len(claim) == _OF_A_PARTITION for claim in claims)

    async def delete_some_uploads(self) -> bool:
        """Delete one batch, oldest first; returns whether there may be more."""
        async with asyncio.timeout(_BATCH_SECONDS):
            deleted = await self.outputs.delete_uploads(before=hour(now_seconds()), at_most=_UPLOADS_AT_ONCE)
        if deleted:
            log.info("uploads_deleted", uploads=deleted)
            UPLOADS_DELETED.inc(deleted)
        return deleted >= _UPLOADS_AT_ONCE


def _tell(deleted: Sequence[str], left: int) -> None:
    for generation in deleted:
        log.info("outputs_deleted", generation=generation)
    OUTPUTS_DELETED.inc(len(deleted))
    if left:
        log.warning("outputs_not_deleted", generations=left, again_in_seconds=_CLAIM_MS // 1000)
