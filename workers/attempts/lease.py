"""Keeps an attempt's lease: renews it until the ledger says that the attempt is over."""

from __future__ import annotations

import asyncio
import time
from functools import partial

from gateway.ledger.outcomes import Ended, Renewed, Stale
from workers.attempts.state import AttemptState

_PROGRESS_EVERY_SECONDS = 1.0


class Lease:
    """The lease of one attempt. A renewal sends the progress; its reply says whether a cancel was requested."""

    def __init__(self, state: AttemptState) -> None:
        self._state = state
        self._woken = asyncio.Event()
        self._renew_at_once = False

    async def keep(self) -> Renewed | Ended | Stale:
        """Renew until the ledger refuses, or reports a cancel request; return that reply.

        A renewal after the lease has lapsed is accepted too, unless a caretaker was first (R16). So a worker that lost
        the ledger continues until a reply says that its attempt is stale.
        """
        while True:
            await self._wait_for_renewal()
            outcome = await self.renew()
            if not isinstance(outcome, Renewed) or outcome.cancel_requested:
                return outcome
            self._state.slot.hold()
            self._state.notify()

    async def renew(self) -> Renewed | Ended | Stale:
        """Renew once."""
        state = self._state
        renew = partial(state.ledger.renew, generation=state.generation.id, attempt=state.number)
        return await state.context.retry_until_answered(
            "renew", lambda: renew(progress_thousandths=state.progress_thousandths)
        )

    def renew_soon(self) -> None:
        """There is progress to record: renew within a second."""
        self._woken.set()

    def renew_now(self) -> None:
        """Renew at once: a cancel may have been requested."""
        self._renew_at_once = True
        self._woken.set()

    async def _wait_for_renewal(self) -> None:
        """Wait a third of the lease; less if there is progress (once a second) or `renew_now` was called."""
        started_at = time.monotonic()
        renew_at = started_at + self._state.lease_seconds / 3
        try:
            async with asyncio.timeout(self._state.lease_seconds / 3):
                await self._woken.wait()
        except TimeoutError:
            return
        self._woken.clear()
        if self._renew_at_once:
            self._renew_at_once = False
            return
        progress_at = min(renew_at, started_at + _PROGRESS_EVERY_SECONDS)
        await asyncio.sleep(max(0, progress_at - time.monotonic()))
