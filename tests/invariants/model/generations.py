"""A generation, and what it counts for."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from fractions import Fraction
from math import ceil

from gateway.domain import Cost, GenerationRequest
from gateway.ledger.limits import Limit
from gateway.ledger.policy import Terms
from gateway.ledger.tried import Tried
from gateway.metering import MILLIONTHS, NANOCREDITS_PER_MILLICREDIT, Reports
from tests.invariants.model.accounts import Answer
from tests.invariants.model.credits import Entry, Share

OPEN = {"waiting", "queued", "running"}


@dataclass(eq=False)
class Key:
    """One that is revoked and added again is another, with nothing spent."""

    id: str
    created_at: int
    limit: Limit | None = None
    member: str | None = None


@dataclass(eq=False)
class Member:
    """One who is removed stays, without a limit and with nothing spent."""

    id: str
    role: str
    created_at: int
    limit: Limit | None = None
    removed_at: int | None = None


@dataclass(eq=False)
class Generation:
    id: str
    account: str
    request: GenerationRequest
    terms: Terms
    head_start: int
    outputs_kept: int
    shares: list[Share]
    operation: str  # that made the last move
    order: int
    created_at: int
    state: str
    attempt: int = 0
    failures: int = 0
    outputs: dict[int, Reports] = field(default_factory=dict)  # with what was reported first
    deadline: int = 0
    queued_at: int | None = None
    started_at: int | None = None
    finished_at: int | None = None
    not_before: int = 0
    lease_until: int = 0
    give_up_at: int = 0
    ref: str | None = None
    ref_attempt: int = 0
    ref_at: int = 0
    looked_at: int = 0
    submission: int = 0
    parked: bool = False
    looks: int = 0
    progress: int | None = None
    called_back: str | None = None
    in_line: bool = False
    cancel_requested: bool = False
    committed: int = 0
    charged: str = ""  # R29: for how much of each unit
    given_back: int = 0
    given_back_by: str = ""
    given_back_on: str = ""  # R31: the day in whose margin it is; and that of its end
    booked: str = ""
    costs: dict[int, Cost | None] = field(default_factory=dict)  # of each delivered output
    lost: list[Cost] = field(default_factory=list)
    late: dict[str, tuple[Cost, ...]] = field(default_factory=dict)  # by job
    provider: str = ""
    may_have_job: bool = False  # R30: a provider may have a job of it
    released: int = 0  # the last attempt that left none
    tried: tuple[Tried, ...] = ()
    keeps_limit: bool = False
    ordered_on: date | None = None  # of a model with graduated prices
    token: str | None = None
    key: str | None = None
    member: str | None = None
    counted: tuple[date, tuple[Key | Member, ...]] | None = None  # R26: on which day, and for whom
    error: str = ""
    entries: list[Entry] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.provider = self.request.provider

    def charge(self) -> None:
        """R9, R29: what the delivered outputs cost: their share of the price, or what was reported at its rates."""
        request, k = self.request, len(self.outputs)
        self.committed = request.price_millicredits * k // request.outputs
        if request.metering is None:
            return
        cost, counts = Fraction(request.metering.fixed_nanocredits, request.outputs) * k, []
        for meter in request.metering.meters:
            said = [reports.get(meter.unit, meter.unreported) for reports in self.outputs.values()]
            count = sum(meter.at_most if amount is None else min(amount, meter.at_most) for amount in said)
            cost += Fraction(meter.nanocredits * count, MILLIONTHS)
            counts.append(f"{meter.unit}:{count}")
        self.committed = min(self.committed, ceil(cost / NANOCREDITS_PER_MILLICREDIT))
        self.charged = ",".join(counts)

    @property
    def by(self) -> str:
        """R28: who is named in its journal entries."""
        return f"{self.key or ''},{self.member or ''}" if self.key or self.member else ""

    @property
    def dispatch(self) -> Answer:
        """What arq is told. R15: its place in the queue counts from when it was made."""
        score, queued_at = self.created_at - self.head_start, self.queued_at or self.created_at
        return self.id, (self.request.tool, self.attempt + 1, score, queued_at, self.not_before, self.deadline)
