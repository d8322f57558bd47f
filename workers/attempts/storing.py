"""Writes outputs to the object store and waits for it: an outage delays a generation, nothing else.

Outputs are kept in memory while the store is unavailable. Beyond `KEPT_BYTES_MAX` over all attempts they are dropped if
the provider has a job to fetch them from again; otherwise they are kept, because they would have to be bought again.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import structlog

from gateway.clock import now_ms
from gateway.errors import FareboxError, ObjectNotStored, StoreUnavailable
from gateway.ledger.outcomes import Generation
from gateway.outputs import OutputStore, StoreWatch

KEPT_BYTES_MAX = 512 * 1024 * 1024
"""Two of the largest outputs, or a hundred usual ones."""
_PAUSES_SECONDS = (0.1, 0.5, 2.0, 10.0, 30.0)  # if the store responds but keeps refusing this object
_MARGIN_SECONDS = 2.0  # before `give_up_at`, so that we can report the reason to the ledger

log = structlog.get_logger(__name__)


class StoreGaveUp(FareboxError):
    """The generation's time is up, and the store has not accepted its outputs or returned its inputs."""


@dataclass(slots=True)
class Storing:
    """The object store, as used by the attempts of this process."""

    outputs: OutputStore
    watch: StoreWatch = field(init=False)
    kept_bytes: int = 0
    kept_bytes_max: int = KEPT_BYTES_MAX

    def __post_init__(self) -> None:
        self.watch = StoreWatch(self.outputs)

    async def put(self, object_key: str, data: bytes, generation: Generation, *, droppable: bool) -> None:
        """Write an output, as soon as the store accepts it.

        ObjectNotStored if it is `droppable` and there is no room to keep it; StoreGaveUp.
        """
        try:
            await self.outputs.put(object_key, data)
        except ObjectNotStored as error:
            if droppable and self.kept_bytes + len(data) > self.kept_bytes_max:
                raise
            with self._kept(len(data)):
                await self._put_later(object_key, data, generation, error)

    async def wait(self, error: StoreUnavailable | ObjectNotStored, generation: Generation, failures: int) -> None:
        """Wait until the store responds, after this many refusals; StoreGaveUp."""
        self.watch.doubt(error)
        if failures == 0:
            log.warning("waited_for_store", generation=generation.id, error=str(error))
        pause = _PAUSES_SECONDS[min(failures, len(_PAUSES_SECONDS) - 1)]
        try:
            async with asyncio.timeout(_seconds_left(generation)):
                # Attempts that lost the store together must not retry in step.
                await asyncio.sleep(pause * random.uniform(0.5, 1))  # noqa: S311 - not a secret
                await self.watch.answering()
        except TimeoutError:
            raise StoreGaveUp(str(error)) from error

    async def _put_later(self, object_key: str, data: bytes, generation: Generation, error: ObjectNotStored) -> None:
        failures = 0
        while True:
            await self.wait(error, generation, failures)
            failures += 1
            try:
                await self.outputs.put(object_key, data)
            except ObjectNotStored as again:
                error = again
            else:
                log.info("output_stored_late", generation=generation.id, tries=failures + 1)
                return

    @contextmanager
    def _kept(self, size: int) -> Iterator[None]:
        self.kept_bytes += size
        try:
            yield
        finally:
            self.kept_bytes -= size


def _seconds_left(generation: Generation) -> float | None:
    if generation.give_up_at is None:
        return None
    return max(0.0, (generation.give_up_at - now_ms()) / 1000 - _MARGIN_SECONDS)
