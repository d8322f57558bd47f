"""What a provider's job costs (R31): as the provider reports it, and as the rate card assumes.

Reported figures are untrusted: whatever is no amount of money is logged and counted, and the assumed cost counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

import structlog

from gateway.domain import Cost
from gateway.ledger.outcomes import Generation
from gateway.media import Media
from gateway.metering import Unit
from gateway.pricing.card import RateCard
from gateway.pricing.costs import MICRO, JobCost, job_cost
from gateway.pricing.measures import COUNTED_KINDS, PROMPT_CHARACTERS
from workers.attempts.reports import measured_units, millionths
from workers.metrics import REPORTED_COSTS
from workers.providers import ProviderRequest, Rendered

REPORTED_MAX = 10_000
"""In the card's currency, for one output: more is a mistake of the provider, or no money."""

log = structlog.get_logger(__name__)


class JobCosts:
    """What the outputs of one job of a generation cost."""

    def __init__(self, card: RateCard, generation: Generation, request: ProviderRequest) -> None:
        self._generation = generation
        self._indices = request.job_indices or request.indices
        self._assumed = _assumed(card, generation, len(self._indices))

    @property
    def provider(self) -> str:
        """Who makes it."""
        return self._generation.request.provider

    def of(self, rendered: Rendered, media: Media | None) -> Cost:
        """The cost of one output; `media` is what can be measured on it, if it could be read."""
        place = self._indices.index(rendered.index) if rendered.index in self._indices else 0
        units = {unit: millionths(figure) for unit, figure in rendered.reported.items() if figure is not None}
        if rendered.cost is not None:
            reported = self._judged(millionths(rendered.cost), rendered.cost)
        else:
            reported = self._billed(place, units)
        if self._assumed is None:
            return Cost(self.provider, None, reported)
        measured: dict[Unit, int | None] = {} if media is None else {**measured_units(media)}
        used = {unit: count for unit, count in units.items() if unit is not Unit.PROVIDER_CREDITS}
        return Cost(self.provider, self._assumed.of(place, measured | used), reported)

    def of_failure(self, said: object) -> Cost:
        """What a failed job cost beyond its outputs: nothing, unless the provider says otherwise."""
        return Cost(self.provider, None, None if said is None else self._judged(millionths(said), said))

    def _billed(self, place: int, units: Mapping[Unit, int | None]) -> int | None:
        """What the units cost that the provider bills, such as fal's; None if it names none, or the card has no price.

        The ceiling of the card bounds what is assumed, not what is billed.
        """
        if self._assumed is None or Unit.PROVIDER_CREDITS not in units:
            return None
        if all(meter.unit is not Unit.PROVIDER_CREDITS for meter in self._assumed.meters):
            return None
        billed = units[Unit.PROVIDER_CREDITS]
        cost = None if billed is None else self._assumed.of(place, units, bounded=False)
        return self._judged(cost, billed)

    def _judged(self, micro: int | None, said: object) -> int | None:
        """A reported cost; None, with a warning, if it is no amount of money or an absurd one."""
        model = self._generation.request.model
        outcome = "not_an_amount" if micro is None else "absurd" if micro > REPORTED_MAX * MICRO else "reported"
        REPORTED_COSTS.labels(model, self.provider, outcome).inc()
        if outcome == "reported":
            return micro
        log.warning(
            "reported_cost_ignored",
            generation=self._generation.id,
            model=model,
            provider=self.provider,
            why=outcome,
            reported=said if isinstance(said, int | float) else type(said).__name__,
        )
        return None


def _assumed(card: RateCard, generation: Generation, outputs: int) -> JobCost | None:
    """By the card in force: what a generation was reserved with is its price, not its cost."""
    request = generation.request
    model = card.models.get(request.model)
    if model is None or not outputs:
        return None
    counts = {name: sum(given.kind == kind for given in request.inputs) for name, kind in COUNTED_KINDS.items()}
    measured = {**request.measures, PROMPT_CHARACTERS: Decimal(len(request.prompt))}
    return job_cost(
        model, request.provider, settings=request.settings, counts=counts, outputs=outputs, measured=measured
    )
