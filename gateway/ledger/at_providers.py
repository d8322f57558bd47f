"""What concerns a generation's provider while no attempt runs: choosing one, waiting for one, and what it reports."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.domain import PauseKind, partition_of_generation
from gateway.ledger import keys, outcomes
from gateway.ledger.core import LedgerCore, texts
from gateway.ledger.generation_records import decode_dispatch, decode_generation, request_head
from gateway.ledger.pause_records import stored_pause

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.redis_link.calls import Reply


class ProviderOperations(LedgerCore):
    """One method per script."""

    async def paused_providers(self, *, generation: str, providers: Sequence[str]) -> set[str]:
        """Those that operators have paused (R36)."""
        policy = keys.policy(partition_of_generation(generation))
        texts_found = await self.command("HMGET", policy, *(f"pause:provider:{name}" for name in providers))
        return {
            name
            for name, text in zip(providers, texts_found, strict=True)
            if stored_pause(PauseKind.PROVIDER, name, text and text.decode()) is not None
        }

    async def assign(
        self, *, generation: outcomes.Generation, provider: str, provider_model: str | None
    ) -> outcomes.Noted | outcomes.Stale:
        """Choose another provider for the next attempt of a queued generation that `may_change_provider` (R30)."""
        request = generation.request
        word, _ = await self.run(
            "assign",
            self.generation_key(generation.id),
            attempt=generation.attempt + 1,
            old=request_head(request.provider, request.provider_model),
            new=request_head(provider, provider_model),
        )
        return outcomes.Noted() if word == "noted" else outcomes.Stale()

    async def wait_for_slot(
        self, *, generation: str, attempt: int, limited: bool = False
    ) -> outcomes.WaitingForSlot | outcomes.Stale:
        """Leave a queued generation in its provider's queue, because no slot is free for attempt number `attempt`.

        Not a failure, and the time does not count towards `queue_timeout`. It must not have a `ref`. It is checked
        again after a minute; freeing a slot dispatches it sooner. `limited`: none of its providers is working, and if
        that remains so for `provider_timeout`, the generation ends.
        """
        key = self.generation_key(generation)
        word, rest = await self.run("wait_for_slot", key, attempt=attempt, limited=limited)
        return self.moved(outcomes.WaitingForSlot(self.queued(rest))) if word == "requeued" else outcomes.Stale()

    async def call_back(
        self, *, generation: str, job: str, provider: str | None = None
    ) -> outcomes.NotFound | outcomes.Stray | outcomes.Unchanged | outcomes.CalledBack:
        """Handle a provider's callback that `job` (its own id) has ended: the generation is polled now (R17).

        Stray if no generation waits for the job, or the generation has left this `provider`.
        """
        key = self.generation_key(generation)
        word, rest = await self.run("call_back", key, job=job, provider=provider, dispatch_ms=self.dispatch_ms)
        match word:
            case "called_back":
                return self.moved(outcomes.CalledBack(generation, decode_dispatch(rest[0])))
            case "stray":
                return outcomes.Stray(*texts(rest))
            case "unchanged":
                return outcomes.Unchanged(_generation(rest[0]))
            case _:
                return outcomes.NotFound()

    async def progress(self, *, generation: str, job: str, thousandths: int) -> outcomes.Noted | outcomes.Stale:
        """Record the progress of a parked generation's `job` (the provider's id); Stale if it has no such job."""
        word, _ = await self.run("progress", self.generation_key(generation), job=job, thousandths=thousandths)
        return outcomes.Noted() if word == "noted" else outcomes.Stale()


def _generation(item: Reply) -> outcomes.Generation:
    return decode_generation(item[0].decode(), item[1])
