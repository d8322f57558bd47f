"""Ordering a generation: price it, store its inputs, reserve it. Takes callers and bodies; independent of HTTP.

Every way to order goes through `Ordering.order`: the gateway's own `POST /v1/generations`, and the facades for other
clients. A refusal is raised as an ApiError; KeysStale means that the caller must be authenticated again.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from time import time
from typing import NamedTuple

from gateway import tracing
from gateway.api.access.auth import OWN_ACCOUNT, AccountCaller, found
from gateway.api.errors import ApiError, InvalidRequest, NoWorker, PriceAboveCeiling
from gateway.api.http.receiver_urls import check_url
from gateway.api.ordering.inputs import GivenInput, given_inputs, measured, stored, stored_keys
from gateway.api.ordering.prices import Prices, basis_of, price_with_plan, wrong_prompt
from gateway.api.ordering.quote_tokens import LockedPrice, QuoteTokens
from gateway.api.ordering.refusals import refusal_of_reserve, reused
from gateway.api.ordering.ways_out import PriceWith
from gateway.domain import (
    GenerationRequest,
    Input,
    OwnWebhook,
    Volume,
    credits_to_millicredits,
    format_credits,
    generation_id,
    millicredits_to_credits,
    partition_of_account,
)
from gateway.errors import FieldProblem, OutputNotStored
from gateway.ledger import outcomes
from gateway.ledger.ledger import Ledger
from gateway.ledger.life import Reservation
from gateway.ledger.policy_of_card import terms_of
from gateway.ledger.price_basis import PriceBasis, PricedOtherwise
from gateway.ledger.volumes import ordered_this_month
from gateway.outputs import OutputStore, UploadAddresses
from gateway.outside.addresses import AddressGuard
from gateway.pricing.card import Model, RateCard
from gateway.pricing.discounts import PricedFor
from gateway.pricing.quote import Quote
from gateway.pricing.reload import RateCards
from gateway.queue.workforce import Workforce
from gateway.schemas.errors import PriceAboveCeilingDetails
from gateway.schemas.generations import GenerationIn
from gateway.tasks import Tasks

SANDBOX_PROVIDER = "sandbox"
_DAY_SECONDS = 86_400
_PRICED_AGAIN_MAX = 3  # a plan may change while it is priced, but not three times unless something loops
_ORDERED_MEANWHILE_MAX = 100  # each time another order of the account was taken; there are not so many at once


@dataclass(frozen=True, slots=True)
class IdempotencyDigests:
    """The digests of the caller's idempotency key and of the request that came with it (R11)."""

    key: str
    request: str


@dataclass(frozen=True, slots=True)
class Ordered:
    """The created generation; with `replay`, created earlier by the same request; `waits`: nothing starts it yet."""

    generation: outcomes.Generation
    replay: bool = False
    waits: bool = False


@dataclass(frozen=True, slots=True)
class _Priced:
    """A request that can be accepted: with its firm price, its inputs not stored yet.

    `card`: the one it is priced from, as another may be loaded while inputs are stored. `basis`: what the price was
    made for; None if a quote locks it.
    """

    request: GenerationRequest
    card: RateCard
    quote: Quote
    basis: PriceBasis | None
    inputs: tuple[GivenInput, ...]
    webhook: OwnWebhook | None
    volume: Volume | None = None


class _Standing(NamedTuple):
    """What an account's price depends on, as far as is known.

    `at`: its time (ms), None: now. `before`: how many outputs of a model with graduated prices it ordered this month.
    """

    priced_for: PricedFor
    at: int | None = None
    before: int = 0


class Ordering:
    """Prices requests and orders generations, by the current rate card."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        outputs: OutputStore,
        rate_cards: RateCards,
        quote_tokens: QuoteTokens,
        uploads: UploadAddresses,
        tasks: Tasks,
        input_guard: AddressGuard,
        webhook_guard: AddressGuard,
        in_test_mode: bool,
        workforce: Workforce,
    ) -> None:
        self._ledger = ledger
        self._outputs = outputs
        self.prices = Prices(rate_cards, uploads)
        self._rate_cards = rate_cards
        self._quote_tokens = quote_tokens
        self._uploads = uploads
        self._tasks = tasks
        self._input_guard = input_guard
        self._webhook_guard = webhook_guard
        self._in_test_mode = in_test_mode
        self._workforce = workforce

    def check_inputs(self, account: str, body: GenerationIn) -> None:
        """Reject inputs that an order would be rejected for; the bytes of `data:` URLs are not inspected."""
        given_inputs(body.inputs, self._uploads, self._input_guard, account, files=False)

    async def order(
        self,
        caller: AccountCaller,
        body: GenerationIn,
        digests: IdempotencyDigests | None,
        webhook: OwnWebhook | None = None,
    ) -> Ordered:
        """Price, reserve and queue. Before a refusal, check whether the same request was accepted earlier (R11).

        `webhook`: a facade client's webhook, instead of the body's `webhook_url`.
        """
        account, standing = caller.account, _Standing(self.prices.priced_for(caller))
        model = self._rate_cards.loaded.models.get(body.model)
        try:
            if model is not None and model.graduated:
                standing = standing._replace(before=await self._ordered(account, body.model))
            priced = self._priced(caller, body, webhook, standing)
            # Two requests in flight with one idempotency key use the same id, so only one can be created (R11). The day
            # is in it because a key is remembered for as long: later it is a new request, which needs an id of its own.
            # Any clock will do: over midnight `reserve` knows the key.
            seed = None if digests is None else f"{account}\n{digests.key}\n{digests.request}\n{time() // _DAY_SECONDS}"
            generation = generation_id(partition_of_account(account, self._ledger.partitions), seed)
            if priced.inputs:
                inputs = await stored(self._outputs, generation, priced.inputs)
                priced = replace(priced, request=replace(priced.request, inputs=inputs))
        except (ApiError, OutputNotStored) as refusal:
            return await self._replay_or(refusal, caller, digests)
        outcome = await self._reserve(caller, generation, priced, digests)
        tries = {PricedOtherwise: _PRICED_AGAIN_MAX, outcomes.VolumeMoved: _ORDERED_MEANWHILE_MAX}
        while isinstance(outcome, PricedOtherwise | outcomes.VolumeMoved) and tries[type(outcome)]:
            tries[type(outcome)] -= 1
            if isinstance(outcome, PricedOtherwise):
                standing = standing._replace(priced_for=outcome.priced_for, at=outcome.at)
                self.prices.correct(caller, outcome.priced_for)
            else:
                standing = standing._replace(before=outcome.ordered)
            try:
                priced = self._priced_again(caller, body, priced, standing)
            except ApiError as refusal:  # an equal request in flight may have been faster
                return await self._replay_or(refusal, caller, digests)
            outcome = await self._reserve(caller, generation, priced, digests)
        match outcome:
            case outcomes.Reserved():
                return Ordered(outcome.generation, waits=outcome.dispatch is None)
            case outcomes.Replayed():
                self._drop_inputs(priced, kept=outcome.generation.request.inputs)
                return Ordered(outcome.generation, replay=True)
            case _:
                self._drop_inputs(priced)
                raise refusal_of_reserve(outcome, priced.request, priced.card, _price_with(priced, standing.priced_for))

    async def _reserve(
        self, caller: AccountCaller, generation: str, priced: _Priced, digests: IdempotencyDigests | None
    ) -> Reservation:
        return await self._ledger.reserve(
            account=caller.account,
            generation=generation,
            operation=secrets.token_hex(16),
            request=priced.request,
            terms=terms_of(priced.card, priced.request.tool),
            pro=priced.quote.model.pro,
            keys_version=caller.keys_version,
            key=caller.key_id,
            token=caller.token,
            idempotency=None if digests is None else (digests.key, digests.request),
            webhook=priced.webhook,
            priced=priced.basis,
            volume=priced.volume,
        )

    async def _ordered(self, account: str, model: str) -> int:
        """How many outputs of a model with graduated prices the account has ordered this month; it may change."""
        found, zone = await self._ledger.account(account=account), self._rate_cards.loaded.free.timezone
        return ordered_this_month(found, model, zone) if isinstance(found, outcomes.Account) else 0

    def _priced_again(self, caller: AccountCaller, body: GenerationIn, priced: _Priced, standing: _Standing) -> _Priced:
        """The same request, priced for what the account has; its inputs are stored already."""
        try:
            again = self._priced(caller, body, priced.webhook, standing)
        except ApiError:
            self._drop_inputs(priced)
            raise
        return replace(again, request=replace(again.request, inputs=priced.request.inputs))

    def _priced(
        self, caller: AccountCaller, body: GenerationIn, webhook: OwnWebhook | None, standing: _Standing
    ) -> _Priced:
        """The request at its firm price; an ApiError if it cannot be accepted as asked."""
        account, basis = caller.account, None
        card, quote = self.prices.price(caller, body, *standing)
        volume = quote.volume
        if not body.prompt and quote.model.prompt == "required":
            raise wrong_prompt(f"is required by {quote.model.name}")
        price = LockedPrice(quote.price_millicredits, quote.lines, quote.rate_card, quote.metering)
        if body.quote is not None:
            price = self._quote_tokens.open(body.quote, account, quote)
            volume = volume and Volume(0, None)  # it keeps its price, whatever was ordered since
        else:
            basis = basis_of(card, standing.priced_for)
        # Hold no credits for a model without a worker.
        if not self._workforce.takes(body.tool, quote.model.offers):
            raise _no_worker(quote.model)
        if body.max_credits is not None:
            _check_ceiling(body.max_credits, price.millicredits)
        if body.sandbox is not None:
            self._check_sandbox(quote.model)
        asked = GenerationRequest(
            tool=body.tool,
            model=body.model,
            output=card.tools[body.tool].output,
            provider=quote.model.provider,
            provider_model=quote.model.offers[quote.model.provider].provider_model,
            providers=quote.model.several_providers,
            prompt=body.prompt,
            outputs=body.outputs,
            price_millicredits=price.millicredits,
            rate_card=price.rate_card,
            settings=quote.settings,
            lines=price.lines,
            metering=price.metering,
            metadata=body.metadata,
            tags=body.tags,
            trace=tracing.TRACEPARENT.get(),
            sandbox=None if body.sandbox is None else body.sandbox.model_dump(mode="json", exclude_unset=True),
            measures=self._cost_measures(account, quote.model, body) if quote.model.cost_measures else {},
        )
        if webhook is None and body.webhook_url is not None:
            webhook = OwnWebhook(body.webhook_url)
        if webhook is not None:
            check_url(self._webhook_guard, webhook.url, webhook.member)
        given = given_inputs(body.inputs, self._uploads, self._input_guard, account) if body.inputs else ()
        return _Priced(asked, card, quote, basis, given, webhook, volume)

    def _cost_measures(self, account: str, model: Model, body: GenerationIn) -> dict[str, Decimal]:
        """What is known of the inputs now, and a cost depends on: the stored inputs will not tell (R31)."""
        known = measured(body.inputs, self._uploads, account)
        return {name: amount for name, amount in known.items() if name in model.cost_measures}

    def _check_sandbox(self, model: Model) -> None:
        if not self._in_test_mode:
            reason = "is only allowed in test mode (FAREBOX_TEST_MODE=1), which is off on this gateway"
        elif model.provider != SANDBOX_PROVIDER:
            reason = f"is only allowed for models of the sandbox provider; {model.name} is not one"
        else:
            return
        raise InvalidRequest(f"`sandbox` {reason}.", fields=[FieldProblem("sandbox", reason)])

    async def _replay_or(
        self, refusal: ApiError | OutputNotStored, caller: AccountCaller, digests: IdempotencyDigests | None
    ) -> Ordered:
        """The generation that the same request created earlier, for a request about to be refused."""
        if digests is None:
            raise refusal
        outcome = found(
            await self._ledger.replay(
                account=caller.account,
                keys_version=caller.keys_version,
                idempotency=(digests.key, digests.request),
            ),
            OWN_ACCOUNT,
        )
        match outcome:
            case outcomes.Replayed(generation):
                return Ordered(generation, replay=True)
            case outcomes.KeyReused():
                raise reused()
            case None:
                raise refusal

    def _drop_inputs(self, priced: _Priced, kept: Sequence[Input] = ()) -> None:
        """Delete what this request has stored, and nothing else: its object keys are unique.

        `kept` are the inputs of the existing generation, which this very request created if its response was lost.
        """
        keys = set(stored_keys(priced.request.inputs)) - set(stored_keys(kept))
        if keys:
            self._tasks.start(self._outputs.delete(keys), "delete inputs")


def _price_with(priced: _Priced, priced_for: PricedFor) -> PriceWith:
    """The price with another plan; a locked one is the same."""
    if priced.basis is None:
        return lambda _: priced.request.price_millicredits
    return price_with_plan(priced.card, priced_for, priced.quote)


def _no_worker(model: Model) -> NoWorker:
    return NoWorker(
        f"{model.name} is unavailable: no worker for it is running. Nothing was reserved. Retry later, or choose "
        "another model."
    )


def _check_ceiling(max_credits: Decimal, millicredits: int) -> None:
    """Refuse a price above the request's own `max_credits` (R23)."""
    ceiling = credits_to_millicredits(max_credits)
    if millicredits <= ceiling:
        return
    raise PriceAboveCeiling(
        f"The price is {format_credits(millicredits)} credits, above your `max_credits` of {format_credits(ceiling)}. "
        "Raise it, or change the settings or the number of outputs. Nothing was reserved.",
        PriceAboveCeilingDetails(price=millicredits_to_credits(millicredits), max_credits=max_credits),
    )
