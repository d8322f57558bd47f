"""The dispatcher, as a worker without Redis calls it."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.ledger.outcomes import Dispatch
from gateway.queue.dispatcher import Dispatcher
from gateway.queue.messages import ChangeNotice


class Dispatching:
    """Hands on what such a worker would have dispatched itself."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher

    async def dispatch(self, dispatches: Sequence[Dispatch], notices: Sequence[ChangeNotice]) -> None:
        """Dispatch and notify in the next batch."""
        self._dispatcher.dispatch(dispatches, notices)
