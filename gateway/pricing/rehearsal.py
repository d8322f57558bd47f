"""What past generations would have cost by a rate card that is not in force: `farebox pricing rehearse`.

All amounts are integer millicredits.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from gateway.domain import GenerationRequest
from gateway.errors import RequestRefused
from gateway.pricing.card import RateCard
from gateway.pricing.discounts import PricedFor, discounts_of
from gateway.pricing.gating import gating
from gateway.pricing.measures import INPUT_MEGAPIXELS, INPUT_VIDEO_SECONDS, PROMPT_CHARACTERS
from gateway.pricing.quote import quote

_FROM_INPUTS = (INPUT_MEGAPIXELS, INPUT_VIDEO_SECONDS)


@dataclass(slots=True)
class Rehearsed:
    """The sums of one model. `charged`: by the cards of their time; `would_charge`: by the rehearsed one.

    `at_most` counts generations priced at a maximum: their price depends on the size or length of their inputs, which
    is not kept, or on what would be reported. What is refused would have been charged nothing; `lost` is what it was
    charged. `refused` counts the reasons.
    """

    generations: int = 0
    charged: int = 0
    would_charge: int = 0
    dearer: int = 0
    cheaper: int = 0
    at_most: int = 0
    lost: int = 0
    refused: dict[str, int] = field(default_factory=dict)

    def add(self, other: Rehearsed) -> None:
        """Add another model's sums."""
        for name in ("generations", "charged", "would_charge", "dearer", "cheaper", "at_most", "lost"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for reason, times in other.refused.items():
            self.refused[reason] = self.refused.get(reason, 0) + times


class Rehearsal:
    """Prices generations by the prices of `card`, as `RateCard.at` gives it for a time; adds up per tool and model."""

    def __init__(self, card: RateCard) -> None:
        self._card = card
        self.models: dict[tuple[str, str], Rehearsed] = {}

    @property
    def total(self) -> Rehearsed:
        """The sums of all models."""
        total = Rehearsed()
        for one in self.models.values():
            total.add(one)
        return total

    def note(self, request: GenerationRequest, *, charged: int, delivered: int, account: PricedFor) -> None:
        """Price one that has ended with `delivered` of its outputs, by the discounts that the account has now."""
        sums = self.models.setdefault((request.tool, request.model), Rehearsed())
        sums.generations += 1
        sums.charged += charged
        kinds = Counter(given.kind for given in request.inputs)
        try:
            priced = quote(
                self._card,
                tool=request.tool,
                model=request.model,
                settings=request.settings,
                outputs=request.outputs,
                input_images=kinds["image"],
                input_videos=kinds["video"],
                measured=_measured(request),
                discounts=discounts_of(self._card, account, tool=request.tool, model=request.model),
            )
        except RequestRefused as refused:
            reason = refused.problems[0]
            self._refuse(sums, f"{reason.path}: {reason.message}", charged)
            return
        gate = gating(self._card, plan=account.plan, model=priced.model, settings=priced.settings)
        if gate is not None:
            self._refuse(sums, gate.message, charged)
            return
        would = priced.price_millicredits * delivered // request.outputs  # as an ending commits it (R9)
        sums.would_charge += would
        sums.at_most += priced.at_most or any(priced.measures.get(measure) for measure in _FROM_INPUTS)
        sums.dearer += would > charged
        sums.cheaper += would < charged

    @staticmethod
    def _refuse(sums: Rehearsed, reason: str, charged: int) -> None:
        sums.refused[reason] = sums.refused.get(reason, 0) + 1
        sums.lost += charged


def _measured(request: GenerationRequest) -> Mapping[str, Decimal]:
    """Its prompt's length; none for a prompt that was erased or not given."""
    return {PROMPT_CHARACTERS: Decimal(len(request.prompt))} if request.prompt else {}
