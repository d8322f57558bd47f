"""A generation's life (R8, R9, R11, R14 to R18, and the state machine of docs/design.md, section 4)."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from gateway.domain import Cost, GenerationRequest, Output, Volume, partition_of_generation
from gateway.ledger.policy import Terms
from gateway.ledger.tried import Tried
from tests.invariants.model.accounts import Answer
from tests.invariants.model.at_providers import DISPATCH
from tests.invariants.model.concurrency import Concurrency
from tests.invariants.model.credits import Account
from tests.invariants.model.generations import OPEN, Generation
from tests.invariants.model.margin import count_end, count_loss
from tests.invariants.model.plans import day
from tests.invariants.model.waiting import CHECK_AGAIN_MS

RETRIED = {"provider_failed", "worker_lost"}
LEASE, LAST_LOOK, DAY = 30_000, 10_000, 86_400_000
POLL_PAUSES_MS = (30_000, 60_000, 120_000, 240_000, 300_000)


@dataclass
class Model(Concurrency):
    asked: dict[tuple[str, str], tuple[str, str]] = field(default_factory=dict)  # by account and idempotency key
    recent: defaultdict[str, dict[str, int]] = field(default_factory=lambda: defaultdict(dict))
    made_by: defaultdict[tuple[str, str], dict[str, int]] = field(default_factory=lambda: defaultdict(dict))
    usage: defaultdict[tuple[str, str], Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    parts: defaultdict[tuple[str, str, str], dict[str, tuple[int, ...]]] = field(
        default_factory=lambda: defaultdict(dict)
    )
    """R28: "keys" or "tags", account and day → row → the same sums, of what has a key or a tag."""
    counted: defaultdict[int, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))  # by partition

    def reserve(  # noqa: C901, PLR0911 - one return for each refusal
        self, *, account: str, generation: str, operation: str, request: GenerationRequest, terms: Terms, pro: bool,
        idempotency: tuple[str, str] | None, key: str | None, token: str | None,
        volume: Volume | None = None, **_: None,
    ) -> Answer:  # fmt: skip
        """R8: check everything, then write all, or nothing."""
        asked, digest = idempotency or ("", "")
        known_digest, made = self.asked.get((account, asked), (digest, generation))
        if account not in self.accounts:
            return "NotFound", None
        if known_digest != digest:
            return "KeyReused", None
        if g := self.generations.get(made):
            if g.operation != operation:
                return "Replayed", g.id
            return "Reserved", g.dispatch if g.state == "queued" else None
        a, price = self.rolled(account), request.price_millicredits
        if refusal := self._not_allowed(a, request, pro=pro, volume=volume):
            return refusal
        shares = a.allocate(price)
        if shares is None:
            return "InsufficientCredits", a.available()
        counted, entitled = self.counting(a, key, price), self.entitled(a)
        if reached := self.reached(counted, price) or self.beyond(account, token, price):
            return "LimitReached", reached
        waits = self.room(a, request.tool) <= 0
        if waits and len(self.line(account, request.tool)) >= entitled.max_waiting:
            return "WaitingRoomFull", entitled.max_waiting
        changes = a.take(shares, hold=True)
        order = max([self.clock, *(earlier + 1 for earlier in self.recent[account].values())])
        kept = entitled.outputs_kept_ms or 30 * DAY
        g = Generation(
            generation, account, request, terms, entitled.head_start_ms, kept, shares, operation, order, self.clock,
            "waiting",
        )  # fmt: skip
        g.key, g.token, g.counted, g.member = key, token, counted, a.keys[key].member if key in a.keys else None
        self.spend(account, token, price)
        if volume:
            g.ordered_on = self.ordered_on[account][request.model] = self.today(a)
        g.deadline = self.clock + terms.waiting_timeout_ms
        if changes:
            g.entries.append(a.record("reserve", a.now, changes, generation, g.by))
        if not waits:
            self.queue(g, 0)
        self.keep(a)
        self._list(g)
        if asked:
            self.asked[account, asked] = digest, generation
        return "Reserved", None if waits else g.dispatch

    def _not_allowed(
        self, a: Account, request: GenerationRequest, *, pro: bool, volume: Volume | None
    ) -> Answer | None:
        """R6: what the plan does not allow; or a price that does not hold for what was ordered this month."""
        if pro and not a.subscription:
            return "SubscriptionRequired", None
        for setting, allowed in self.entitled(a).allow.get(request.tool, {}).items():
            if setting in request.settings and request.settings[setting] not in allowed:
                return "PlanLimit", setting
        if volume and (moved := self.moved(a, request.model, volume)) is not None:
            return "VolumeMoved", moved
        return None

    def _list(self, g: Generation) -> None:
        self.generations[g.id] = g
        self.recent[g.account] = {**self.recent[g.account], g.id: g.order}
        if g.member:
            self.made_by[g.account, g.member] = {**self.made_by[g.account, g.member], g.id: g.order}

    # --- attempts: whoever speaks for one gives its number, and a stale one changes nothing ---

    def held(self, generation: str, attempt: int) -> Generation | None:
        g = self.generations.get(generation)
        return g if g and g.state == "running" and g.attempt == attempt and not g.parked else None

    def again(self, generation: str, operation: str) -> Answer | None:
        """R11: who sends again what made the last move, is told what is so."""
        g = self.generations.get(generation)
        if not g or g.operation != operation:
            return None
        if g.state not in OPEN:
            return "Ended", (g.state, g.ref, [])
        if g.state == "queued":
            return "Requeued", g.dispatch
        return ("Parked", self.parked(g)) if g.parked else ("Begun", None)

    @staticmethod
    def parked(g: Generation) -> tuple[int, Answer | None]:
        """R17: when it is looked at next; and at once, if its provider called while the attempt still ran."""
        return g.deadline, g.dispatch if g.called_back == g.ref else None

    def begin(self, *, generation: str, attempt: int, operation: str) -> Answer:
        if answer := self.again(generation, operation):
            return answer
        g = self.generations.get(generation)
        if not g or not (g.state == "queued" or g.parked) or attempt != g.attempt + 1:
            return "Stale", None
        if not g.ref and self.pause_of(g.account, g.request):
            return "Paused", None
        if g.not_before > self.clock:
            return "TooEarly", g.not_before
        kept = g.ref or g.keeps_limit
        if kept and self.clock >= g.give_up_at:
            return self.end(g, self.final(g), "provider_timeout", operation)
        g.state, g.attempt, g.operation, g.parked, g.not_before = "running", attempt, operation, False, 0
        g.called_back, g.in_line = None, False
        g.started_at = g.started_at or self.clock
        g.deadline = g.lease_until = self.clock + LEASE
        if not kept:  # R17: a resumed job keeps the time at which it is given up; R30: so does one that was refused
            g.give_up_at = self.clock + g.terms.provider_timeout_ms
        g.may_have_job = True  # from now on a worker may submit it, and die before it can say so
        return "Begun", None

    def note(self, *, generation: str, attempt: int, ref: str) -> Answer:
        if not (g := self.held(generation, attempt)):
            return "Stale", None
        if g.ref != ref:
            g.ref, g.ref_attempt, g.ref_at = ref, attempt, self.clock
        return "Noted", None

    def renew(self, *, generation: str, attempt: int, progress_thousandths: int | None) -> Answer:
        operation = f"renew {attempt}"
        if answer := self.again(generation, operation):
            return answer
        if not (g := self.held(generation, attempt)):
            return "Stale", None
        if self.clock >= g.give_up_at:
            return self.end(g, self.final(g), "provider_timeout", operation)
        g.deadline = g.lease_until = self.clock + LEASE
        g.progress = g.progress if progress_thousandths is None else progress_thousandths
        return "Renewed", g.cancel_requested

    def deliver(self, *, generation: str, attempt: int, output: Output) -> Answer:
        if not (g := self.held(generation, attempt)):
            return "Stale", None
        if output.index >= g.request.outputs:
            return "LedgerBroken", None
        if output.index not in g.outputs:
            g.outputs[output.index], g.costs[output.index] = output.reports, output.cost
        return "Noted", None

    def park(
        self,
        *,
        generation: str,
        attempt: int,
        operation: str,
        progress_thousandths: int | None = None,
        poll_ms: int | None = None,
    ) -> Answer:
        if answer := self.again(generation, operation):
            return answer
        if not (g := self.held(generation, attempt)):
            return "Stale", None
        if not g.ref:
            return "LedgerBroken", None
        if g.cancel_requested:
            return self.end(g, "cancelled", "", operation)
        called_back = g.called_back == g.ref
        last = g.give_up_at - LAST_LOOK  # once more before it is given up
        until = last if self.clock < last else max(self.clock, g.give_up_at)
        pause = POLL_PAUSES_MS[min(g.looks, 4)] if poll_ms is None else min(poll_ms, POLL_PAUSES_MS[min(g.looks, 4)])
        g.deadline = min(self.clock + (DISPATCH if called_back else pause), until)
        if progress_thousandths is not None:
            g.progress = max(g.progress or 0, progress_thousandths)
        g.parked, g.looks, g.looked_at, g.operation, g.lease_until = True, g.looks + 1, self.clock, operation, 0
        return "Parked", self.parked(g)

    def hand_back(
        self, *, generation: str, attempt: int, operation: str, free: bool = False, tried: Sequence[Tried] = (),
        not_before: int | None = None,
    ) -> Answer:  # fmt: skip
        """R16; R30: `free`, its provider has no job of it; `tried`, because it refused it."""
        if answer := self.again(generation, operation):
            return answer
        if not (g := self.held(generation, attempt)):
            return "Stale", None
        if g.cancel_requested:
            return self.end(g, "cancelled", "", operation)
        g.operation, g.keeps_limit = operation, g.keeps_limit or bool(tried)
        if free:
            self.released(g, tried)
        self.queue(g, min(not_before or 0, g.give_up_at))
        return "Requeued", g.dispatch

    def settle(
        self, *, generation: str, attempt: int, operation: str, failure: str | None, tried: Sequence[Tried] = (),
        untried: int = 0, lost: Sequence[Cost] = (),
    ) -> Answer:  # fmt: skip
        word, detail = self.settled(generation, attempt, operation, failure, tried, untried, lost)
        if word == "Ended" and not failure and detail[0] != "cancelled":
            detail = (detail[0], None, detail[2])  # its job has ended by itself: there is nothing to stop
        return word, detail

    def settled(  # noqa: PLR0917 - as `settle` has them
        self, generation: str, attempt: int, operation: str, failure: str | None, tried: Sequence[Tried], untried: int,
        lost: Sequence[Cost],
    ) -> Answer:  # fmt: skip
        if answer := self.again(generation, operation):
            return answer
        if not (g := self.held(generation, attempt)):
            return "Stale", None
        g.lost += lost
        if failure:
            return self.fail(g, failure, operation, tried, untried)
        return self.end(g, self.final(g), "" if g.outputs else "internal", operation)

    def fail(
        self, g: Generation, failure: str, operation: str, tried: Sequence[Tried] = (), untried: int = 0
    ) -> Answer:
        """The next attempt after a pause, or the end. R30: each provider has one try more, and at once."""
        last = failure not in RETRIED or g.failures + 1 >= g.terms.attempts_max + untried
        g.tried = tuple(tried) or g.tried
        if last or g.cancel_requested or len(g.outputs) == g.request.outputs:
            return self.end(g, self.final(g), failure, operation)
        g.failures, g.operation = g.failures + 1, operation
        if failure == "provider_failed":
            g.ref, g.ref_attempt, g.ref_at, g.looked_at, g.submission = None, 0, 0, 0, g.submission + 1
            g.keeps_limit = False
            if tried:
                self.released(g, tried)
        pauses = g.terms.retry_pauses_ms
        self.queue(g, 0 if untried else self.clock + pauses[min(g.failures, len(pauses)) - 1])
        return "Requeued", g.dispatch

    @staticmethod
    def final(g: Generation) -> str:
        return "cancelled" if g.cancel_requested else "succeeded" if g.outputs else "failed"

    def end(self, g: Generation, state: str, failure: str, operation: str) -> Answer:
        """R9: commit exactly the share delivered, refund the rest, and let those go on who waited (R14)."""
        a, k, n = self.rolled(g.account), len(g.outputs), g.request.outputs
        self.recent[g.account] = self.listed(self.recent[g.account])
        if g.member:
            self.made_by[g.account, g.member] = self.listed(self.made_by[g.account, g.member])
        g.charge()
        g.entries += a.end_hold(g.shares, g.committed, g.id, g.by, self.policy.refund_grace_ms)
        worked, g.state, g.operation, g.finished_at, g.parked = (
            g.state != "waiting",
            state,
            operation,
            self.clock,
            False,
        )
        g.error = "" if state == "cancelled" or k == n else failure
        name = f"{g.request.tool}|{g.request.model}|"
        self.spend(g.account, g.token, g.committed - g.request.price_millicredits)
        self.counted[partition_of_generation(g.id)][f"outcome|{name}{state}|{g.error}"] += 1
        counters = {
            "generations": 1, "outputs": k, "credits": g.committed, "failed": int(state == "failed"),
            "refunded": g.request.price_millicredits - g.committed,
        }  # fmt: skip
        today = g.booked = f"{day(self.policy, a.now):%Y-%m-%d}"
        count_end(self.margin[partition_of_generation(g.id), today], g)
        self.usage[g.account, today].update({name + counter: amount for counter, amount in counters.items() if amount})
        rows = [("keys", f"{g.key or ''}|{g.member or ''}")] if g.by else []
        for kind, row in [*rows, *(("tags", f"{tag}\t{value}") for tag, value in g.request.tags.items())]:
            part = self.parts[kind, g.account, today]
            before = part.get(name + row, (0,) * len(counters))
            part[name + row] = tuple(map(sum, zip(before, counters.values(), strict=True)))
        self.keep(a)
        return "Ended", (state, g.ref, self.promote(a, g.request.tool) if worked else [])

    def listed(self, places: dict[str, int]) -> dict[str, int]:
        """What is left of a list: 40 days."""
        return {name: at for name, at in places.items() if at > self.clock - 40 * DAY}

    def book_loss(self, *, generation: str, job: str, lost: Sequence[Cost]) -> Answer:
        """R30, R31: a job that nobody gets anything of, once."""
        g = self.generations.get(generation)
        if not g:
            return "NotFound", None
        if job in g.late:
            return "Noted", None
        g.late[job] = tuple(lost)
        a = self.accounts[g.account]
        today = f"{day(self.policy, max(a.time, self.clock + a.offset)):%Y-%m-%d}"
        count_loss(self.margin[partition_of_generation(g.id), today], g, lost)
        return "Noted", None

    # --- everybody else ---

    def cancel(self, *, generation: str, account: str | None) -> Answer:
        """R18: refunded at once if nothing runs; else asked to stop."""
        g = self.generations.get(generation)
        if not g or account not in {None, g.account}:
            return "NotFound", None
        if g.state not in OPEN:
            return "Unchanged", g.state
        if g.state != "running":
            return self.end(g, "cancelled", "", g.operation)
        g.cancel_requested = True
        if not g.parked:
            return "CancelRequested", None
        g.deadline = self.clock + DISPATCH
        return "CancelRequested", g.dispatch

    def dispatched(self, *, generation: str, deadline: int) -> Answer:
        """The outbox: looked at again in a minute, or when it has been queued for too long (R16)."""
        g = self.generations.get(generation)
        if not g or not (g.state == "queued" or g.parked) or g.deadline != deadline:
            return "no", None
        g.deadline = max(self.clock, g.not_before) + CHECK_AGAIN_MS
        if not g.ref and not g.in_line:
            g.deadline = min(g.deadline, max(self.clock, self.gives_up_at(g)))
        return "yes", None

    def rescue(self, *, generation: str, deadline: int, judge_leases: bool) -> Answer:
        """R16, R17: bring an overdue generation on."""
        g = self.generations.get(generation)
        if not g or g.state not in OPEN or g.deadline != deadline or deadline > self.clock:
            return "NotDue", None
        leased = g.state == "running" and not g.parked
        if leased and not judge_leases:
            return "NotDue", None
        what, answer = self._rescue(g, leased=leased)
        if not what:
            return answer
        self.counted[partition_of_generation(generation)][f"rescue|{what}"] += 1
        return answer

    def _rescue(self, g: Generation, *, leased: bool) -> tuple[str, Answer]:
        given_up = (leased or g.ref) and self.clock >= g.give_up_at
        if g.state == "waiting":
            return self._rescue_waiting(g)
        if given_up and not (leased and g.cancel_requested):
            return "provider_timeout", self.end(g, self.final(g), "provider_timeout", "")
        if leased:
            answer = self.fail(g, "worker_lost", "")
            return "retried" if answer[0] == "Requeued" else "worker_lost", answer
        if g.in_line:
            g.queued_at, g.in_line = self.clock, False
        held = not g.ref and self.pause_of(g.account, g.request)
        if g.keeps_limit and not held and self.clock >= g.give_up_at:
            return "provider_timeout", self.end(g, self.final(g), "provider_timeout", "")
        if not g.ref and not held and self.clock >= self.gives_up_at(g):
            return "queue_timeout", self.end(g, self.final(g), "queue_timeout", "")
        g.deadline = held.checked_again(self.clock) if held else self.clock + DISPATCH
        return ("", ("NotDue", None)) if held else ("dispatched", ("Requeued", g.dispatch))

    def _rescue_waiting(self, g: Generation) -> tuple[str, Answer]:
        a = self.rolled(g.account)
        if self.room(a, g.request.tool) > 0:
            self.keep(a)
            self.queue(g, 0)
            return "promoted", ("Requeued", g.dispatch)
        if self.clock >= self.gives_up_at(g):
            return "waiting_timeout", self.end(g, "failed", "waiting_timeout", "")
        held = self.pause_of(g.account, g.request)
        g.deadline = max(self.gives_up_at(g), held.checked_again(self.clock) if held else 0)
        return "", ("NotDue", None)
