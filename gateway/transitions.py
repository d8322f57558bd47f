"""The state machine of a generation, as data. The Lua scripts are tested against it.

```
reserve ─┬─▶ queued ──begin──▶ running ──settle──▶ succeeded | failed
         │     ▲  ▲               │
         │     │  └── next attempt┘  (settle with a retryable failure, rescue, hand_back)
         └─▶ waiting              any open state ──cancel──▶ cancelled
             (over concurrency)
```

- **waiting**: reserved beyond the plan's concurrency limit. In: `reserve`. Out: `promote`, `cancel`, `rescue`.
  `promote` is not a script: every script that takes a generation out of work promotes the next one. `rescue` promotes
  one that fits when its deadline passes, and fails one that waited past `waiting_timeout`.
- **queued**: may be started, unless operators have paused what it needs (its time in the queue then stands still).
  In: `reserve`, `promote`, `hand_back`, `settle`, `rescue`. Out: `begin`, `cancel`, `rescue`. `settle` and `rescue`
  queue the next attempt after a retryable failure. `rescue` ends one that is past `queue_timeout`, whose clock stops
  while its provider has no room (`wait_for_slot`); one whose providers all fail for `provider_timeout` ends too. Only
  here may its provider change (`assign`).
- **running**: an attempt holds the lease, or the generation is parked with its provider. In: `begin`. Out: `settle`,
  `hand_back`, `begin`, `renew`, `park`, `rescue`. `begin`, `renew` and `rescue` end one that is past `give_up_at`, or
  that was cancelled; `cancel` itself only asks a running one to stop.
- **succeeded, failed, cancelled**: final. In: `settle`, `cancel`, `begin`, `renew`, `park`, `hand_back`, `rescue`.
  Nothing leaves them.
"""

from __future__ import annotations

from gateway.domain import FailureCode, State

MOVES: dict[str, frozenset[tuple[State | None, State]]] = {
    "reserve": frozenset({(None, State.QUEUED), (None, State.WAITING)}),
    "begin": frozenset(
        {(State.QUEUED, State.RUNNING), (State.QUEUED, State.FAILED), (State.QUEUED, State.SUCCEEDED)}
        | {(State.RUNNING, State.RUNNING), (State.RUNNING, State.FAILED), (State.RUNNING, State.SUCCEEDED)}
        | {(State.RUNNING, State.CANCELLED)}
    ),
    "renew": frozenset(
        {(State.RUNNING, State.RUNNING), (State.RUNNING, State.FAILED), (State.RUNNING, State.SUCCEEDED)}
        | {(State.RUNNING, State.CANCELLED)}
    ),
    "note": frozenset({(State.RUNNING, State.RUNNING)}),
    "park": frozenset({(State.RUNNING, State.RUNNING), (State.RUNNING, State.CANCELLED)}),
    "call_back": frozenset({(State.RUNNING, State.RUNNING)}),
    "progress": frozenset({(State.RUNNING, State.RUNNING)}),
    "deliver": frozenset({(State.RUNNING, State.RUNNING)}),
    "hand_back": frozenset({(State.RUNNING, State.QUEUED), (State.RUNNING, State.CANCELLED)}),
    "wait_for_slot": frozenset({(State.QUEUED, State.QUEUED)}),
    "assign": frozenset({(State.QUEUED, State.QUEUED)}),
    "settle": frozenset(
        {(State.RUNNING, State.SUCCEEDED), (State.RUNNING, State.FAILED)}
        | {(State.RUNNING, State.CANCELLED), (State.RUNNING, State.QUEUED)}
    ),
    "promote": frozenset({(State.WAITING, State.QUEUED)}),
    "cancel": frozenset(
        {(State.WAITING, State.CANCELLED), (State.QUEUED, State.CANCELLED), (State.RUNNING, State.RUNNING)}
    ),
    "rescue": frozenset(
        {(State.WAITING, State.QUEUED), (State.WAITING, State.FAILED)}
        | {(State.QUEUED, State.QUEUED), (State.QUEUED, State.FAILED), (State.QUEUED, State.SUCCEEDED)}
        | {(State.RUNNING, State.RUNNING), (State.RUNNING, State.QUEUED), (State.RUNNING, State.FAILED)}
        | {(State.RUNNING, State.SUCCEEDED), (State.RUNNING, State.CANCELLED)}
    ),
    "dispatched": frozenset({(State.QUEUED, State.QUEUED), (State.RUNNING, State.RUNNING)}),
}
"""For each transition, the state changes (from, to) it may make. Where both are equal, only other fields change."""

RETRIED: dict[FailureCode, str] = {
    FailureCode.PROVIDER_FAILED: "An error at the provider or on the network may not recur.",
    FailureCode.WORKER_LOST: "The fault is ours; another worker may not have it.",
}
"""The failures that are retried, with the reason."""

FINAL: dict[FailureCode, str] = {
    FailureCode.PROVIDER_REJECTED: "The provider would reject this request again.",
    FailureCode.MODERATED: "A filter that refused it would refuse it again, and some vendors count refusals.",
    FailureCode.OUTPUT_UNUSABLE: "A model that returned the wrong thing would do so again, at the same cost.",
    FailureCode.PROVIDER_TIMEOUT: "The tool's time limit is over.",
    FailureCode.STORE_UNAVAILABLE: "The tool's time limit is over: until then the attempt waits for the object store.",
    FailureCode.QUEUE_TIMEOUT: "The tool's time limit is over.",
    FailureCode.WAITING_TIMEOUT: "The tool's time limit is over.",
    FailureCode.INTERNAL: "A bug would recur.",
}
"""The failures that end a generation at once, with the reason."""

RETRYABLE = frozenset(RETRIED)

ELSEWHERE = frozenset({FailureCode.PROVIDER_FAILED})
"""The retried failures after which the next of a model's providers is tried, if there is one: its job has ended, which
the provider must have said. The others are retried at the same provider, which may have the job (R17, R30)."""

RETRY_PAUSES_MS = (2_000, 8_000, 30_000)
"""The pause before the next attempt after the first, second, and every later failure, copied into each generation."""
