"""arq's worker with a different way of picking jobs: woken at once, through outages, and never the same job twice.

arq hands over, the lease owns (docs/design.md, section 6). arq itself only runs `stop` jobs: it reads the job, runs its
function and reports exceptions. What is overridden, and why (`docs/queue.md` has the full list):

- arq polls every half second; this blocks on the tool's wake-up list, so a job starts within milliseconds.
- arq reads each job and counts its tries; here a generation's job is read when it is claimed, and attempts are counted
  in the ledger. So there is one round trip between the dispatch and `begin`.
- arq reads the first few hundred jobs whether it can start them or not; this claims as many as it has capacity for,
  does not block without capacity, and claims at once when a job ends.
- arq exits when Redis is unavailable; this waits and continues, and running jobs continue meanwhile.
- arq cancels its jobs on SIGTERM; this lets them finish for a while and then asks them to hand back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from datetime import timedelta
from typing import Any, cast

import structlog
from arq.connections import ArqRedis
from arq.typing import WorkerCoroutine
from arq.worker import Worker, func

from gateway.clock import now_ms
from gateway.errors import QueueUnavailable
from gateway.outputs import StoreWatch
from gateway.queue.heartbeats import SEEN_EVERY_SECONDS
from gateway.queue.jobs import ClaimedJob, arguments_in, attempt_of, dumps, loads
from gateway.queue.keys import queue_key
from gateway.queue.queue import Queue
from gateway.tasks import Tasks, cancel
from workers.attempts.generate import LeftForAnotherWorker
from workers.capabilities import Capabilities
from workers.care.heartbeat import process_name
from workers.metrics import ATTEMPTS_IN_WORK

_WAKEUPS_SECONDS = 0.5
_JOBS_FIRST_SECONDS = 0.001  # claimed jobs request their leases before this process claims more
_PAUSES_SECONDS = (0.1, 0.25, 0.5, 1.0, 2.0)
# Time for handing back after the grace period. If the ledger is unavailable, a caretaker does it instead.
_HAND_BACK_SECONDS = 5

log = structlog.get_logger(__name__)


class ToolWorker(Worker):
    """Runs up to `jobs_max` jobs of one tool's queue until it is stopped.

    `hand_back` is set when the jobs still running must hand back. They share it, and end soon after.
    """

    def __init__(
        self,
        *,
        tool: str,
        queue: Queue,
        make: Callable[[dict[Any, Any], str, int, str | None], Coroutine[Any, Any, None]],
        functions: Mapping[str, Callable[..., Coroutine[Any, Any, None]]],
        context: dict[Any, Any],
        jobs_max: int,
        claim_ms: int,
        grace_seconds: float,
        hand_back: asyncio.Event,
        capabilities: Capabilities,
        tasks: Tasks | None = None,
        store: StoreWatch | None = None,
        redis: ArqRedis | None = None,
    ) -> None:
        """Run generations with `make`, which takes their jobs out of the queue; arq runs the other jobs.

        No job is claimed while the object `store` is unavailable: another worker may reach it. `redis`: for arq, by
        default the one of the tool's queue.
        """
        super().__init__(
            functions=[func(cast("WorkerCoroutine", function), name=name) for name, function in functions.items()],
            queue_name=queue_key(tool),
            redis_pool=redis or ArqRedis(queue.servers.of(tool).connection_pool),
            ctx=context,
            max_jobs=jobs_max,
            handle_signals=False,
            # A job ends by its lease, `give_up_at` or a stop, never by arq's timeout; arq requires a number.
            job_timeout=timedelta(days=365),
            keep_result=0,
            # Attempts are counted in the ledger. arq's own count must never end a job.
            max_tries=2**31,
            job_serializer=dumps,
            job_deserializer=loads,
        )
        self.name = process_name()
        self._tool = tool
        self._queue = queue
        self._make = make
        self._claim_ms = claim_ms
        self._grace_seconds = grace_seconds
        self._hand_back = hand_back
        self._capabilities = capabilities
        self._tasks = Tasks() if tasks is None else tasks
        self._store = store
        self._stopping = asyncio.Event()
        self._all_started = False
        self._room = asyncio.Event()

    def stop(self) -> None:
        """Claim no more jobs and end within the grace period; the second time, hand back at once."""
        if self._stopping.is_set():
            log.info("worker_hands_back_now", worker=self.name, jobs=len(self.tasks))
            self._hand_back.set()
            return
        log.info("worker_stopping", worker=self.name, jobs=len(self.tasks), grace_seconds=self._grace_seconds)
        self._stopping.set()
        self._room.set()
        asyncio.get_running_loop().call_later(self._grace_seconds, self._hand_back.set)

    async def main(self) -> None:
        """Claim and run jobs until `stop`; return when none is running."""
        seen = self._tasks.keep("heartbeat", self._say_that_seen)
        try:
            await self._pick_until_stopping()
            await self._end_jobs()
        finally:
            await cancel(seen)
        try:
            await self._queue.worker_gone(self._tool, self.name)
        except QueueUnavailable as error:
            log.warning("worker_not_signed_off", worker=self.name, error=str(error))

    async def close(self) -> None:
        """Do nothing: the caller owns the queue's connections."""

    # --- finding jobs -----------------------------------------------------------------------------------------------

    async def _pick_until_stopping(self) -> None:
        failures = 0
        while not self._stopping.is_set():
            try:
                await self._store_answers()
                await self._pick_or_wait()
            except QueueUnavailable as error:
                pause = _PAUSES_SECONDS[min(failures, len(_PAUSES_SECONDS) - 1)]
                if failures == 0:
                    log.warning("queue_unavailable", worker=self.name, jobs=len(self.tasks), error=str(error))
                failures += 1
                await self._wait_unless_stopping(pause)
            except Exception:  # whatever it was: a running worker continues, a stopping one claims nothing
                log.exception("job_pickup_failed", worker=self.name, again_in_seconds=_PAUSES_SECONDS[-1])
                await self._wait_unless_stopping(_PAUSES_SECONDS[-1])
            else:
                if failures:
                    log.info("queue_recovered", worker=self.name, failures=failures)
                failures = 0

    async def _store_answers(self) -> None:
        """Return when the object store responds, or this worker must stop."""
        if self._store is None or self._store.fault is None:
            return
        log.warning("worker_waits_for_store", worker=self.name, jobs=len(self.tasks))
        answering, stopping = (asyncio.create_task(each) for each in (self._store.answering(), self._stopping.wait()))
        try:
            await asyncio.wait({answering, stopping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await cancel(answering, stopping)

    async def _pick_or_wait(self) -> None:
        """Start due jobs if there is capacity; if all due jobs have started, wait for a wake-up first."""
        self._room.clear()
        room = self.max_jobs - len(self.tasks)
        if room <= 0:
            await self._room.wait()
            return
        wait_seconds = _WAKEUPS_SECONDS if self._all_started else 0
        claimed = await self._queue.claim(
            self._tool,
            limit=room,
            claim_ms=self._claim_ms,
            wait_seconds=wait_seconds,
            providers=self._capabilities.providers,
        )
        self._all_started = len(claimed) < room
        for job in claimed:
            if self._stopping.is_set():
                await self._queue.give_back(self._tool, job.id)
            elif job.id not in self.tasks:
                self._start(job)
        if claimed:
            await asyncio.sleep(_JOBS_FIRST_SECONDS)

    def _start(self, job: ClaimedJob) -> None:
        """Run an attempt at a generation, or let arq run another kind of job."""
        attempt = attempt_of(job.id)
        # arq only uses the score to log how late a job is; ours are in the past and would be misleading.
        work = self.run_job(job.id, now_ms()) if attempt is None else self._attempt(job, *attempt)
        task = self.loop.create_task(work, name=job.id)
        self.tasks[job.id] = task
        ATTEMPTS_IN_WORK.labels(self._tool).set(len(self.tasks))
        task.add_done_callback(lambda ended: self._ended(job.id, ended))

    def _ended(self, job: str, task: asyncio.Task[None]) -> None:
        del self.tasks[job]
        ATTEMPTS_IN_WORK.labels(self._tool).set(len(self.tasks))
        self._room.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            # arq's own bookkeeping failed (exceptions of the function never get here). At worst the job is still in
            # arq; the next worker finds it, and `begin` says that it is stale.
            log.warning("job_not_taken_out", job=job, error=f"{type(error).__name__}: {error}")

    async def _attempt(self, job: ClaimedJob, generation: str, attempt: int) -> None:
        """Run an attempt with `make`; whatever it raises, the job is left in a consistent state."""
        try:
            await self._make(self.ctx, generation, attempt, job.provider)
        except (LeftForAnotherWorker, asyncio.CancelledError):
            await asyncio.shield(self._queue.give_back(self._tool, job.id))
        except Exception:
            log.exception("job_crashed", job=job.id)
            await self._queue.take_out(self._tool, job.id)

    async def finish_job(  # noqa: PLR0917 - arq's signature
        self,
        job_id: str,
        finish: bool,  # noqa: FBT001
        result_data: bytes | None,
        result_timeout_s: float | None,
        keep_result_forever: bool,  # noqa: FBT001
        incr_score: int | None,
        keep_in_progress: float | None,
    ) -> None:
        """Delete all keys of a job that has ended, ours and arq's; a cancelled one stays in the queue."""
        if finish:
            await self._queue.take_out(self._tool, job_id)
        else:
            await super().finish_job(
                job_id, finish, result_data, result_timeout_s, keep_result_forever, incr_score, keep_in_progress
            )

    async def finish_failed_job(self, job_id: str, result_data: bytes | None) -> None:  # noqa: ARG002 - arq's signature
        """Delete all keys of a job that could not be run: its purpose is recorded in the ledger."""
        await self._queue.take_out(self._tool, job_id)

    # --- stopping and being seen ------------------------------------------------------------------------------------

    async def _end_jobs(self) -> None:
        """Let jobs finish during the grace period, then hand back; cancel the rest."""
        handing_back = asyncio.create_task(self._hand_back.wait())
        while self.tasks and not self._hand_back.is_set():
            await asyncio.wait({handing_back, *self.tasks.values()}, return_when=asyncio.FIRST_COMPLETED)
        handing_back.cancel()
        if self.tasks:
            _, late = await asyncio.wait(set(self.tasks.values()), timeout=_HAND_BACK_SECONDS)
            for task in late:
                log.warning("job_left_behind", job=task.get_name())
            await cancel(*late)

    async def _wait_unless_stopping(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._stopping.wait(), seconds)
        except TimeoutError:
            return

    async def _say_that_seen(self) -> None:
        while True:
            self._capabilities.log_missing()
            try:
                await self._queue.worker_seen(self._tool, self.name, self._capabilities.providers)
            except QueueUnavailable as error:
                log.debug("worker_not_seen", worker=self.name, error=str(error))
            await asyncio.sleep(SEEN_EVERY_SECONDS)


class RemoteToolWorker(ToolWorker):
    """The same where only the gateway reaches the queue's Redis: `stop` jobs are read by a call, not by arq."""

    def __init__(self, *, queue: Queue, **arguments: Any) -> None:
        super().__init__(queue=queue, redis=ArqRedis(), **arguments)  # never connected

    async def run_job(self, job_id: str, score: int) -> None:  # noqa: ARG002 - arq's signature
        """Run a job that is no attempt, and take it out; one that is gone or unreadable is dropped."""
        text = await self._queue.read_job(self._tool, job_id)
        try:
            if text is not None:
                function, arguments, named = arguments_in(text)
                await self.functions[function].coroutine(self.ctx, *arguments, **named)
        except Exception:
            log.exception("job_crashed", job=job_id)
        await self._queue.take_out(self._tool, job_id)
