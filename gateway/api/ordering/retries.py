"""Retries of failed generations by operators (R36): a new generation that points back, at the price as ordered then.

The customer agreed to that price and got nothing; they did not order again at today's. Its id derives from the failed
one's, so each is retried once, whoever asks and however often.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from gateway.api.errors import InvalidRequest
from gateway.api.ordering.inputs import GivenInput, stored, stored_keys
from gateway.domain import GenerationRequest, Input, State, Volume, generation_id, partition_of_generation
from gateway.errors import OutputNotStored, StoreUnavailable
from gateway.ledger import limits, outcomes, pause_records
from gateway.ledger.bulk import Result
from gateway.ledger.ledger import Ledger
from gateway.ledger.life import Reservation
from gateway.ledger.policy_of_card import terms_of
from gateway.outputs import OutputStore
from gateway.pricing.card import Model
from gateway.pricing.reload import RateCards
from gateway.queue.workforce import Workforce

_REFUSED: Mapping[type[Any], str] = {
    outcomes.NotFound: "not_found",
    outcomes.Replayed: "already_retried",
    outcomes.SubscriptionRequired: "subscription_required",
    outcomes.PlanLimit: "plan_limit",
    outcomes.InsufficientCredits: "insufficient_credits",
    outcomes.WaitingRoomFull: "waiting_room_full",
    limits.LimitReached: "limit_reached",
    pause_records.Paused: "paused",
}
"""Why one was not retried: the code that its customer would get."""


def retry_id(generation: str) -> str:
    """The id of the generation that retries another."""
    return generation_id(partition_of_generation(generation), f"retry\n{generation}")


@dataclass(frozen=True, slots=True)
class Retries:
    """Retries failed generations by the current rate card's models."""

    ledger: Ledger
    outputs: OutputStore
    rate_cards: RateCards
    workforce: Workforce

    async def retry(self, generation: str, operation: str) -> Result:
        """Reserve it again: `retried` and the credits held, or why not."""
        original = await self.ledger.generation(generation=generation)
        if not isinstance(original, outcomes.Generation):
            return Result("not_found", 0)
        model = self.rate_cards.card.models.get(original.request.model)
        if model is None:
            return Result("unknown_model", 0)
        if why := await self._why_not(original, model):
            return Result(why, 0)
        try:
            inputs = await self._copied(original.request, retry_id(generation))
        except (InvalidRequest, OutputNotStored) as error:
            return Result("inputs_gone" if isinstance(error, InvalidRequest) else "store_unavailable", 0)
        # The price does not depend on who makes it, and that may be another provider today.
        again = replace(
            original.request,
            provider=model.provider,
            provider_model=model.offers[model.provider].provider_model,
            providers=model.several_providers,
            inputs=inputs,
        )
        outcome = await self._reserve(original, again, model, operation)
        made = outcome.generation if isinstance(outcome, outcomes.Reserved | outcomes.Replayed) else None
        await self._drop(inputs, kept=() if made is None else made.request.inputs)
        if isinstance(outcome, outcomes.Reserved):
            return Result("retried", outcome.generation.price_millicredits)
        return Result(_REFUSED.get(type(outcome), "refused"), 0)

    async def _why_not(self, original: outcomes.Generation, model: Model) -> str | None:
        if not await self.ledger.which_exist([original.id]):
            # Only the archive has it, and maybe its retry: `reserve`, which knows that by its id, would make it again.
            made = await self.ledger.generation(generation=retry_id(original.id))
            return "already_retried" if isinstance(made, outcomes.Generation) else "archived"
        if original.state is not State.FAILED:
            return "not_failed"
        # Earlier versions erased without a mark, but then every order had a prompt.
        if original.request.erased or (model.prompt == "required" and not original.request.prompt):
            return "erased"
        if model.tool != original.request.tool:
            return "unknown_model"
        return None if self.workforce.takes(model.tool, model.offers) else "no_worker"

    async def _reserve(
        self, original: outcomes.Generation, again: GenerationRequest, model: Model, operation: str
    ) -> Reservation:
        return await self.ledger.reserve(
            account=original.account,
            generation=retry_id(original.id),
            operation=operation,
            request=again,
            terms=terms_of(self.rate_cards.card, again.tool),
            pro=model.pro,
            keys_version=None,
            key=original.key,
            member=original.member,
            webhook=original.webhook,
            retry_of=original.id,
            volume=Volume(0, None) if model.graduated else None,  # it costs what the original did
        )

    async def _copied(self, request: GenerationRequest, made: str) -> tuple[Input, ...]:
        """Its inputs; those in the object store are copied, because they are deleted with its record.

        Each try has copies of its own: one that is refused must not delete those of another at the same time.
        """
        given = (GivenInput(one.kind, one.url, upload=_object_key(one)) for one in request.inputs)
        return await stored(self.outputs, made, list(given))

    async def _drop(self, inputs: tuple[Input, ...], *, kept: tuple[Input, ...]) -> None:
        """Delete this try's copies, unless the retry has these. What stays is deleted with the retry's own files."""
        if unused := set(stored_keys(inputs)) - set(stored_keys(kept)):
            with contextlib.suppress(StoreUnavailable):
                await self.outputs.delete(unused)


def _object_key(given: Input) -> str | None:
    return None if given.url.startswith("https:") else given.url
