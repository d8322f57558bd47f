"""R36: the model that knows what operators have paused. Its time in the queue and the waiting room stands still."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from gateway.domain import GenerationRequest
from tests.invariants.model.accounts import Answer
from tests.invariants.model.generations import Generation
from tests.invariants.model.life import Model
from tests.invariants.model.waiting import Pause


@dataclass
class PausingModel(Model):
    in_force: dict[tuple[str, str], Pause] = field(default_factory=dict)  # also those that have ended by themselves
    former: list[tuple[tuple[str, str], int, int]] = field(default_factory=list)

    def pause(self, *, kind: str, name: str, reason: str, new: str, until: int | None) -> Answer:
        del reason
        if kind == "account" and name not in self.accounts:
            return "NotFound", None
        known = self.in_force.get((kind, name))
        if known and known.until is not None and known.until <= self.clock:
            self.former.append(((kind, name), known.since, known.until))
            known = None
        self.in_force[kind, name] = Pause(known.since if known else self.clock, new, until)
        return "Pause", None

    def end_pause(self, *, kind: str, name: str) -> Answer:
        known = self.in_force.pop((kind, name), None)
        if known:
            self.former.append(((kind, name), known.since, known.end(self.clock)))
        return "yes" if known else "no", None

    def reserve(self, **asked: Any) -> Answer:
        """What was asked for before is answered as before; of what is new, the pause decides."""
        key, digest = asked["idempotency"] or ("", "")
        known_digest, made = self.asked.get((asked["account"], key), (digest, asked["generation"]))
        known = asked["account"] not in self.accounts or known_digest != digest or made in self.generations
        pause = asked["account"] in self.accounts and self.pause_of(asked["account"], asked["request"])
        if pause and pause.new == "refuse" and not known:
            return "Paused", None
        word, detail = super().reserve(**asked)
        if not pause or word != "Reserved":
            return word, detail
        g = self.generations[made]
        if g.state == "queued" and not known:
            g.deadline = pause.checked_again(self.clock)
        return word, None

    def pause_of(self, account: str, request: GenerationRequest) -> Pause | None:
        """One that refuses comes before one that lets wait; the account's before those of what it needs."""
        found = [self.in_force[what] for what in _needs(account, request) if what in self.in_force]
        found = [pause for pause in found if pause.until is None or pause.until > self.clock]
        return next((pause for pause in found if pause.new == "refuse"), found[0] if found else None)

    def pauses_in(self, account: str) -> dict[str, str]:
        own = ("account", account)
        stored = {"paused": ",".join(f"{since}-{end}" for what, since, end in self.former if what == own)}
        if pause := self.in_force.get(own):
            until = "" if pause.until is None else f" until {pause.until}"
            stored["pause"] = f"{pause.since}{' wait' if pause.new == 'wait' else ''}{until},"
        return stored

    def stood_still(self, g: Generation, since: int) -> int:
        """Every millisecond in which it was paused counts once, by however many pauses."""
        cut = [(max(start, since), min(end, self.clock)) for start, end in self._spans(g)]
        edges = sorted(edge for start, end in cut if start < end for edge in ((start, 1), (end, -1)))
        paused = total = at = 0
        for moment, step in edges:
            total += moment - at if paused else 0
            paused, at = paused + step, moment
        return total

    def _spans(self, g: Generation) -> Iterator[tuple[int, int]]:
        needs = _needs(g.account, g.request)
        yield from ((since, end) for what, since, end in self.former if what in needs)
        yield from ((one.since, one.end(self.clock)) for what, one in self.in_force.items() if what in needs)


def _needs(account: str, request: GenerationRequest) -> list[tuple[str, str]]:
    named = [("tool", request.tool), ("model", request.model), ("provider", request.provider)]
    return [("account", account), *named]
