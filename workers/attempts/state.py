"""What the parts of one attempt share: the generation, the provider's job, and the progress so far."""

from __future__ import annotations

import structlog

from gateway.ledger.outcomes import Begun
from gateway.queue.messages import ChangeNotice
from workers.attempts.parking import Parking
from workers.attempts.slot import Slot
from workers.context import WorkerContext
from workers.providers import ProviderRequest

log = structlog.get_logger(__name__)


class AttemptState:
    """Shared by `ProviderSession`, `Lease` and `Ending`. `ref` is the provider's id of its job, None without one."""

    def __init__(self, context: WorkerContext, begun: Begun) -> None:
        self.context = context
        self.ledger = context.ledger
        self.generation = begun.generation
        self.number = begun.attempt
        self.lease_seconds = begun.lease_ms / 1000
        self.request: ProviderRequest | None = None
        self.ref = begun.generation.provider_ref
        self.delivered = {output.index for output in begun.generation.outputs}
        self.progress_thousandths = begun.generation.progress_thousandths
        self.slot = Slot(context, begun.generation)
        self.parking = Parking(context, begun.generation)
        self.log = log.bind(generation=self.generation.id, attempt=self.number)

    def notify(self) -> None:
        """Notify streams that the generation has changed."""
        self.context.dispatcher.dispatch([], [ChangeNotice(self.generation.account, self.generation.id)])

    def stop_job(self) -> None:
        """Ask the provider to stop this attempt's job, if there may be one whose ref is not in the ledger."""
        announced = () if self.request is None else self.request.announced
        for ref in announced if self.ref is None else [self.ref]:
            stop = self.context.stop_provider(self.generation.request, ref, self.generation.id)
            self.context.run_in_background(stop, "stop provider")
