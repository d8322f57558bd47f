"""The providers of this process, by their names on the rate card, and the requests they are sent.

Rate card changes apply while the worker runs: a provider whose table changes is created again at its next use. The
previous one is closed with the process, because calls to it may still be in progress.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from gateway.domain import GenerationRequest, Input
from gateway.errors import ProviderNotHere
from gateway.ledger.outcomes import Generation
from gateway.outputs import OutputStore, attempt_of, content_type_of
from gateway.outputs.ordered import DURATION_MARGIN, OutputChecks, OutputRequirements, ResolutionCheck
from gateway.outside.addresses import AddressGuard
from gateway.pricing.arguments import arguments_of, name_of
from gateway.pricing.card import Model, RateCard
from gateway.pricing.providers import (
    INPUT_AUDIOS,
    INPUT_IMAGES,
    INPUT_NAMES,
    INPUT_VIDEOS,
    OUTPUTS,
    PROMPT,
    SANDBOX,
    Offer,
    ProviderTable,
)
from gateway.pricing.reload import RateCards
from gateway.remote.callback_addresses import CallbackAddresses
from gateway.settings import environment_secret
from workers.providers import (
    ArgumentNames,
    Connection,
    Provider,
    ProviderInput,
    ProviderRequest,
    make_provider,
)

_SANDBOX_TABLE = ProviderTable(kind=SANDBOX)


class ProviderRegistry:
    """Creates providers and translates generations into provider requests."""

    def __init__(
        self,
        cards: RateCards,
        outputs: OutputStore,
        callbacks: CallbackAddresses,
        input_guard: AddressGuard | None = None,
    ) -> None:
        """`callbacks` makes the callback URLs for providers, if this deployment has a public URL.

        `input_guard` restricts the addresses that inputs are fetched from; None: public addresses only.
        """
        self._input_guard = input_guard or AddressGuard()
        self._cards = cards
        self._outputs = outputs
        self._callbacks = callbacks
        self._made: dict[str, tuple[ProviderTable, Provider]] = {}
        self._retired: list[Provider] = []
        self._given: dict[str, Provider] = {}
        self._seen: set[str] = set()

    @property
    def card(self) -> RateCard:
        """The current rate card."""
        return self._cards.card

    @property
    def card_problem(self) -> str | None:
        """Why it is not the card in force; None if it is."""
        return self._cards.problem

    def give(self, name: str, provider: Provider) -> None:
        """Use this provider for a name, whatever the rate card says."""
        self._given[name] = provider

    def table(self, name: str) -> ProviderTable:
        """A provider's table on the rate card; ProviderNotHere if there is none."""
        table = self.card.providers.get(name)
        if table is None and name == SANDBOX:
            return _SANDBOX_TABLE
        if table is None:
            raise ProviderNotHere(f"the rate card of this worker has no provider {name!r}")
        return table

    def missing(self, name: str) -> str | None:
        """What this worker is missing to call a provider; None if nothing."""
        if name in self._given:
            return None
        try:
            self._key(name, self.table(name))
        except ProviderNotHere as error:
            return error.detail
        return None

    @property
    def callable_providers(self) -> list[str]:
        """The providers of the rate card that this worker can call; the sandbox always included."""
        names = {SANDBOX, *self.card.providers, *self._given}
        return sorted(name for name in names if self.missing(name) is None)

    @property
    def any_missing(self) -> bool:
        """Whether a job may need a provider that this worker cannot call: on its card, or seen on a generation."""
        return any(self.missing(name) is not None for name in (*self.card.providers, *self._seen))

    def remember(self, name: str) -> None:
        """Remember the provider of a generation, which this worker's rate card may not have."""
        self._seen.add(name)

    def provider(self, name: str) -> Provider:
        """The provider of this name, created at first use and kept."""
        if name in self._given:
            return self._given[name]
        table = self.table(name)
        made = self._made.get(name)
        if made is not None and made[0] == table:
            return made[1]
        if made is not None:
            self._retired.append(made[1])
        connection = Connection(
            name=name,
            base_url=table.base_url,
            key=self._key(name, table),
            timeout_seconds=table.timeout_ms / 1000,
            folder=Path(self.card.path).parent,
            input_guard=self._input_guard,
        )
        provider = make_provider(table.kind, connection)
        self._made[name] = table, provider
        return provider

    async def request(self, generation: Generation, attempt: int, delivered: Collection[int]) -> ProviderRequest:
        """The request for the provider. `delivered` are the outputs that exist already.

        Stored inputs are included as bytes unless the provider has the job already: then they are not needed again.
        """
        asked = generation.request
        model = self.card.models.get(asked.model)
        offer = None if model is None else model.offers.get(asked.provider)
        inputs = asked.inputs if generation.provider_ref is None else ()
        return ProviderRequest(
            generation=generation.id,
            tool=asked.tool,
            model=asked.model,
            provider_model=asked.provider_model or asked.model,
            prompt=asked.prompt,
            indices=tuple(index for index in range(asked.outputs) if index not in delivered),
            job_indices=_of_the_job(generation),
            attempt=attempt,
            settings=asked.settings,
            arguments=arguments_of(offer, asked.settings),
            names=ArgumentNames() if model is None or offer is None else _names(model, offer),
            inputs=await self._inputs(inputs),
            idempotency_key=f"{generation.id}:{generation.submission}",
            callback_url=await self._callback_url(asked, generation.id),
            sandbox=asked.sandbox,
            output=asked.output,
        )

    def asked_of(self, request: GenerationRequest, provider: str) -> GenerationRequest:
        """The same request to another of its model's providers."""
        model = self.card.models.get(request.model)
        offer = None if model is None else model.offers.get(provider)
        if provider == request.provider or offer is None:
            return replace(request, provider=provider)
        return replace(request, provider=provider, provider_model=offer.provider_model)

    def ordered(self, request: GenerationRequest) -> OutputRequirements:
        """What an output of this request must be; how strictly it is checked is set by its model, else its tool."""
        levels = (self.card.models.get(request.model), self.card.tools.get(request.tool))
        given = [level.check for level in levels if level is not None]
        duration = next((check.duration for check in given if check.duration is not None), DURATION_MARGIN)
        off: ResolutionCheck = "off"
        resolution = next((check.resolution for check in given if check.resolution is not None), off)
        checks = OutputChecks(duration, resolution)
        return OutputRequirements(request.tool, request.settings, checks, request.output)

    async def close(self) -> None:
        """Close all providers."""
        made = [provider for _, provider in self._made.values()]
        for provider in (*made, *self._retired, *self._given.values()):
            await provider.close()

    async def _callback_url(self, asked: GenerationRequest, generation: str) -> str | None:
        if asked.provider in self._given or not self.table(asked.provider).calls_back:
            return None
        return await self._callbacks.url(asked.provider, generation)

    async def _inputs(self, inputs: Sequence[Input]) -> tuple[ProviderInput, ...]:
        return tuple(await asyncio.gather(*map(self._input, inputs)))

    async def _input(self, given: Input) -> ProviderInput:
        if given.url.startswith("https:"):
            return ProviderInput(kind=given.kind, url=given.url)
        data = await self._outputs.get(given.url)
        return ProviderInput(kind=given.kind, content_type=content_type_of(given.url), data=data)

    @staticmethod
    def _key(name: str, table: ProviderTable) -> str | None:
        if table.key_env is None:
            return None
        key = environment_secret(table.key_env)
        if key is None:
            raise ProviderNotHere(f"the provider {name!r} needs its API key in {table.key_env}, which is not set here")
        return key


def _of_the_job(generation: Generation) -> tuple[int, ...]:
    """The outputs that the provider's job, or the next one, has to make: all that no earlier job delivered."""
    earlier = {
        output.index
        for output in generation.outputs
        if generation.provider_ref is None or attempt_of(output.object_key) < generation.ref_attempt
    }
    return tuple(index for index in range(generation.request.outputs) if index not in earlier)


def _names(model: Model, offer: Offer) -> ArgumentNames:
    names: Mapping[str, str | None] = {each: name_of(offer, each) for each in (PROMPT, OUTPUTS, *INPUT_NAMES)}
    return ArgumentNames(
        prompt=names[PROMPT] or PROMPT,
        outputs=names[OUTPUTS],
        input_images=names[INPUT_IMAGES],
        input_videos=names[INPUT_VIDEOS],
        input_audios=names[INPUT_AUDIOS],
        one_image=model.inputs.image == 1,
        one_video=model.inputs.video == 1,
        one_audio=model.inputs.audio == 1,
    )
