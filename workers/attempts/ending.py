"""How an attempt ends: settled, parked, handed back or stale. Each method returns the word for the ending."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from gateway.clock import now_ms
from gateway.domain import FailureCode, operation_id
from gateway.errors import InputUnavailable, OutputNotStored, ProviderBusy, ProviderError
from gateway.ledger.outcomes import Ended, Generation, Parked, Renewed, Requeued, Stale
from gateway.ledger.tried import REFUSED, Tried
from gateway.queue.slots import BUSY, SUCCEEDED, UNREACHABLE
from gateway.transitions import ELSEWHERE, RETRY_PAUSES_MS
from workers.attempts.lease import Lease
from workers.attempts.provider_session import LeaseLost, SessionResult
from workers.attempts.state import AttemptState, is_unreachable
from workers.attempts.storing import StoreGaveUp
from workers.metrics import PROVIDERS_LEFT

_REFUSED_PAUSES_MS = (1_000, 2_000, 5_000, 10_000, 30_000)
"""How long a provider that refused a generation is not asked for it again; the last repeats."""


class Ending:
    """Ends one attempt in the ledger, and stops the provider where needed."""

    def __init__(self, state: AttemptState, lease: Lease) -> None:
        self._state = state
        self._lease = lease

    async def after_session(self, session: asyncio.Task[SessionResult]) -> str:
        """The provider session ended first."""
        state, error = self._state, session.exception()
        match error:
            case None if session.result() is SessionResult.LEFT:
                return await self._park()
            case None:
                state.slot.note(SUCCEEDED)
                state.parking.succeeded()
                return await self._settle(None, stop_provider=False)
            case LeaseLost(args=(transition,)):
                return await self._stale(transition)
            case _:
                return await self._after_error(error)

    async def _after_error(self, error: BaseException) -> str:
        state = self._state
        match error:
            case StoreGaveUp() | OutputNotStored():
                # Our own fault. If this machine could not inspect an output, the ref stays: the next attempt,
                # perhaps on another machine, fetches the outputs and pays for nothing twice (R17).
                gave_up = isinstance(error, StoreGaveUp)
                state.log.error("output_not_stored", detail=str(error))
                code = FailureCode.STORE_UNAVAILABLE if gave_up else FailureCode.WORKER_LOST
                return await self._settle(code, stop_provider=gave_up)
            case ProviderError() if state.leaves(error):
                return await self._leave(error)
            case ProviderError():
                if not isinstance(error, InputUnavailable):  # a client could open the breaker for everybody
                    state.slot.note(error.code, error.detail)
                state.log.warning("attempt_failed", code=error.code, detail=error.detail)
                if error.cost is not None and state.request is not None:
                    state.lost[None] = state.costs(state.request).of_failure(error.cost)
                # Its job may still be running: perhaps one of its files could not be read, or a poll failed.
                return await self._settle(error.code, stop_provider=True)
            case _:
                return await self._broken(error)

    async def _leave(self, error: ProviderError) -> str:
        """The provider refused the job: not a failure. The next attempt asks another one, or this one after a pause."""
        state, now = self._state, now_ms()
        state.slot.note(_word_for(error), error.detail)
        asked_ms = round(1000 * (getattr(error, "retry_after_seconds", None) or 0))
        tried = state.tried(REFUSED, now, [max(pause, asked_ms) for pause in _REFUSED_PAUSES_MS])
        not_before = None if state.untried(tried) else min(one.until for one in tried)
        state.log.warning("provider_refused", provider=state.provider, detail=error.detail)
        PROVIDERS_LEFT.labels(state.provider, REFUSED).inc()
        outcome = await self._hand_back(free=True, tried=tried, not_before=not_before)
        state.slot.release()
        return await self._conclude("hand_back", outcome, stop_provider=False)

    async def cancelled(self) -> str:
        """A cancel was requested, and finished outputs are delivered."""
        return await self._settle(None, stop_provider=True)

    async def after_lease(self, keeping: asyncio.Task[Renewed | Ended | Stale]) -> str:
        """The ledger ended the attempt first, or a cancel was requested."""
        error = keeping.exception()
        if error is not None:
            return await self._broken(error)
        match keeping.result():
            case Renewed():
                return await self.cancelled()
            case outcome:
                if isinstance(outcome, Ended):
                    await self._state.book_lost(outcome.generation)
                return await self._conclude("renew", outcome, stop_provider=True)

    async def not_here(self) -> str:
        """Hand back what another worker can make; the next job of this provider is rerouted before it begins."""
        state, provider = self._state, self._state.generation.request.provider
        state.log.warning("attempt_not_made_here", provider=provider)
        state.context.providers.remember(provider)
        return await self.handed_back()

    async def handed_back(self) -> str:
        """The worker must stop: another worker makes the next attempt."""
        state = self._state
        outcome = await self._hand_back(free=state.ref is None and not state.in_doubt)
        if state.ref is None:
            state.slot.release()  # otherwise the provider continues, and the next attempt has the slot
        return await self._conclude("hand_back", outcome, stop_provider=True)

    async def _hand_back(
        self, *, free: bool, tried: Sequence[Tried] = (), not_before: int | None = None
    ) -> Requeued | Ended | Stale:
        state, operation = self._state, operation_id()
        return await state.context.retry_until_answered(
            "hand_back",
            lambda: state.ledger.hand_back(
                generation=state.generation.id,
                attempt=state.number,
                operation=operation,
                free=free,
                tried=tried,
                not_before=not_before,
            ),
        )

    async def _broken(self, error: BaseException) -> str:
        self._state.log.error("attempt_crashed", exc_info=error)
        return await self._settle(FailureCode.INTERNAL, stop_provider=True)

    async def _park(self) -> str:
        state, operation = self._state, operation_id()
        poll_ms = await state.parking.poll_ms()
        outcome = await state.context.retry_until_answered(
            "park",
            lambda: state.ledger.park(
                generation=state.generation.id,
                attempt=state.number,
                operation=operation,
                progress_thousandths=state.progress_thousandths,
                poll_ms=poll_ms,
            ),
        )
        if not isinstance(outcome, Parked):
            return await self._conclude("park", outcome, stop_provider=True)
        state.slot.hold(outcome.next_poll)
        state.notify()
        if state.ref is not None:
            state.parking.left(state.ref, state.progress_thousandths)
        return "parked"

    async def _settle(self, failure: FailureCode | None, *, stop_provider: bool) -> str:
        state, operation = self._state, operation_id()
        tried: tuple[Tried, ...] = ()
        if failure in ELSEWHERE and state.ref is not None and len(state.providers) > 1:  # its job has ended
            tried = state.tried(failure, now_ms(), RETRY_PAUSES_MS)
        outcome = await state.context.retry_until_answered(
            "settle",
            lambda: state.ledger.settle(
                generation=state.generation.id,
                attempt=state.number,
                operation=operation,
                failure=failure,
                tried=tried,
                untried=state.untried(tried) if tried else 0,
                lost=tuple(state.lost.values()),
            ),
        )
        if isinstance(outcome, Requeued):
            if tried:
                PROVIDERS_LEFT.labels(state.provider, failure).inc()
            state.slot.release()
            if stop_provider and failure is FailureCode.PROVIDER_FAILED:
                state.stop_job()  # the ledger has dropped its ref, and the next attempt submits another
        return await self._conclude("settle", outcome, stop_provider=stop_provider)

    async def _conclude(self, transition: str, outcome: Ended | Requeued | Stale, *, stop_provider: bool) -> str:
        """Act on the ledger's reply."""
        match outcome:
            case Ended(generation=ended):
                if stop_provider and outcome.provider_ref is None:
                    self._state.stop_job()  # the generation had ended before its ref was noted
                return ended.error or ended.state
            case Requeued():
                return "requeued"
            case Stale():
                return await self._stale(transition)

    async def _stale(self, transition: str) -> str:
        """The reply to `transition` says that this attempt is stale.

        Perhaps one of its own renewals ended the generation, and the reply was lost when the session ended. The ledger
        then gives the same reply again, and the follow-ups are ours. Generations waiting behind it are dispatched by a
        caretaker.
        """
        if transition != "renew":
            outcome = await self._lease.renew()
            if isinstance(outcome, Ended):
                await self._state.book_lost(outcome.generation)
                return await self._conclude("renew", outcome, stop_provider=True)
        await self._book_lost(settling=transition == "settle")
        self._state.log.warning("stale_attempt_refused", transition=transition)
        return "stale"

    async def _book_lost(self, *, settling: bool) -> None:
        """Another attempt, or whatever ended the generation, cannot know what this one made."""
        state = self._state
        if state.lost:
            read = await state.context.retry_until_answered(
                "generation", lambda: state.ledger.generation(generation=state.generation.id)
            )
            found = read if isinstance(read, Generation) else None
            if not (settling and state.has_settled(found)):
                await state.book_lost(found)


def _word_for(error: ProviderError) -> str:
    """What counts as the provider's result."""
    if isinstance(error, ProviderBusy):
        return BUSY
    return UNREACHABLE if is_unreachable(error) else error.code
