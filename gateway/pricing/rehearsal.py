"""What past generations would have cost by a rate card that is not in force: `farebox pricing rehearse`.

All amounts are integer millicredits.

What costs by how many were ordered in the month is priced at the end, in the order it was made: by then all is known.
It counts what was delivered, as if each had ended before the next was ordered.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from operator import attrgetter
from zoneinfo import ZoneInfo

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


@dataclass(frozen=True, slots=True, kw_only=True)
class PastGeneration:
    """A generation that has ended: when it was made (ms), its charge, and how many outputs were delivered.

    `priced_for` has the discounts that its account has now.
    """

    request: GenerationRequest
    account: str
    priced_for: PricedFor
    created_at: int
    charged: int
    delivered: int


class Rehearsal:
    """Prices generations by the prices of `card`, as `RateCard.at` gives it for a time; adds up per tool and model.

    Those made before `since` (ms) only count as ordered, where prices are graduated.
    """

    def __init__(self, card: RateCard, since: int = 0) -> None:
        self._card = card
        self._since = since
        self._zone = ZoneInfo(card.free.timezone)
        self._graduated: list[PastGeneration] = []
        self.models: dict[tuple[str, str], Rehearsed] = {}

    @property
    def total(self) -> Rehearsed:
        """The sums of all models."""
        total = Rehearsed()
        for one in self.models.values():
            total.add(one)
        return total

    @property
    def reads_since(self) -> int:
        """From when on generations matter (ms): graduated prices need the whole of the first month."""
        if not any(model.graduated for model in self._card.models.values()):
            return self._since
        first = datetime.fromtimestamp(self._since / 1000, self._zone)
        return round(first.replace(day=1, hour=0, minute=0, second=0, microsecond=0).timestamp() * 1000)

    def note(self, past: PastGeneration) -> None:
        """Price one; if its model's prices are graduated, only with `finish`."""
        model = self._card.models.get(past.request.model)
        if model is not None and model.graduated:
            self._graduated.append(past)
        elif past.created_at >= self._since:
            self._price(past)

    def finish(self) -> None:
        """All have been noted: price those that depend on each other."""
        ordered = defaultdict[tuple[str, str, str], int](int)
        for past in sorted(self._graduated, key=attrgetter("created_at")):
            month = f"{datetime.fromtimestamp(past.created_at / 1000, self._zone):%Y-%m}"
            of_month = (past.account, past.request.model, month)
            if past.created_at >= self._since:
                self._price(past, ordered[of_month])
            ordered[of_month] += past.delivered
        self._graduated.clear()

    def _price(self, past: PastGeneration, before: int = 0) -> None:
        request, charged = past.request, past.charged
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
                input_audios=kinds["audio"],
                measured=_measured(request),
                discounts=discounts_of(self._card, past.priced_for, tool=request.tool, model=request.model),
                before=before,
            )
        except RequestRefused as refused:
            reason = refused.problems[0]
            self._refuse(sums, f"{reason.path}: {reason.message}", charged)
            return
        gate = gating(self._card, plan=past.priced_for.plan, model=priced.model, settings=priced.settings)
        if gate is not None:
            self._refuse(sums, gate.message, charged)
            return
        would = priced.price_millicredits * past.delivered // request.outputs  # as an ending commits it (R9)
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
