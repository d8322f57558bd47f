"""An operator who saves the rate card again and again with other prices, and what must hold of prices then (R7)."""

from __future__ import annotations

import asyncio
import time
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar

from chaos.actor import Actor
from chaos.checks import Checks
from chaos.load import Load
from chaos.prices import SavedCard
from chaos.times import seconds_of

Shown = dict[str, Any]

_SKETCH, _PORTRAIT = "credits = 1.111", "credits = 2.5\n"
_CHECK_SECONDS = 0.2
_TAKEN_SECONDS = 120
_ON_ITS_WAY_SECONDS = 60
"""A request may have been priced by a card so long before it was reserved: whoever priced it was frozen, or waited."""


class CardKeeper(Actor):
    """Saves cards one after the other; `history` has all that were ever in force, the newest last."""

    name: ClassVar[str] = "cards"
    pause_seconds: ClassVar[tuple[float, float]] = (1.0, 6.0)

    def __init__(self, load: Load, checks: Checks, seed: int, path: Path) -> None:
        super().__init__(load, checks, seed)
        self.history: list[SavedCard] = []
        self._path = path
        self._first = path.read_text()
        self._taken = 0

    async def open(self) -> None:
        """Know the card that everything begins with."""
        self.history.append(SavedCard(self._first, time.time()))

    async def act(self) -> None:
        """Save another card as an editor does, and wait until both gateways sell by it."""
        number = len(self.history)
        text = self._first.replace(_SKETCH, f"credits = {Decimal('1.111') + Decimal('0.013') * number}", 1)
        text = text.replace(_PORTRAIT, f"credits = {Decimal('2.5') + Decimal('0.007') * number}\n", 1)
        draft, card = self._path.with_suffix(".draft"), SavedCard(text, time.time())
        draft.write_text(text)
        draft.replace(self._path)
        before = self.history[-1]
        self.history.append(card)
        for gateway in self.load.gateways:
            taken = await self._sells_by(gateway, card.version)
            self.checks.that(taken, "rate cards taken by both gateways", f"{gateway} never took {card.version}")
        before.replaced_at = time.time()
        self._taken += 1

    async def wait_for_another(self, seconds: float) -> None:
        """Return when a newer card is in force on both gateways, the time is over, or the load stops."""
        before, give_up = self._taken, time.monotonic() + seconds
        while time.monotonic() < give_up and not self.load.stopping:
            if self._taken > before:
                return
            await asyncio.sleep(_CHECK_SECONDS)

    async def _sells_by(self, gateway: str, version: str) -> bool:
        """Whether a gateway shows this card in time; it may be killed, frozen or without its ledger meanwhile."""
        give_up = time.monotonic() + _TAKEN_SECONDS
        while time.monotonic() < give_up:
            answer = await self.load.call_once(gateway, "GET", "/v1/rate-card", key="")
            if answer is not None and answer.body.get("version") == version:
                return True
            await asyncio.sleep(_CHECK_SECONDS)
        return False

    def check(self, shown: Shown) -> None:
        """A generation's price is what its card says, and that card was in force when it was ordered."""
        name, version = shown["id"], shown["price"]["rate_card"]
        card = next((card for card in self.history if card.version == version), None)
        if card is None:
            self.checks.problems.append(f"{name} was priced by the card {version}, which was never in force")
            return
        price, expected = int(Decimal(shown["price"]["credits"]) * 1000), card.price(shown)
        self.checks.that(
            price == expected, "prices, by an independent sum", f"{name} costs {price}, and by its card {expected}"
        )
        made = seconds_of(shown["created_at"])
        late = card.replaced_at is not None and made > card.replaced_at + _ON_ITS_WAY_SECONDS
        if made < card.saved_at - 1 and card is not self.history[0]:
            self.checks.problems.append(f"{name} was priced by a card that was saved only later")
        if late and name not in self.load.quoted:
            self.checks.problems.append(f"{name} was priced by a card that had been replaced")
        acknowledged = self.load.prices.get(name)
        if acknowledged is not None and self._changed_during(made, shown):
            self.checks.seen["prices kept after the card changed"] += 1
        if acknowledged is not None and acknowledged != price:
            self.checks.problems.append(f"{name} was acknowledged at {acknowledged} and costs {price}")

    def _changed_during(self, made: float, shown: Shown) -> bool:
        ended = seconds_of(shown["finished_at"])
        return any(made < card.saved_at < ended for card in self.history)
