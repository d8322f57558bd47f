"""One attempt at a generation: three things run at once, and the first that ends decides how the attempt ends.

```
making         submit or resume → results → check, store, deliver   done: settle; a provider's error: settle so;
                                                                    not done for a while: park
keeping        renew at a third of the lease, with progress         cancel asked: settle; ended; stale: drop everything
handing back   the worker was told to stop                          hand back: the next attempt is another worker's
```
"""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing
from dataclasses import replace
from enum import Enum, auto
from functools import partial

import structlog

from gateway.cancelling import cancel
from gateway.domain import FailureCode, Output, operation_id
from gateway.errors import (
    ObjectNotStored,
    OutputNotStored,
    OutputUnusable,
    ProviderBusy,
    ProviderError,
    ProviderFailed,
    ProviderNotHere,
    ProviderNotSetUp,
    ProviderUnreachable,
    StoreUnavailable,
)
from gateway.ledger.outcomes import Begun, Ended, Noted, Parked, Renewed, Requeued, Stale
from gateway.outputs import output_key
from gateway.queue.slots import SUCCEEDED
from workers.attempts.parking import Parking
from workers.attempts.slot import Slot
from workers.attempts.storing import StoreGaveUp
from workers.context import WorkerContext
from workers.metrics import ATTEMPT_SECONDS
from workers.providers import Pending, Progress, Provider, ProviderRequest, Rendered

_PROGRESS_EVERY_SECONDS = 1.0
_UNREACHABLE_PAUSES_SECONDS = (1, 2, 5, 10, 30)
_LAST_LOOK_SECONDS = 15.0  # with the download of what is finished; less than a lease
_SUBMIT_SECONDS = 3.0  # for the answer to a submit, once the attempt is to end; less than a worker has to hand back

log = structlog.get_logger(__name__)


class Made(Enum):
    """What came of making: all that will come has come, or the provider needs longer and is left to it."""

    DONE = auto()
    LEFT = auto()


class LeaseLost(Exception):
    """The ledger says that this attempt is stale: drop everything, touch nothing."""


class Attempt:
    """An attempt that has the lease."""

    def __init__(self, context: WorkerContext, begun: Begun, hand_back: asyncio.Event) -> None:
        self._context = context
        self._ledger = context.ledger
        self._generation = begun.generation
        self._number = begun.attempt
        self._lease_seconds = begun.lease_ms / 1000
        self._hand_back = hand_back
        self._ref = begun.generation.provider_ref
        self._submitted = self._ref is not None
        self._submitting: asyncio.Task[None] | None = None
        self._delivered = {output.index for output in begun.generation.outputs}
        self._progress_thousandths = begun.generation.progress_thousandths
        self._request: ProviderRequest | None = None
        self._slot = Slot(context, begun.generation)
        self._parking = Parking(context, begun.generation)
        self._woken = asyncio.Event()
        self._told_to_look = False
        self._began_at = time.monotonic()
        self._log = log.bind(generation=self._generation.id, attempt=self._number)

    async def run(self) -> None:
        """Make the outputs, and end the attempt in the way that comes first."""
        self._slot.begin()
        making: asyncio.Task[Made] = asyncio.create_task(self._make(), name=f"make {self._generation.id}")
        keeping = asyncio.create_task(self._keep_lease(), name=f"keep {self._generation.id}")
        handing_back = asyncio.create_task(self._hand_back.wait())
        tasks = (making, keeping, handing_back)
        self._context.attempts[self._generation.id] = self._look_now
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            decided = [task.done() for task in tasks]
            await self._hear_of_submit()
        finally:
            if self._context.attempts.get(self._generation.id) == self._look_now:
                del self._context.attempts[self._generation.id]
            await cancel(*tasks, *([] if self._submitting is None else [self._submitting]))
        if decided[1]:  # before what was made: the ledger may have ended the generation, and who is told must follow up
            ending = await self._end_lease(keeping)
        elif decided[0] and isinstance(making.exception(), ProviderNotHere):
            ending = await self._end_not_here()
        elif decided[0]:
            ending = await self._end_made(making)
        else:
            ending = await self._end_handed_back()
        self._report(ending)

    # --- making -----------------------------------------------------------------------------------------------------

    async def _make(self) -> Made:
        """Have the provider make what is missing. Unknown is not failed: an unreachable one is asked again (R17).

        There is no limit here: the ledger ends the generation at `give_up_at`, and `renew` says so.
        """
        unreachable = away = 0
        while True:
            try:
                provider = self._context.providers.provider(self._generation.request.provider)
                if self._request is None:
                    self._request = await self._context.providers.request(
                        self._generation, self._number, self._delivered
                    )
                self._parking.meet(provider, self._request)
                if not self._submitted:
                    # A task of its own, which is not ended with this one: see `_hear_of_submit`.
                    self._submitting = asyncio.create_task(self._submit(provider, self._request))
                    await asyncio.wait({self._submitting})
                    self._submitting.result()
                made = await self._collect(provider, self._request)
            except ProviderUnreachable as error:
                if isinstance(error, ProviderNotHere) or (isinstance(error, ProviderNotSetUp) and self._ref is None):
                    raise
                self._slot.note("busy" if isinstance(error, ProviderBusy) else "unreachable")
                if self._ref is not None and self._parking.may_leave(away=True):
                    self._log.warning("provider_unreachable", detail=error.detail, job="left until the next look")
                    return Made.LEFT
                pause: float = _UNREACHABLE_PAUSES_SECONDS[min(unreachable, len(_UNREACHABLE_PAUSES_SECONDS) - 1)]
                if isinstance(error, ProviderBusy) and error.retry_after_seconds is not None:
                    pause = max(pause, error.retry_after_seconds)
                self._log.warning("provider_unreachable", detail=error.detail, again_in_seconds=pause)
                unreachable += 1
                await asyncio.sleep(pause)
            except (StoreUnavailable, ObjectNotStored) as error:
                # An input cannot be read, or an output was dropped, which the provider is asked for again.
                await self._context.storing.wait(error, self._generation, away)
                away += 1
            else:
                return made

    async def _submit(self, provider: Provider, request: ProviderRequest) -> None:
        """Submit, and note the ref before anything else, so that no later attempt pays for a second job."""
        ref = await provider.submit(request)
        self._submitted = True
        self._ref = ref
        if ref is None:
            return
        self._parking.submitted()
        self._still_ours(
            "note",
            await self._context.retry_until_answered(
                "note", lambda: self._ledger.note(generation=self._generation.id, attempt=self._number, ref=ref)
            ),
        )

    async def _hear_of_submit(self) -> None:
        """Let a submit that is on its way be answered and noted, for who hangs up may have bought a job all the same.

        Nobody would know it: the next attempt would buy another, and nobody would ask the first one to stop.
        """
        if self._submitting is not None:
            await asyncio.wait({self._submitting}, timeout=min(_SUBMIT_SECONDS, self._lease_seconds / 2))

    async def _collect(self, provider: Provider, request: ProviderRequest) -> Made:
        """Take what comes. What was delivered before the provider went away is not asked for, and paid for, again.

        One output that is not what was ordered does not keep the others from being delivered.
        """
        missing = tuple(index for index in request.indices if index not in self._delivered)
        if not missing:
            return Made.DONE
        unusable: OutputUnusable | None = None
        async with aclosing(provider.results(self._ref, replace(request, indices=missing))) as results:
            async for result in results:
                match result:
                    case Pending(fraction):
                        self._parking.at_work(fraction)
                        if fraction is not None:
                            self._note_progress(fraction)
                        if request.last_look or (self._ref is not None and self._parking.may_leave()):
                            return Made.LEFT
                    case Progress(fraction):
                        self._note_progress(fraction)
                        if request.last_look:
                            return Made.LEFT
                    case _ if result.index not in self._delivered:
                        self._parking.found()
                        try:
                            await self._deliver(result)
                        except OutputUnusable as error:
                            unusable = error
        if unusable is not None:
            raise unusable
        if not self._delivered:
            raise ProviderFailed("it ended without an output")
        return Made.DONE

    async def _deliver(self, rendered: Rendered) -> None:
        """Store an output, then record it: what cannot be downloaded must never be paid for (R9)."""
        output = await self._store(rendered)
        self._still_ours(
            "deliver",
            await self._context.retry_until_answered(
                "deliver",
                lambda: self._ledger.deliver(generation=self._generation.id, attempt=self._number, output=output),
            ),
        )
        self._delivered.add(rendered.index)
        self._hint()

    async def _store(self, rendered: Rendered) -> Output:
        """Put an output into the object store. Its key has the attempt in it: a stale worker overwrites nothing."""
        request = self._generation.request
        ordered, account = self._context.providers.ordered(request), self._generation.account
        media, sha256 = await self._context.checks.check(rendered, ordered, account)
        key = output_key(self._generation.id, self._number, rendered.index, media.content_type)
        droppable = self._ref is not None
        await self._context.storing.put(key, rendered.data, self._generation, droppable=droppable)
        return Output(
            index=rendered.index,
            object_key=key,
            content_type=media.content_type,
            bytes=len(rendered.data),
            width=media.width,
            height=media.height,
            sha256=sha256,
            duration_seconds=media.duration_seconds,
        )

    def _note_progress(self, fraction: float) -> None:
        """Remember the progress over all outputs, those of earlier attempts included; it never goes back."""
        outputs = self._generation.request.outputs
        earlier = len(self._generation.outputs)
        thousandths = int(1000 * (earlier + fraction * (outputs - earlier)) / outputs)
        if thousandths > self._progress_thousandths:
            self._progress_thousandths = thousandths
            self._woken.set()

    @staticmethod
    def _still_ours(transition: str, outcome: Noted | Stale) -> None:
        if isinstance(outcome, Stale):
            raise LeaseLost(transition)

    # --- keeping the lease ------------------------------------------------------------------------------------------

    async def _keep_lease(self) -> Renewed | Ended | Stale:
        """Renew until the ledger says something else; return what it said.

        A renewal that comes after the lease has run out is accepted too, unless a caretaker was first (R16). So a
        worker that lost the ledger goes on working until it is told that it is stale.
        """
        while True:
            await self._wait_for_renewal()
            outcome = await self._renew()
            if not isinstance(outcome, Renewed) or outcome.cancel_requested:
                return outcome
            self._slot.hold()
            self._hint()

    async def _renew(self) -> Renewed | Ended | Stale:
        renew = partial(self._ledger.renew, generation=self._generation.id, attempt=self._number)
        return await self._context.retry_until_answered(
            "renew", lambda: renew(progress_thousandths=self._progress_thousandths)
        )

    async def _wait_for_renewal(self) -> None:
        """Wait a third of the lease, or less when there is progress to tell (once a second) or a cancel to hear."""
        started_at = time.monotonic()
        renew_at = started_at + self._lease_seconds / 3
        try:
            async with asyncio.timeout(self._lease_seconds / 3):
                await self._woken.wait()
        except TimeoutError:
            return
        self._woken.clear()
        if self._told_to_look:
            self._told_to_look = False
            return
        tell_at = min(renew_at, started_at + _PROGRESS_EVERY_SECONDS)
        await asyncio.sleep(max(0, tell_at - time.monotonic()))

    def _look_now(self) -> None:
        """Ask the ledger now, whether a cancel was asked for; and the provider, for it may have called back."""
        if self._request is not None:
            self._request.called_back.set()
        self._told_to_look = True
        self._woken.set()

    # --- ending -----------------------------------------------------------------------------------------------------

    async def _end_made(self, making: asyncio.Task[Made]) -> str:
        error = making.exception()
        match error:
            case None if making.result() is Made.LEFT:
                return await self._park()
            case None:
                self._slot.note(SUCCEEDED)
                self._parking.succeeded()
                return await self._settle(None, stop_provider=False)
            case LeaseLost(args=(transition,)):
                return await self._stale(transition)
            case StoreGaveUp() | OutputNotStored():
                # Nobody's fault but ours. Where this machine could not look into an output, the ref stays: the next
                # attempt, perhaps where there is room, fetches what is made and pays for nothing twice (R17).
                in_vain = isinstance(error, StoreGaveUp)
                self._log.error("output_not_stored", detail=str(error))
                code = FailureCode.STORE_UNAVAILABLE if in_vain else FailureCode.WORKER_LOST
                return await self._settle(code, stop_provider=in_vain)
            case ProviderError():
                self._slot.note(error.code)
                self._log.warning("attempt_failed", code=error.code, detail=error.detail)
                # Its job need not have ended: what failed may be a file of it that does not open, or a look at it.
                return await self._settle(error.code, stop_provider=True)
            case _:
                self._log.error("attempt_crashed", exc_info=error)
                return await self._settle(FailureCode.INTERNAL, stop_provider=True)

    async def _end_lease(self, keeping: asyncio.Task[Renewed | Ended | Stale]) -> str:
        error = keeping.exception()
        if error is not None:
            self._log.error("attempt_crashed", exc_info=error)
            return await self._settle(FailureCode.INTERNAL, stop_provider=True)
        match keeping.result():
            case Renewed():
                await self._take_what_is_finished()
                return await self._settle(None, stop_provider=True)
            case outcome:
                return await self._conclude("renew", outcome, stop_provider=True)

    async def _take_what_is_finished(self) -> None:
        """Look once more before a cancel ends it (R18): what is finished was paid for, and is not thrown away.

        A worker that must stop has less time than a look may take, and the cancel is still to be settled.
        """
        provider = self._parking.provider
        if self._ref is None or provider is None or self._request is None:
            return
        looking = asyncio.create_task(self._collect(provider, replace(self._request, last_look=True)))
        handing_back = asyncio.create_task(self._hand_back.wait())
        try:
            seconds = min(_LAST_LOOK_SECONDS, self._lease_seconds / 2)
            await asyncio.wait({looking, handing_back}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await cancel(looking, handing_back)  # whatever it raised: nobody waits for more

    async def _end_not_here(self) -> str:
        """Hand back what another worker may make; the next job of this provider is set aside unbegun."""
        self._log.warning("attempt_not_made_here", provider=self._generation.request.provider)
        self._context.providers.remember(self._generation.request.provider)
        return await self._end_handed_back()

    async def _end_handed_back(self) -> str:
        operation = operation_id()
        outcome = await self._context.retry_until_answered(
            "hand_back",
            lambda: self._ledger.hand_back(generation=self._generation.id, attempt=self._number, operation=operation),
        )
        if self._ref is None:
            self._slot.release()  # else the provider works on, and the next attempt has the slot
        return await self._conclude("hand_back", outcome, stop_provider=True)

    async def _park(self) -> str:
        operation, look_ms = operation_id(), await self._parking.look_ms()
        outcome = await self._context.retry_until_answered(
            "park",
            lambda: self._ledger.park(
                generation=self._generation.id,
                attempt=self._number,
                operation=operation,
                progress_thousandths=self._progress_thousandths,
                look_ms=look_ms,
            ),
        )
        if not isinstance(outcome, Parked):
            return await self._conclude("park", outcome, stop_provider=True)
        self._slot.hold(outcome.next_look)
        self._hint()
        if self._ref is not None:
            self._parking.left(self._ref, self._progress_thousandths)
        return "parked"

    async def _settle(self, failure: FailureCode | None, *, stop_provider: bool) -> str:
        operation = operation_id()
        outcome = await self._context.retry_until_answered(
            "settle",
            lambda: self._ledger.settle(
                generation=self._generation.id, attempt=self._number, operation=operation, failure=failure
            ),
        )
        if isinstance(outcome, Requeued):
            self._slot.release()
            if stop_provider and failure is FailureCode.PROVIDER_FAILED:
                self._stop_job()  # the ledger has dropped its ref, and the next attempt submits another
        return await self._conclude("settle", outcome, stop_provider=stop_provider)

    async def _conclude(self, transition: str, outcome: Ended | Requeued | Stale, *, stop_provider: bool) -> str:
        """Do what follows from the ledger's answer; the word for how the attempt ended."""
        match outcome:
            case Ended(generation=ended):
                if stop_provider and outcome.provider_ref is None:
                    self._stop_job()  # the generation had ended when it was to be noted
                return ended.error or ended.state
            case Requeued():
                return "requeued"
            case Stale():
                return await self._stale(transition)

    async def _stale(self, transition: str) -> str:
        """The generation is no longer ours, as we learn by this transition.

        It may be that one of our renewals has ended it, and that the making's end cut off the answer: that is answered
        again, for what follows an ending is ours to do then. Who waited behind it is a caretaker's to dispatch.
        """
        if transition != "renew":
            outcome = await self._renew()
            if isinstance(outcome, Ended):
                return await self._conclude("renew", outcome, stop_provider=True)
        self._log.warning("stale_attempt_refused", transition=transition)
        return "stale"

    def _stop_job(self) -> None:
        """Have the provider stop this attempt's job, if there is or may be one, of which the ledger has no ref."""
        announced = () if self._request is None else self._request.announced
        for ref in announced if self._ref is None else [self._ref]:
            stop = self._context.stop_provider(self._generation.request, ref, self._generation.id)
            self._context.run_in_background(stop, "stop provider")

    def _report(self, ending: str) -> None:
        request = self._generation.request
        seconds = time.monotonic() - self._began_at
        ATTEMPT_SECONDS.labels(request.tool, request.model, ending).observe(seconds)
        self._log.info(
            "attempt_ended", ending=ending, tool=request.tool, model=request.model, seconds=round(seconds, 2)
        )

    def _hint(self) -> None:
        self._context.dispatcher.tell(self._generation.account, self._generation.id)
