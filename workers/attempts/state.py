"""What the parts of one attempt share: the generation, the provider's job, and the progress so far."""

from __future__ import annotations

from collections.abc import Sequence

import structlog

from gateway.domain import Cost
from gateway.errors import ProviderError, ProviderNotSetUp, ProviderUnreachable
from gateway.ledger.outcomes import Begun, Generation
from gateway.ledger.tried import Tried, with_result
from gateway.queue.messages import ChangeNotice
from workers.attempts.costs import JobCosts
from workers.attempts.parking import Parking
from workers.attempts.slot import Slot
from workers.context import WorkerContext
from workers.metrics import FIGURES
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
        # Whether the provider may have a job whose ref is unknown, because an answer to a submit was lost (R17). Also
        # of an earlier attempt, unless that ended with a verdict.
        self.in_doubt = begun.generation.released != begun.attempt - 1
        self.delivered = {output.index for output in begun.generation.outputs}
        self.progress_thousandths = begun.generation.progress_thousandths
        self.lost: dict[int | None, Cost] = {}
        """What was made and is not delivered, by output; None: a failed job (R31)."""
        self.slot = Slot(context, begun.generation)
        self.parking = Parking(context, begun.generation)
        self.log = log.bind(generation=self.generation.id, attempt=self.number)

    def costs(self, request: ProviderRequest) -> JobCosts:
        """What the outputs of the request cost."""
        return JobCosts(self.context.providers.card, self.generation, request)

    async def book_lost(self, ended: Generation | None) -> None:
        """Book what nobody gets, of an attempt that cannot say it by its own end; `ended` has what was delivered."""
        delivered = set() if ended is None else {output.index for output in ended.outputs}
        lost = [cost for index, cost in self.lost.items() if index not in delivered]
        if lost:
            job = self.ref or f"attempt {self.number}"
            FIGURES.count_losses(self.generation.request.model, lost)
            await self.context.retry_until_answered(
                "book_loss", lambda: self.ledger.book_loss(generation=self.generation.id, job=job, lost=lost)
            )

    def has_settled(self, found: Generation | None) -> bool:
        """Whether a settle of this attempt was applied, by its losses: they follow those of earlier attempts.

        If its reply comes too late, another attempt has begun, and the settle that is sent again is refused as stale.
        """
        lost = tuple(cost for cost in self.lost.values() if (cost.assumed, cost.reported) != (None, None))
        earlier = len(self.generation.lost)
        return found is not None and found.lost[earlier : earlier + len(lost)] == lost

    def notify(self) -> None:
        """Notify streams that the generation has changed."""
        self.context.dispatcher.dispatch([], [ChangeNotice(self.generation.account, self.generation.id)])

    @property
    def provider(self) -> str:
        """The provider that makes it now."""
        return self.generation.request.provider

    @property
    def providers(self) -> tuple[str, ...]:
        """All that may make it, by the current rate card, in order."""
        model = self.context.providers.card.models.get(self.generation.request.model)
        return (self.provider,) if model is None or self.provider not in model.offers else tuple(model.offers)

    def tried(self, result: str, at: int, pauses_ms: Sequence[int]) -> tuple[Tried, ...]:
        """What providers have said, the present one last; it is not asked again for as long as a pause."""
        return with_result(self.generation.tried, self.provider, result, at, pauses_ms)

    def untried(self, tried: Sequence[Tried]) -> int:
        """How many of its providers have not been tried."""
        return len({*self.providers} - {one.provider for one in tried})

    def leaves(self, error: ProviderError) -> bool:
        """Whether the provider has certainly no job, and the generation can go elsewhere or wait for it (R30).

        With a breaker, a generation waits until the provider works again, instead of asking on its own.
        """
        if not error.refused or self.ref is not None or self.in_doubt:
            return False
        return len(self.providers) > 1 or (is_unreachable(error) and self.slot.limits.open_after is not None)

    def stop_job(self) -> None:
        """Ask the provider to stop this attempt's job, if there may be one whose ref is not in the ledger."""
        announced = () if self.request is None else self.request.announced
        for ref in announced if self.ref is None else [self.ref]:
            stop = self.context.stop_provider(self.generation.request, ref, self.generation.id)
            self.context.run_in_background(stop, "stop provider")


def is_unreachable(error: ProviderError) -> bool:
    """Whether the provider did not respond, or asked to wait; asking again may help."""
    return isinstance(error, ProviderUnreachable) and not isinstance(error, ProviderNotSetUp)
