"""One attempt at a generation: three tasks run at once, and the first that ends decides how the attempt ends.

```
session        submit or resume → results → check, store, deliver   done or failed: settle;
               (provider_session.py)                                not done for a while: park
lease          renew every third of the lease, with progress        cancel requested: take what is finished, settle;
               (lease.py)                                           ended; stale: drop everything
handing back   the worker must stop                                 hand back: another worker makes the next attempt
```

`ending.py` carries out what was decided.
"""

from __future__ import annotations

import asyncio
import time

from gateway.errors import ProviderNotHere
from gateway.ledger.outcomes import Begun, Ended, Renewed, Stale
from gateway.tasks import cancel
from workers.attempts.ending import Ending
from workers.attempts.lease import Lease
from workers.attempts.provider_session import ProviderSession
from workers.attempts.state import AttemptState
from workers.context import WorkerContext
from workers.metrics import ATTEMPT_SECONDS


class Attempt:
    """An attempt that has the lease."""

    def __init__(self, context: WorkerContext, begun: Begun, hand_back: asyncio.Event) -> None:
        self._state = AttemptState(context, begun)
        self._lease = Lease(self._state)
        self._session = ProviderSession(self._state, self._lease)
        self._ending = Ending(self._state, self._lease)
        self._hand_back = hand_back
        self._began_at = time.monotonic()

    async def run(self) -> None:
        """Make the outputs and end the attempt."""
        self._state.slot.begin()
        # Cancelled while parked: collect what is finished, wait for nothing.
        cancelled = self._state.generation.cancel_requested
        self._report(await (self._end_cancelled() if cancelled else self._make()))

    async def _make(self) -> str:
        """Run the three tasks; the first to end decides the ending."""
        generation, attempts = self._state.generation.id, self._state.context.attempts
        session = asyncio.create_task(self._session.run(), name=f"make {generation}")
        lease = asyncio.create_task(self._lease.keep(), name=f"keep {generation}")
        handing_back = asyncio.create_task(self._hand_back.wait())
        tasks = (session, lease, handing_back)
        attempts[generation] = self._check_now
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            session_ended, lease_ended, _ = (task.done() for task in tasks)
            await self._session.wait_for_submit()
        finally:
            if attempts.get(generation) == self._check_now:
                del attempts[generation]
            await cancel(*tasks, *self._session.submits)
        if lease_ended:  # before the session: the ledger may have ended the generation, and the follow-ups are ours
            return await self._end_by_lease(lease)
        if session_ended and isinstance(session.exception(), ProviderNotHere):
            return await self._ending.not_here()
        if session_ended:
            return await self._ending.after_session(session)
        return await self._ending.handed_back()

    async def _end_by_lease(self, lease: asyncio.Task[Renewed | Ended | Stale]) -> str:
        if lease.exception() is None and isinstance(lease.result(), Renewed):  # a cancel was requested
            return await self._end_cancelled()
        return await self._ending.after_lease(lease)

    async def _end_cancelled(self) -> str:
        await self._session.take_finished(self._hand_back)
        return await self._ending.cancelled()

    def _check_now(self) -> None:
        """Ask the ledger at once whether a cancel was requested, and the provider, which may have called back."""
        if self._state.request is not None:
            self._state.request.called_back.set()
        self._lease.renew_now()

    def _report(self, ending: str) -> None:
        request = self._state.generation.request
        seconds = time.monotonic() - self._began_at
        ATTEMPT_SECONDS.labels(request.tool, request.model, ending).observe(seconds)
        self._state.log.info(
            "attempt_ended", ending=ending, tool=request.tool, model=request.model, seconds=round(seconds, 2)
        )
