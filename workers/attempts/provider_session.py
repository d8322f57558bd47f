"""One attempt's session with its provider: submit or resume a job, collect results, store and deliver each output."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import replace
from enum import Enum, auto

from gateway import tracing
from gateway.domain import Output
from gateway.errors import (
    ObjectNotStored,
    OutputUnusable,
    ProviderBusy,
    ProviderError,
    ProviderFailed,
    ProviderNotHere,
    ProviderNotSetUp,
    ProviderUnreachable,
    StoreUnavailable,
)
from gateway.ledger.outcomes import Noted, Stale
from gateway.outputs import output_key
from gateway.tasks import cancel
from workers.attempts.costs import JobCosts
from workers.attempts.lease import Lease
from workers.attempts.reports import reports_of
from workers.attempts.state import AttemptState
from workers.attempts.storing import StoreGaveUp
from workers.providers import Pending, ProgressReport, Provider, ProviderRequest, Rendered

_UNREACHABLE_PAUSES_SECONDS = (1, 2, 5, 10, 30)
_LAST_POLL_SECONDS = 15.0  # including the download of finished outputs; less than a lease
_SUBMIT_SECONDS = 3.0  # for the response to a submit when the attempt must end; less than the time for handing back


class SessionResult(Enum):
    """All results have arrived; or the provider needs longer, and the job is parked."""

    DONE = auto()
    LEFT = auto()


class LeaseLost(Exception):
    """The ledger says that this attempt is stale: drop everything, change nothing."""


class ProviderSession:
    """One attempt's conversation with its provider."""

    def __init__(self, state: AttemptState, lease: Lease) -> None:
        self._state = state
        self._lease = lease
        self._submitted = state.ref is not None
        self._submitting: asyncio.Task[None] | None = None

    async def run(self) -> SessionResult:
        """Get the missing outputs from the provider. Unknown is not failed: an unreachable provider is retried (R17).

        There is no limit here: the ledger ends the generation at `give_up_at`, and `renew` says so. A provider that
        has certainly not taken the job is left, if that leads anywhere (R30).
        """
        state = self._state
        unreachable = store_failures = 0
        while True:
            try:
                return await self._submit_and_collect()
            except ProviderUnreachable as error:
                if isinstance(error, ProviderNotHere) or (isinstance(error, ProviderNotSetUp) and state.ref is None):
                    raise
                if state.leaves(error):
                    raise
                state.slot.note("busy" if isinstance(error, ProviderBusy) else "unreachable", error.detail)
                if state.ref is not None and state.parking.may_leave(away=True):
                    state.log.warning("provider_unreachable", detail=error.detail, job="left until the next poll")
                    return SessionResult.LEFT
                pause = _pause_seconds(error, unreachable)
                state.log.warning("provider_unreachable", detail=error.detail, again_in_seconds=pause)
                unreachable += 1
                await asyncio.sleep(pause)
            except (StoreUnavailable, ObjectNotStored) as error:
                # An input cannot be read, or a dropped output must be fetched again.
                await state.context.storing.wait(error, state.generation, store_failures)
                store_failures += 1

    async def wait_for_submit(self) -> None:
        """Wait for a submit in progress and note its ref: the provider may have accepted the job even if we hang up.

        Otherwise the job would be unknown: the next attempt would pay for another one, and nothing would stop it.
        """
        if self._submitting is not None:
            await asyncio.wait({self._submitting}, timeout=min(_SUBMIT_SECONDS, self._state.lease_seconds / 2))

    @property
    def submits(self) -> tuple[asyncio.Task[None], ...]:
        """The submitting task, if any: it is cancelled with the session."""
        return () if self._submitting is None else (self._submitting,)

    async def take_finished(self, hand_back: asyncio.Event) -> None:
        """Poll once more before a cancel ends it (R18): finished outputs are paid for and must not be discarded.

        A worker that must stop has less time than a poll may take, and must still settle the cancel.
        """
        state = self._state
        if state.ref is None:
            return
        polling = asyncio.create_task(self._poll_once())
        handing_back = asyncio.create_task(hand_back.wait())
        try:
            seconds = min(_LAST_POLL_SECONDS, state.lease_seconds / 2)
            await asyncio.wait({polling, handing_back}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await cancel(polling, handing_back)  # exceptions they raise are discarded

    async def _poll_once(self) -> None:
        provider, request = await self._prepare()
        await self._collect(provider, replace(request, last_poll=True))

    async def _submit_and_collect(self) -> SessionResult:
        provider, request = await self._prepare()
        doubted, self._state.in_doubt = self._state.in_doubt, True
        try:
            if not self._submitted:
                # A separate task that is not cancelled with this one: see `wait_for_submit`.
                self._submitting = asyncio.create_task(self._submit(provider, request))
                await asyncio.wait({self._submitting})
                self._submitting.result()
            return await self._collect(provider, request)
        except ProviderError as error:
            # Once an answer was lost, a later refusal says nothing about the first submit.
            self._state.in_doubt = doubted or not error.refused
            raise

    async def _prepare(self) -> tuple[Provider, ProviderRequest]:
        """The provider and the request, which is built once."""
        state = self._state
        provider = state.context.providers.provider(state.generation.request.provider)
        if state.request is None:
            state.request = await state.context.providers.request(state.generation, state.number, state.delivered)
        state.parking.meet(provider, state.request)
        return provider, state.request

    async def _submit(self, provider: Provider, request: ProviderRequest) -> None:
        """Submit, and note the ref before anything else, so that no later attempt pays for a second job."""
        state = self._state
        with tracing.span("submit", {"farebox.provider": state.generation.request.provider}, calls_out=True):
            ref = await provider.submit(request)
        self._submitted = True
        state.ref = ref
        if ref is None:
            return
        state.parking.submitted()
        noted = await state.context.retry_until_answered(
            "note", lambda: state.ledger.note(generation=state.generation.id, attempt=state.number, ref=ref)
        )
        _check_lease("note", noted)

    async def _collect(self, provider: Provider, request: ProviderRequest) -> SessionResult:
        """Process results as they arrive. Outputs delivered before an interruption are not requested or paid again.

        An unusable output does not prevent the others from being delivered.
        """
        state = self._state
        missing = tuple(index for index in request.indices if index not in state.delivered)
        if not missing:
            return SessionResult.DONE
        unusable: OutputUnusable | None = None
        costs = state.costs(request)
        async with aclosing(provider.results(state.ref, replace(request, indices=missing))) as results:
            async for result in tracing.each_in_a_span("look", results):
                match result:
                    case Pending(fraction):
                        state.parking.at_work(fraction)
                        if fraction is not None:
                            self._note_progress(fraction)
                        if request.last_poll or (state.ref is not None and state.parking.may_leave()):
                            return SessionResult.LEFT
                    case ProgressReport(fraction):
                        self._note_progress(fraction)
                        if request.last_poll:
                            return SessionResult.LEFT
                    case _ if result.index not in state.delivered:
                        state.parking.found()
                        try:
                            await self._deliver(result, costs)
                        except OutputUnusable as error:
                            unusable = error
        if unusable is not None:
            raise unusable
        if not state.delivered:
            raise ProviderFailed("it finished without an output")
        return SessionResult.DONE

    async def _deliver(self, rendered: Rendered, costs: JobCosts) -> None:
        """Store an output, then record it: an output that cannot be downloaded must never be charged (R9)."""
        state = self._state
        try:
            output = await self._store(rendered, costs)
        except (ProviderError, StoreGaveUp):  # it was made, and nobody gets it
            state.lost[rendered.index] = costs.of(rendered, None)
            raise
        delivered = await state.context.retry_until_answered(
            "deliver", lambda: state.ledger.deliver(generation=state.generation.id, attempt=state.number, output=output)
        )
        if isinstance(delivered, Stale) and output.cost is not None:
            state.lost[rendered.index] = output.cost
        _check_lease("deliver", delivered)
        state.delivered.add(rendered.index)
        state.notify()

    async def _store(self, rendered: Rendered, costs: JobCosts) -> Output:
        """Put an output into the object store. Its key contains the attempt: a stale worker overwrites nothing."""
        state = self._state
        generation, context = state.generation, state.context
        ordered = context.providers.ordered(generation.request)
        media, sha256 = await context.checks.check(rendered, ordered, generation.account)
        key = output_key(generation.id, state.number, rendered.index, media.content_type)
        with tracing.span("store", {"farebox.bytes": len(rendered.data)}):
            await context.storing.put(key, rendered.data, generation, droppable=state.ref is not None)
        return Output(
            index=rendered.index,
            object_key=key,
            content_type=media.content_type,
            bytes=len(rendered.data),
            width=media.width,
            height=media.height,
            sha256=sha256,
            duration_seconds=media.duration_seconds,
            reports=reports_of(generation.request, rendered.reported, media, generation.id),
            characters=media.characters,
            cost=costs.of(rendered, media),
        )

    def _note_progress(self, fraction: float) -> None:
        """Remember the progress over all outputs, including earlier attempts; it never decreases."""
        state = self._state
        outputs = state.generation.request.outputs
        earlier = len(state.generation.outputs)
        thousandths = int(1000 * (earlier + fraction * (outputs - earlier)) / outputs)
        if thousandths > state.progress_thousandths:
            state.progress_thousandths = thousandths
            self._lease.renew_soon()


def _check_lease(transition: str, outcome: Noted | Stale) -> None:
    if isinstance(outcome, Stale):
        raise LeaseLost(transition)


def _pause_seconds(error: ProviderUnreachable, failures: int) -> float:
    pause: float = _UNREACHABLE_PAUSES_SECONDS[min(failures, len(_UNREACHABLE_PAUSES_SECONDS) - 1)]
    if isinstance(error, ProviderBusy) and error.retry_after_seconds is not None:
        pause = max(pause, error.retry_after_seconds)
    return pause
