"""R16, R36: for how long one may wait. `pauses.py` has a model that knows pauses; here nothing is paused."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.domain import GenerationRequest
from tests.invariants.model.generations import Generation

CHECK_AGAIN_MS = 60_000


@dataclass(frozen=True)
class Pause:
    """`new`: what becomes of what is new: "refuse" or "wait"."""

    since: int
    new: str
    until: int | None

    def end(self, now: int) -> int:
        return now if self.until is None else min(self.until, now)

    def checked_again(self, now: int) -> int:
        """When what it holds is looked at again: in a minute, or when it ends."""
        return now + CHECK_AGAIN_MS if self.until is None else min(now + CHECK_AGAIN_MS, self.until)


class Waiting:
    clock: int

    def pause_of(self, account: str, request: GenerationRequest) -> Pause | None:  # noqa: ARG002 - a model of pauses uses it
        """The pause that holds it, if it is paused."""
        return None

    def pauses_in(self, account: str) -> dict[str, str]:  # noqa: ARG002 - a model of pauses uses it
        """What is stored of the account's own pauses."""
        return {}

    def stood_still(self, g: Generation, since: int) -> int:  # noqa: ARG002 - a model of pauses uses it
        """For how long it was paused since then."""
        return 0

    def gives_up_at(self, g: Generation) -> int:
        """When one that waits or is queued has waited for too long."""
        since = g.created_at if g.state == "waiting" else g.queued_at or 0
        over = since + (g.terms.waiting_timeout_ms if g.state == "waiting" else g.terms.queue_timeout_ms)
        return over if over > self.clock else over + self.stood_still(g, since)
