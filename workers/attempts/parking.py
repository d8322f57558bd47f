"""Whether an attempt may park its generation, and when the job is polled again (R17).

| the provider | first stay | next poll at the latest |
|---|---|---|
| reports events | 30 s; none while it is unreachable, because its return is noticed | a minute |
| calls back | 5 s | 30 s, doubling to 5 min |
| is polled | 30 s | the same; sooner when jobs of its model usually end (`job_times.py`); 30 s if it reports progress |
"""

from __future__ import annotations

import time

from gateway.clock import now_ms
from gateway.ledger.outcomes import Generation
from workers.attempts.job_times import next_poll_seconds
from workers.context import WorkerContext
from workers.providers import ListeningProvider, Provider, ProviderRequest

LISTENED_POLL_MS = 60_000  # its listener may die
PROGRESS_POLL_MS = 30_000  # a progress bar should move

_STAY_SECONDS = 30.0
_STAY_CALLED_SECONDS = 5.0  # for a provider that calls back


class Parking:
    """One attempt's job, as polls find it. Times are by the ledger's clock, in milliseconds."""

    def __init__(self, context: WorkerContext, generation: Generation) -> None:
        self._context = context
        self._generation = generation
        self._began_at = time.monotonic()
        self._submitted_at = generation.ref_at
        self._at_work_at = generation.looked_at
        self._seen_at_work = generation.looks > 0
        self._done_at: int | None = None
        self._reports_progress = False
        self._calls_back = False
        self._provider: Provider | None = None

    def meet(self, provider: Provider, request: ProviderRequest) -> None:
        """Set the provider and the request."""
        self._provider, self._calls_back = provider, request.callback_url is not None

    # --- what polls find --------------------------------------------------------------------------------------------

    def submitted(self) -> None:
        """A new job was submitted."""
        self._submitted_at = self._at_work_at = now_ms()

    def at_work(self, fraction: float | None) -> None:
        """A poll found it running, perhaps with progress."""
        self._at_work_at, self._done_at, self._seen_at_work = now_ms(), None, True
        self._reports_progress = self._reports_progress or fraction is not None

    def found(self) -> None:
        """A poll found an output, the last one unless the job is seen running again."""
        self._done_at = self._done_at or now_ms()

    def succeeded(self) -> None:
        """It has ended. Its duration is recorded, unless the first poll already found it done."""
        if self._submitted_at is None or self._done_at is None or not self._seen_at_work:
            return
        at_work_at = max(self._at_work_at or 0, self._submitted_at)
        seconds = (at_work_at + self._done_at) / 2000 - self._submitted_at / 1000
        if seconds > 0:
            request = self._generation.request
            self._context.run_in_background(
                self._context.job_times.note(request.provider, request.model, seconds), "note job time"
            )

    # --- parking ----------------------------------------------------------------------------------------------------

    def may_leave(self, *, away: bool = False) -> bool:
        """Whether a job can be parked now, so that this worker is free for others.

        A job that was parked before is polled once, then parked again. A new job is stayed with for a while: most
        images are done by then, and the next poll is half a minute away. If a provider that reports events is
        unreachable (`away`), its return is noticed.
        """
        if away and self._is_listened_to:
            return True
        stay = _STAY_CALLED_SECONDS if self._calls_back else _STAY_SECONDS
        return self._generation.looks > 0 or time.monotonic() - self._began_at >= stay

    async def poll_ms(self) -> int | None:
        """Milliseconds until the next poll at the latest; None: the ledger decides."""
        if self._is_listened_to:
            return LISTENED_POLL_MS
        if self._calls_back or self._submitted_at is None:
            return None
        request = self._generation.request
        lately = await self._context.job_times.lately(request.provider, request.model)
        seconds = next_poll_seconds(lately, (now_ms() - self._submitted_at) / 1000)
        known = [] if seconds is None else [round(seconds * 1000)]
        return min([*known, *([PROGRESS_POLL_MS] if self._reports_progress else [])], default=None)

    def left(self, job: str, thousandths: int) -> None:
        """It was parked with this progress: follow it, if the provider reports events."""
        if isinstance(self._provider, ListeningProvider):
            self._context.parked.listen(self._generation, job, self._provider, thousandths)

    @property
    def _is_listened_to(self) -> bool:
        return isinstance(self._provider, ListeningProvider)
