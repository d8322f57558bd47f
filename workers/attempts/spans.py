"""The spans of an attempt: the time before it, `begin`, and all that follows, in the trace of what was ordered."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from gateway import tracing
from gateway.ledger.outcomes import Begun

_NS_PER_MS = 1_000_000


@contextmanager
def attempt_span(begun: Begun, asked_ns: int, waited_ms: int | None) -> Iterator[None]:
    """`asked_ns`: when `begin` was asked; `waited_ms`: since it was queued, if this is its first start."""
    if not tracing.is_on():
        yield
        return
    generation, now_ns = begun.generation, time.time_ns()
    request, trace = generation.request, generation.request.trace
    attributes: dict[str, str | int] = {
        "farebox.generation": generation.id,
        "farebox.attempt": generation.attempt,
        "farebox.tool": request.tool,
        "farebox.model": request.model,
        "farebox.provider": request.provider,
    }
    with tracing.first_span("attempt", trace, attributes, start_ns=asked_ns):
        if waited_ms is not None:
            tracing.record("wait", trace, asked_ns - waited_ms * _NS_PER_MS, asked_ns)
        tracing.record("begin", None, asked_ns, now_ns)
        yield
