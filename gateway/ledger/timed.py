"""The ledger with timings: the duration of each script for Prometheus, and each transition in the log.

A transition is a line of its own, except the first that a request makes: it is in the request's line, because a line
costs 10 µs.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from contextvars import ContextVar

import structlog
from prometheus_client import REGISTRY, CollectorRegistry, Histogram

from gateway.errors import LedgerUnavailable
from gateway.ledger import keys
from gateway.ledger.ledger import Ledger
from gateway.ledger.timings import Timings
from gateway.redis_link.calls import Reply
from gateway.redis_link.scripts import Argument

READ_ONLY = frozenset(
    {"audit_account", "audit_generations", "audit_index", "audit_journal", "audit_webhook", "audit_webhooks"}
    | {
        "checkout",
        "deliveries",
        "find",
        "generation",
        "generations",
        "margins",
        "overdue",
        "purchase",
        "purchases",
        "replay",
        "time",
        "usage",
    }
)
"""Scripts that change nothing. Timed, but not logged as transitions."""

NOT_TRANSITIONS = frozenset(
    {
        "account",
        "admit",
        "archive_take",
        "archived",
        "claim_email",
        "client_call",
        "journal",
        "list_purchase",
        "log_call",
        "note_bulk",
        "publish",
        "release_email",
        "sign_in_person",
        "sign_out",
        "take_in",
    }
    | {"touch"}
)
"""Scripts whose writes are of no interest in the log: they roll an account forward, count a request, an upload or a
key's use, claim an email, record an operator's call or what came of it, remember a client's call, end a browser's
session, or publish a rate card to all partitions. Timed, but not logged."""

_FREQUENT = frozenset({"claim_deliveries", "dispatched", "progress", "renew", "tried"})
_NOT_LOGGED = READ_ONLY | NOT_TRANSITIONS
_IDS = ("generation", "attempt")

log = structlog.get_logger("gateway.transitions")


def is_told(script: str) -> bool:
    """Whether it is a transition that somebody would look for: not one that every attempt makes all the time."""
    return script not in _NOT_LOGGED and script not in _FREQUENT


class RequestLine:
    """The first transition of a request in progress, for its line. Once that is written, it takes no more."""

    __slots__ = ("_facts",)

    def __init__(self) -> None:
        self._facts: dict[str, object] | None = None

    def takes(self, transition: str, outcome: str, seconds: float) -> bool:
        """Take a transition, unless there is one already, or the line is written."""
        if self._facts is not None:
            return False
        self._facts = {"transition": transition, "outcome": outcome, "ledger_ms": round(seconds * 1000, 1)}
        return True

    def written(self) -> Mapping[str, object]:
        """What the line says of it."""
        facts, self._facts = self._facts or {}, {}
        return facts


REQUEST_LINE: ContextVar[RequestLine | None] = ContextVar("REQUEST_LINE", default=None)
"""That of the request in whose context a script runs; None outside of requests."""


def transition_seconds(registry: CollectorRegistry = REGISTRY) -> Timings:
    """The histogram of a `TimedLedger`, labelled by transition and outcome."""
    return Timings(
        Histogram(
            "farebox_transition_seconds",
            "Duration of ledger calls by transition and outcome.",
            ["transition", "outcome"],
            buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
            registry=registry,
        )
    )


class TimedLedger(Ledger):
    """The ledger, timing each script. Set `seconds`, its histogram, before the first call."""

    seconds: Timings

    async def run(self, name: str, key: str, /, **arguments: Argument | None) -> tuple[str, Reply]:
        """Run a script, record its duration and outcome, and log one line if it is a transition."""
        started_at = time.perf_counter()
        outcome = "error"
        try:
            answer = await super().run(name, key, **arguments)
            outcome = answer[0]
            return answer
        except LedgerUnavailable:
            outcome = "unavailable"
            raise
        finally:
            seconds = time.perf_counter() - started_at
            self.seconds.observe(seconds, name, outcome)
            if name not in _NOT_LOGGED:
                line = REQUEST_LINE.get()
                if line is None or not line.takes(name, outcome, seconds):
                    # After the caller has its answer.
                    asyncio.get_running_loop().call_soon(_log_transition, name, key, arguments, outcome, seconds)


def _log_transition(
    name: str, key: str, arguments: Mapping[str, Argument | None], outcome: str, seconds: float
) -> None:
    """Log a transition and its subject. Of the arguments only ids are logged, never user text."""
    ids = dict(keys.subject(key)) | {known: arguments[known] for known in _IDS if known in arguments}
    # The caller logs an outage once; here each of its many retries would be logged.
    say = log.debug if name in _FREQUENT or outcome == "unavailable" else log.info
    say("transition", transition=name, outcome=outcome, **ids, duration_ms=round(seconds * 1000, 1))
