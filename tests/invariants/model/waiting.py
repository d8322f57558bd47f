"""R16, R36: for how long one may wait. `pauses.py` has a model that knows pauses; here nothing is paused."""

from __future__ import annotations

from gateway.domain import GenerationRequest
from tests.invariants.model.generations import Generation


class Waiting:
    clock: int

    def pause_of(self, request: GenerationRequest) -> str | None:  # noqa: ARG002 - for those that know
        """What becomes of what is new of it: "refuse" or "wait"; None: it is not paused."""
        return None

    def stood_still(self, g: Generation, since: int) -> int:  # noqa: ARG002 - for those that know
        """For how long it was paused since then."""
        return 0

    def gives_up_at(self, g: Generation) -> int:
        """When one that waits or is queued has waited for too long."""
        since = g.created_at if g.state == "waiting" else g.queued_at or 0
        over = since + (g.terms.waiting_timeout_ms if g.state == "waiting" else g.terms.queue_timeout_ms)
        return over if over > self.clock else over + self.stood_still(g, since)
