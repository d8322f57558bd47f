"""R14: how many of an account's generations are in work, who waits for room, and who is next."""

from __future__ import annotations

from dataclasses import dataclass

from tests.invariants.model.accounts import Answer
from tests.invariants.model.at_providers import DISPATCH, AtProviders
from tests.invariants.model.credits import Account
from tests.invariants.model.generations import Generation
from tests.invariants.model.volumes import Volumes


@dataclass
class Concurrency(Volumes, AtProviders):
    def of(self, account: str, *states: str) -> list[Generation]:
        return [g for g in self.generations.values() if g.account == account and g.state in states]

    def in_work(self, account: str, tool: str) -> int:
        return sum(g.request.tool == tool for g in self.of(account, "queued", "running"))

    def line(self, account: str, tool: str) -> list[Generation]:
        waiting = (g for g in self.of(account, "waiting") if g.request.tool == tool)
        return sorted(waiting, key=lambda g: g.order)

    def room(self, a: Account, tool: str) -> int:
        return self.entitled(a).concurrency.get(tool, 1) - self.in_work(a.id, tool)

    def promote(self, a: Account, *tools: str) -> list[Answer]:
        """R14: as many as now fit, first come first."""
        promoted = []
        for tool in tools or ("image", "video"):
            for g in self.line(a.id, tool)[: max(0, self.room(a, tool))]:
                self.queue(g, 0)
                promoted.append(g.dispatch)
        return promoted

    def queue(self, g: Generation, not_before: int) -> None:
        g.state, g.queued_at, g.not_before = "queued", self.clock, not_before
        g.parked, g.looks, g.lease_until = False, 0, 0
        g.deadline = max(self.clock + DISPATCH, not_before)
