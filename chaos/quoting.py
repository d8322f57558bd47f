"""A customer who asks for the price first, and orders by that quote when the card may have changed (R23)."""

from __future__ import annotations

from typing import ClassVar

from chaos.actor import Actor
from chaos.cards import CardKeeper
from chaos.checks import Checks
from chaos.load import ACCEPTED, REFUSED_FOR_GOOD, Load

_ACCOUNT = "quoter"
_CHANGE_SECONDS = 30.0
_OTHER_SHARE = 0.2
_AT_ONCE_EACH = 4  # one in so many orders does not wait for another card


class Quoter(Actor):
    """A quote is honoured or refused: never is there another price."""

    name: ClassVar[str] = "quotes"

    def __init__(self, load: Load, checks: Checks, seed: int, cards: CardKeeper) -> None:
        super().__init__(load, checks, seed)
        self._cards = cards

    async def open(self) -> None:
        """An account that can pay."""
        await self.load.join(_ACCOUNT, "large")
        await self.load.grant(_ACCOUNT, 3000, "to be spent by quotes")

    async def act(self) -> None:
        """Ask, mostly wait until the card is another, order; sometimes order something else by it."""
        model = self.dice.choice(["sketch", "portrait"])
        order = self.order(_ACCOUNT, model=model, outputs=self.dice.randint(1, 4))
        asked = await self.load.call("POST", "/v1/quotes", self.load.keys[_ACCOUNT], order.body)
        if asked.status not in ACCEPTED:
            self.checks.problems.append(f"a quote was answered {asked.status}: {asked.body}")
            return
        quote = asked.body
        if self.rounds % _AT_ONCE_EACH != _AT_ONCE_EACH - 1:
            await self._cards.wait_for_another(_CHANGE_SECONDS)
        order.body["quote"] = quote["quote"]
        if self.dice.random() < _OTHER_SHARE:
            await self._other_request(order.body | {"outputs": order.body["outputs"] % 4 + 1})
        answer = await self.load.submit(order)
        if answer.status in REFUSED_FOR_GOOD:
            self.checks.seen["quotes refused"] += 1
        if answer.status not in ACCEPTED:
            return
        self.load.quoted.add(answer.body["id"])
        price = answer.body["price"]
        self.checks.that(
            (price["credits"], price["rate_card"]) == (quote["credits"], quote["rate_card"]),
            "quotes honoured at their price",
            f"{answer.body['id']} was quoted {quote['credits']} by {quote['rate_card']} and costs {price}",
        )
        if quote["rate_card"] != self._cards.history[-1].version:
            self.checks.seen["quotes honoured after the card changed"] += 1

    async def _other_request(self, body: dict[str, object]) -> None:
        key = f"other-{self.rounds}"
        answer = await self.load.call("POST", "/v1/generations", self.load.keys[_ACCOUNT], body, key)
        refused = answer.status == 422 and answer.body["error"]["code"] == "quote_mismatch"  # noqa: PLR2004
        self.checks.that(refused, "quotes refused for another request", f"it was answered {answer.status}")
