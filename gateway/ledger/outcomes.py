"""The ledger's outcomes: frozen values, one class per word that a script may reply.

An expected refusal is a value, never an exception. Amounts are millicredits, times are milliseconds (UTC); journal
times, grants and cycles are in account time, everything else in real time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from gateway.domain import Bucket, Cost, FailureCode, GenerationRequest, Interval, Output, OwnWebhook, State, record
from gateway.ledger.key_records import AccountKey
from gateway.ledger.member_records import Member
from gateway.ledger.pause_records import Pause
from gateway.ledger.tried import Tried
from gateway.metering import Unit
from gateway.pricing.discounts import NO_PLAN, PricedFor

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Dispatch:
    """A generation that has just become `queued` (or is parked and due for a poll), to be enqueued in arq.

    `attempt` is the next attempt's number, `score` its place in the queue (ms: `created_at` − head start), `not_before`
    when it may begin (0: now), `deadline` what `dispatched` compares. `account` and `provider`: "" in older records.
    """

    generation: str
    tool: str
    attempt: int
    score: int
    queued_at: int
    not_before: int
    deadline: int
    account: str = ""
    provider: str = ""


@dataclass(frozen=True, slots=True)
class AllocationShare:
    """A part of a price drawn from one grant, and what its credits were worth then (`lib/worth.lua`)."""

    bucket: Bucket
    grant: str
    millicredits: int
    worth: str


@record
class Generation:
    """A generation. `version` counts its changes; `operation` is the id of the operation that made the last one.

    `submission` counts the jobs that its provider failed, so that the next one gets its own idempotency key;
    `looks` counts how often it was parked with its current job, `looked_at` is when it last was; `ref_attempt` is the
    attempt that submitted this job, `ref_at` when.
    `tried` has the providers that did not make it; `released` is the last attempt that left its provider without a job.
    `entry_texts` are its own journal entries, oldest first, as stored; `records.decode_entry` decodes them.
    """

    id: str
    account: str
    state: State
    request: GenerationRequest
    price_millicredits: int
    held_millicredits: int
    committed_millicredits: int = 0
    refunded_millicredits: int = 0
    allocation: tuple[AllocationShare, ...]
    outputs: tuple[Output, ...] = ()
    outputs_deleted: bool = False
    outputs_kept_ms: int = 0
    progress_thousandths: int = 0
    attempt: int
    failures: int
    submission: int = 0
    looks: int = 0
    version: int
    operation: str
    cancel_requested: bool = False
    error: FailureCode | None = None
    provider_ref: str | None = None
    ref_attempt: int = 0
    ref_at: int | None = None
    looked_at: int | None = None
    give_up_at: int | None = None
    created_at: int
    queued_at: int | None
    started_at: int | None = None
    finished_at: int | None = None
    given_back_millicredits: int = 0
    """What an operator gave back of what was committed."""
    retry_of: str | None
    """The failed generation that an operator retried with it."""
    webhook: OwnWebhook | None
    key: str | None
    """The id of the API key that made it; None: one that was made before this was stored."""
    member: str | None
    """The id of the member whose key it was; None: the account's own."""
    token: str | None
    """The id of the client token that made it, if one did."""
    entry_texts: tuple[str, ...]
    charged: Mapping[Unit, int] | None = None
    """The millionths of each reported unit it was charged for; None: open, or charged without regard to them (R29)."""
    tried: tuple[Tried, ...] = ()
    released: int = 0
    lost: tuple[Cost, ...] = ()
    """What attempts cost beyond the delivered outputs (R31)."""

    @property
    def outputs_expire_at(self) -> int | None:
        """When its outputs are to be deleted (ms); None while it is open, and without outputs."""
        return self.finished_at + self.outputs_kept_ms if self.outputs and self.finished_at is not None else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """A dated batch of credits. `kind` is `daily`, `monthly`, `top_up`, `operator` or `refund`."""

    id: str
    bucket: Bucket
    kind: str
    available_millicredits: int
    held_millicredits: int
    granted_millicredits: int
    expires_at: int | None
    created_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """An active subscription. It lapses at `paid_through` or `cancelled_to`, whichever comes first.

    `billing` is the payment provider's subscription that pays for it; None: a test payment or an operator's grant.
    """

    plan: str
    interval: Interval
    started_at: int
    cycle_started_at: int
    refreshes_at: int
    paid_through: int | None
    cancelled_to: int | None
    scheduled_plan: str | None
    scheduled_interval: Interval | None
    scheduled_at: int | None
    billing: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """An account rolled forward to `now` (account time). Grants are in burn order (R5).

    `available_millicredits` and `held_millicredits` are per bucket; `monthly_millicredits` is the allotment of the
    current cycle; `alerts_thousandths` are its alert thresholds, `alerted_thousandths` those reached now; `in_work` and
    `waiting` count open generations by tool; `debt_millicredits` is deducted first from later paid grants (R33).
    """

    id: str
    now: int
    clock_offset_ms: int
    test: bool
    created_at: int
    email: str | None
    metadata: Mapping[str, Any]
    available_millicredits: Mapping[Bucket, int]
    held_millicredits: Mapping[Bucket, int]
    grants: tuple[Grant, ...]
    free_resets_at: int
    monthly_millicredits: int
    alerts_thousandths: tuple[int, ...]
    alerted_thousandths: tuple[int, ...]
    subscription: Subscription | None
    in_work: Mapping[str, int]
    waiting: Mapping[str, int]
    keys: tuple[AccountKey, ...]
    keys_version: int
    members: tuple[Member, ...] = ()
    """Oldest first, former ones among them (R25)."""
    debt_millicredits: int = 0
    day: tuple[int, int] | None = None
    """The last day on which something was counted for a limit, from 1970, and when it ends (account time)."""
    pause: Pause | None = None
    free_credits: bool | None = None
    """Whether operators let it have daily free credits; None: the rate card decides."""
    erased_at: int | None = None
    """When its person was erased (real time); None: never."""
    priced_for: PricedFor = NO_PLAN
    volumes: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """Model with graduated prices → the day of its last order, from 1970, and the outputs ordered in its month."""


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """A page, newest first, and the cursor to pass as `before` for the next one (None: this was the last)."""

    data: tuple[T, ...]
    next: str | None


# --- refusals and outcomes, in no particular order; each method's docstring gives its order of precedence ------------


@dataclass(frozen=True, slots=True)
class Reserved:
    """The credits are held. `dispatch` is None while the generation is `waiting`."""

    generation: Generation
    dispatch: Dispatch | None


@dataclass(frozen=True, slots=True)
class Replayed:
    """An earlier request with the same idempotency key and body created this generation (R11)."""

    generation: Generation


@dataclass(frozen=True, slots=True)
class KeyReused:
    """The idempotency key was used before, with a different body (R11)."""


@dataclass(frozen=True, slots=True)
class KeysChanged:
    """The caller's cache of the account's keys is stale: authenticate again and repeat the call."""


@dataclass(frozen=True, slots=True)
class NotFound:
    """No such account, generation, key or grant, or it belongs to another account."""


@dataclass(frozen=True, slots=True)
class VolumeMoved:
    """The price does not hold: the account has `ordered` so many outputs of the model this month."""

    ordered: int


@dataclass(frozen=True, slots=True)
class SubscriptionRequired:
    """A pro model without an active subscription (R6)."""


@dataclass(frozen=True, slots=True)
class PlanLimit:
    """The plan limits `setting` to `allowed` values, JSON texts such as `'"720p"'` (R6)."""

    plan: str
    setting: str
    allowed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class InsufficientCredits:
    """Not enough credits available (R13). `account` has the balances and refill times."""

    needed_millicredits: int
    account: Account


@dataclass(frozen=True, slots=True)
class WaitingRoomFull:
    """The plan's limit of waiting generations for the tool is reached (R14)."""

    plan: str
    max_waiting: int


@dataclass(frozen=True, slots=True)
class Begun:
    """The attempt has the lease. Produce the outputs whose index is not in `generation.outputs`."""

    generation: Generation
    attempt: int
    lease_ms: int


@dataclass(frozen=True, slots=True)
class TooEarly:
    """The pause before a retry is not over; begin again at `not_before`."""

    not_before: int


@dataclass(frozen=True, slots=True)
class Stale:
    """Another attempt has the generation, or it has ended: stop, and change nothing."""


@dataclass(frozen=True, slots=True)
class Renewed:
    """The lease is renewed. `cancel_requested` asks the worker to stop and settle."""

    cancel_requested: bool


@dataclass(frozen=True, slots=True)
class Noted:
    """The change was recorded (`note`, `deliver`)."""


@dataclass(frozen=True, slots=True)
class Parked:
    """The generation is left with its provider until `next_poll`. `dispatch`: it has called back, so poll now."""

    next_poll: int
    dispatch: Dispatch | None


@dataclass(frozen=True, slots=True)
class CalledBack:
    """A provider's callback was accepted. `dispatch` sends a parked one to a worker; None: its current worker polls."""

    generation: str
    dispatch: Dispatch | None


@dataclass(frozen=True, slots=True)
class Stray:
    """A job no generation is waiting for: a worker of `tool` should ask its provider to stop it."""

    tool: str


@dataclass(frozen=True, slots=True)
class Ended:
    """The generation has ended. `promoted` must be dispatched; `provider_ref` is the job to stop at the provider."""

    generation: Generation
    promoted: tuple[Dispatch, ...]
    provider_ref: str | None


@dataclass(frozen=True, slots=True)
class Requeued:
    """The generation is `queued` again (hand-back, retry), or its deadline requires a dispatch.

    `promoted` are other generations of its account that a rescue promoted along with it.
    """

    dispatch: Dispatch
    promoted: tuple[Dispatch, ...] = ()


@dataclass(frozen=True, slots=True)
class WaitingForSlot:
    """The generation is in its provider's queue; `dispatch` brings it back when a slot is free."""

    dispatch: Dispatch


@dataclass(frozen=True, slots=True)
class CancelRequested:
    """It is running: the worker was asked to stop and will end it. `dispatch` sends a parked one to a worker."""

    generation: Generation
    dispatch: Dispatch | None


@dataclass(frozen=True, slots=True)
class Unchanged:
    """It had already ended; nothing has changed (R18)."""

    generation: Generation


@dataclass(frozen=True, slots=True)
class NotDue:
    """Nothing to rescue: the deadline moved, or it is too early to treat leases as expired (R16)."""


@dataclass(frozen=True, slots=True)
class Applied:
    """An operator's change was applied; `account` is the account after it."""

    account: Account
    promoted: tuple[Dispatch, ...] = ()
    grant: str | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """An operator's or a member's change was refused: `reason` is a code, `detail` what is behind it."""

    reason: str
    detail: str = ""
