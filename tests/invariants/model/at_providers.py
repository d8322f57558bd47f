"""R16, R17, R30: what concerns a generation's provider while no attempt runs, and which may make the next attempt."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.ledger.tried import Tried
from tests.invariants.model.accounts import Answer
from tests.invariants.model.generations import OPEN, Generation
from tests.invariants.model.waiting import CHECK_AGAIN_MS, Waiting

DISPATCH = 2_000


class AtProviders(Waiting):
    generations: dict[str, Generation]

    def assign(self, *, generation: str, attempt: int, provider: str, to: str) -> Answer:
        """R30: never while a provider may have a job of it, so there are never two. `provider`: as it was read."""
        g = self.generations.get(generation)
        if not g or g.state != "queued" or attempt != g.attempt:
            return "Stale", None
        if g.ref or g.may_have_job:
            return "LedgerBroken", None
        if g.provider not in {provider, to}:
            return "Stale", None
        g.provider = to
        return "Noted", None

    @staticmethod
    def released(g: Generation, tried: Sequence[Tried]) -> None:
        """Its provider has no job of it, and none can appear."""
        g.may_have_job, g.released, g.tried = False, g.attempt, tuple(tried) or g.tried

    def wait_for_slot(self, *, generation: str, attempt: int, limited: bool = False) -> Answer:
        """R16: its provider has no room; that is no time in the queue. R30: `limited`, none of them is working."""
        g = self.generations.get(generation)
        if not g or g.state != "queued" or attempt != g.attempt + 1:
            return "Stale", None
        if g.ref:
            return "LedgerBroken", None
        if limited and not g.keeps_limit:
            g.keeps_limit, g.give_up_at = True, self.clock + g.terms.provider_timeout_ms
        g.in_line, g.deadline = True, self.clock + CHECK_AGAIN_MS
        if g.keeps_limit:
            g.deadline = min(g.deadline, g.give_up_at)
        return "WaitingForSlot", g.dispatch

    def call_back(self, *, generation: str, job: str, provider: str | None = None) -> Answer:
        """R17: a provider's hint that its job has ended; one that was left has nothing to say any more."""
        g = self.generations.get(generation)
        if not g:
            return "NotFound", None
        if g.tried and provider and provider != g.provider:
            return "Stray", g.request.tool
        if g.ref != job and (g.ref or g.state not in OPEN):
            return "Stray", g.request.tool
        if g.state != "running":
            return "Unchanged", g.state
        if not g.parked:
            g.called_back = job
            return "CalledBack", None
        g.deadline = self.clock + DISPATCH
        return "CalledBack", g.dispatch

    def progress(self, *, generation: str, job: str, thousandths: int) -> Answer:
        """R17: how far a parked one's job is; it never goes back."""
        g = self.generations.get(generation)
        if not g or g.state != "running" or g.ref != job:
            return "Stale", None
        if g.parked:
            g.progress = max(g.progress or 0, thousandths)
        return "Noted", None
