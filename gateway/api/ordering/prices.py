"""What an account pays for a request: by the prices of its time, the discounts of its plan, and its own factors.

What the account has is known from its key, as of ten minutes ago at most, or from itself. `reserve` compares
what the price was made for with the account, and says what it has by now; that is remembered for as long.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

from cachetools import TTLCache

from gateway.api.access.auth import CACHE_ENTRIES_MAX, CACHE_SECONDS, AccountCaller, Caller
from gateway.api.errors import InvalidRequest
from gateway.api.ordering.inputs import measured
from gateway.api.ordering.refusals import check_bounds, refusal_of_request
from gateway.clock import now_ms
from gateway.errors import FieldProblem, RequestRefused
from gateway.ledger.key_records import UNBOUND
from gateway.ledger.price_basis import PriceBasis
from gateway.outputs import UploadAddresses
from gateway.pricing.card import RateCard
from gateway.pricing.discounts import PricedFor, discounts_of
from gateway.pricing.kept_quotes import KeptQuotes
from gateway.pricing.measures import PROMPT_CHARACTERS
from gateway.pricing.quote import Quote
from gateway.pricing.reload import RateCards
from gateway.schemas.generations import GenerationIn


class Prices:
    """Prices requests by the current rate card."""

    def __init__(self, rate_cards: RateCards, uploads: UploadAddresses) -> None:
        self._rate_cards = rate_cards
        self._uploads = uploads
        self._quotes = KeptQuotes(rate_cards.loaded)
        self._corrected: TTLCache[tuple[str, PricedFor], PricedFor] = TTLCache(CACHE_ENTRIES_MAX, CACHE_SECONDS)

    def priced_for(self, caller: AccountCaller) -> PricedFor:
        """What the caller's prices depend on, as far as is known here."""
        if not self._corrected:
            return caller.priced_for
        return self._corrected.get((caller.account, caller.priced_for), caller.priced_for)

    def correct(self, caller: AccountCaller, found: PricedFor) -> None:
        """Remember what `reserve` found, until the key is looked up again."""
        if found != caller.priced_for:
            self._corrected[caller.account, caller.priced_for] = found

    def forget(self, caller: Caller) -> bool:
        """Forget what `reserve` found, as it may have changed since; False if there was nothing."""
        return self._corrected.pop((caller.account or "", caller.priced_for), None) is not None

    def price(
        self, caller: AccountCaller, body: GenerationIn, account: PricedFor, at: int | None = None, before: int = 0
    ) -> tuple[RateCard, Quote]:
        """The price of a request, and the card it is made from; UnknownModel or SettingsRefused if there is none.

        `at`: the account's time (ms), now by default. `before`: how many outputs of a model with graduated prices it
        has ordered this month. KeyRestricted if the caller's key may not be used for it: nothing
        is quoted or ordered without a price (R27).
        """
        if caller.bounds is not UNBOUND:
            check_bounds(caller.bounds, body.tool, body.model)
        loaded = self._rate_cards.loaded
        if loaded is not self._quotes.card:
            self._quotes = KeptQuotes(loaded)
        card = loaded
        if loaded.price_changes:
            card = loaded.at(now_ms() + account.clock_offset_ms if at is None else at)
        try:
            quote = self._quotes.quote(
                since_ms=card.since_ms,
                tool=body.tool,
                model=body.model,
                # True == 1 in Python, but a setting accepts only one of them: the cache's key includes the type.
                settings=tuple((name, type(value), value) for name, value in body.settings.items()),
                outputs=body.outputs,
                input_images=sum(given.kind == "image" for given in body.inputs),
                input_videos=sum(given.kind == "video" for given in body.inputs),
                input_audios=sum(given.kind == "audio" for given in body.inputs),
                measured=self._measured(caller, body, card),
                discounts=(
                    discounts_of(card, account, tool=body.tool, model=body.model)
                    if account.factors or card.has_discounts
                    else ()
                ),
                before=before,
            )
        except RequestRefused as refused:
            raise refusal_of_request(refused) from None
        return card, quote

    def _measured(self, caller: AccountCaller, body: GenerationIn, card: RateCard) -> tuple[tuple[str, Decimal], ...]:
        measures = measured(body.inputs, self._uploads, caller.account) if body.inputs else {}
        model = card.models.get(body.model)
        if body.prompt and model is not None and model.prompt == "none":
            raise wrong_prompt(f"is not accepted by {model.name}: leave it out")
        if body.prompt and model is not None and PROMPT_CHARACTERS in model.priced_by:  # a quote may leave it out
            measures[PROMPT_CHARACTERS] = Decimal(len(body.prompt))
        return tuple(measures.items())


def basis_of(card: RateCard, account: PricedFor) -> PriceBasis:
    """What a price by this card was made for, as `reserve` compares it."""
    return PriceBasis(account.plan if card.has_discounts else "", account.factors, card.since_ms, card.until_ms)


def price_with_plan(card: RateCard, account: PricedFor, quote: Quote) -> Callable[[str], int]:
    """The price of a quote if the account had another plan."""

    def price_with(plan: str) -> int:
        found = discounts_of(card, account._replace(plan=plan), tool=quote.tool, model=quote.model_id)
        return quote.price_with(found)

    return price_with


def wrong_prompt(text: str) -> InvalidRequest:
    """The error for a prompt that a model requires or does not take."""
    return InvalidRequest(f"`prompt` {text}.", fields=[FieldProblem("prompt", text)])
