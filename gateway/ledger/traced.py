"""The ledger with a span for each transition, in processes that are traced."""

from __future__ import annotations

from gateway import tracing
from gateway.ledger.timed import TimedLedger, is_told
from gateway.redis_link.calls import Reply
from gateway.redis_link.scripts import Argument


class TracedLedger(TimedLedger):
    """As `TimedLedger`; the span has the transition's word, such as `reserve`, and its outcome."""

    async def run(self, name: str, key: str, /, **arguments: Argument | None) -> tuple[str, Reply]:
        """Run a script; in a trace, a transition is a span."""
        if not is_told(name):
            return await super().run(name, key, **arguments)
        with tracing.span(name) as span:
            answer = await super().run(name, key, **arguments)
            if span is not None:
                span.set_attribute("farebox.outcome", answer[0])
            return answer


def ledger_class() -> type[TimedLedger]:
    """The ledger of this process."""
    return TracedLedger if tracing.is_on() else TimedLedger
