"""Whether an attempt may leave its generation with the provider, and when that job is looked at again (R17).

| the provider | stays with it at first | next look at the latest |
|---|---|---|
| is listened to | 30 s; not at all while it is away, for its return is heard | a minute |
| calls back | 5 s | 30 s, doubling to 5 min |
| is asked | 30 s | the same; sooner when its model's jobs used to end (`job_times.py`); 30 s if it says how far it is |
"""

from __future__ import annotations

import time

from gateway.clock import now_ms
from gateway.ledger.outcomes import Generation
from workers.attempts.job_times import next_poll_seconds
from workers.context import WorkerContext
from workers.providers import ListeningProvider, Provider, ProviderRequest

LISTENED_LOOK_MS = 60_000  # its listener may die
PROGRESS_LOOK_MS = 30_000  # who sees a bar wants to see it move

_STAY_SECONDS = 30.0
_STAY_CALLED_SECONDS = 5.0  # of a provider that calls when it is done


class Parking:
    """One attempt's job, as its looks find it. Times are of the ledger's clock, in milliseconds."""

    def __init__(self, context: WorkerContext, generation: Generation) -> None:
        self._context = context
        self._generation = generation
        self._began_at = time.monotonic()
        self._submitted_at = generation.ref_at
        self._at_work_at = generation.looked_at
        self._seen_at_work = generation.looks > 0
        self._done_at: int | None = None
        self._tells = False
        self._calls_back = False
        self._provider: Provider | None = None

    def meet(self, provider: Provider, request: ProviderRequest) -> None:
        """This is who is asked, and how."""
        self._provider, self._calls_back = provider, request.callback_url is not None

    # --- what the looks find ----------------------------------------------------------------------------------------

    def submitted(self) -> None:
        """A new job was submitted."""
        self._submitted_at = self._at_work_at = now_ms()

    def at_work(self, fraction: float | None) -> None:
        """A look found it at work, perhaps so far done."""
        self._at_work_at, self._done_at, self._seen_at_work = now_ms(), None, True
        self._tells = self._tells or fraction is not None

    def found(self) -> None:
        """A look found an output, which is the last unless the job is seen at work again."""
        self._done_at = self._done_at or now_ms()

    def succeeded(self) -> None:
        """It has ended, and its time counts for those that come, unless it was done as soon as anybody looked."""
        if self._submitted_at is None or self._done_at is None or not self._seen_at_work:
            return
        at_work_at = max(self._at_work_at or 0, self._submitted_at)
        seconds = (at_work_at + self._done_at) / 2000 - self._submitted_at / 1000
        if seconds > 0:
            request = self._generation.request
            self._context.run_in_background(
                self._context.job_times.note(request.provider, request.model, seconds), "note job time"
            )

    # --- leaving it -------------------------------------------------------------------------------------------------

    def may_leave(self, *, away: bool = False) -> bool:
        """Whether a job that the provider has can be left with it now, so that this worker is free for others.

        Who was parked before only looks, and is left again. A first attempt stays for a while: most images are done by
        then, and the next look is half a minute away. If the provider is `away` and listened to, its return is heard.
        """
        if away and self._is_listened_to:
            return True
        stay = _STAY_CALLED_SECONDS if self._calls_back else _STAY_SECONDS
        return self._generation.looks > 0 or time.monotonic() - self._began_at >= stay

    async def poll_ms(self) -> int | None:
        """After how long to look again at the latest; None: when the ledger says."""
        if self._is_listened_to:
            return LISTENED_LOOK_MS
        if self._calls_back or self._submitted_at is None:
            return None
        request = self._generation.request
        lately = await self._context.job_times.lately(request.provider, request.model)
        seconds = next_poll_seconds(lately, (now_ms() - self._submitted_at) / 1000)
        known = [] if seconds is None else [round(seconds * 1000)]
        return min([*known, *([PROGRESS_LOOK_MS] if self._tells else [])], default=None)

    def left(self, job: str, thousandths: int) -> None:
        """It was left, so far done: listen, if the provider can be listened to."""
        if isinstance(self._provider, ListeningProvider):
            self._context.parked.listen(self._generation, job, self._provider, thousandths)

    @property
    def _is_listened_to(self) -> bool:
        return isinstance(self._provider, ListeningProvider)
