"""Listens to one ComfyUI server: progress and ends of all jobs of this process.

ComfyUI sends a job's progress only to the client that queued it, over one WebSocket per client. So all jobs of this
process are queued by one client, which reconnects under the same id. Changes of the queue are sent to every client, so
the end of a job queued by another process is noticed too.

Messages are only hints: after each that may mean an end, and whenever a socket was lost or opened, the queue is read
once for all jobs. A job that is not in it has ended, or was lost in a restart; its watchers then poll it. If a proxy
does not allow WebSockets, the queue is read once a second.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

import aiohttp

from gateway.errors import ProviderError
from gateway.tasks import Tasks
from workers.providers.calls import ProviderCalls
from workers.providers.comfyui.messages import JobEnding, JobProgress, QueueChanged, read

_RECONNECT_SECONDS = 1.0  # between attempts to connect
_QUEUE_READ_PAUSE_SECONDS = 0.25  # the minimum between two reads of the queue
_QUEUE_READ_PAUSE_SHARE = 4  # times as long as the last read took: other clients may have thousands of jobs there
_LINGER_SECONDS = 5.0  # kept open for the next job


class JobWatch:
    """The events of one job. `gone`: it was not in the queue (anymore); reset it before polling."""

    def __init__(self) -> None:
        """Nothing is known yet."""
        self.fraction: float | None = None
        self.gone = False
        self._news = asyncio.Event()

    async def news(self, poll_at: float | None = None) -> bool:
        """Wait for progress (True), the job's end, or `poll_at` by the loop's clock (False)."""
        try:
            async with asyncio.timeout_at(poll_at):
                await self._news.wait()
        except TimeoutError:
            return False
        self._news.clear()
        return not self.gone

    def report_progress(self, fraction: float) -> None:
        """Progress was reported."""
        self.fraction = fraction
        self._news.set()

    def leave_queue(self) -> None:
        """The job is not in the queue (anymore)."""
        self.gone = True
        self._news.set()


class Listener:
    """This process's socket to one server, open while jobs are watched."""

    def __init__(self, calls: ProviderCalls, queued: Callable[[], Awaitable[set[str]]]) -> None:
        """`queued` reads the jobs that are waiting or running at the server."""
        self.client_id = uuid.uuid4().hex
        self._calls = calls
        self._queued = queued
        self._watches: dict[str, list[JobWatch]] = {}
        self._fractions: dict[str, float] = {}
        self._remaining: int | None = None
        self._read_queue = asyncio.Event()
        self._kept = Tasks()
        self._tasks: list[asyncio.Task[None]] = []
        self._closing: asyncio.TimerHandle | None = None

    @contextmanager
    def watching(self, job: str) -> Iterator[JobWatch]:
        """Watch a job. If it has ended already, this is noticed soon."""
        watch = JobWatch()
        if job in self._fractions:
            watch.report_progress(self._fractions[job])
        self._watches.setdefault(job, []).append(watch)
        self._open()
        self._read_queue.set()
        try:
            yield watch
        finally:
            self._watches[job].remove(watch)
            if not self._watches[job]:
                del self._watches[job]
            if not self._watches:
                self._closing = asyncio.get_running_loop().call_later(_LINGER_SECONDS, self._end_tasks)

    async def close(self) -> None:
        """Close the socket."""
        self._keep_open()
        self._tasks = []
        await self._kept.close()

    # --- the socket and the queue -----------------------------------------------------------------------------------

    def _open(self) -> None:
        self._keep_open()
        if not self._tasks:
            works = {"listen": self._listen, "read queue": self._compare}
            self._tasks = [self._kept.keep(f"comfyui {name}", work) for name, work in works.items()]

    def _keep_open(self) -> None:
        if self._closing is not None:
            self._closing.cancel()
            self._closing = None

    def _end_tasks(self) -> None:
        for task in self._tasks:
            task.cancel()
        self._tasks = []

    async def _listen(self) -> None:
        while True:
            try:
                async with self._calls.socket(f"/ws?clientId={self.client_id}") as socket:
                    # Jobs may have ended while disconnected, or the server may have restarted.
                    self._remaining = None
                    self._read_queue.set()
                    async for message in socket:
                        if message.type is aiohttp.WSMsgType.TEXT:
                            self._hear(message.data)
            except ProviderError:
                pass
            self._read_queue.set()
            await asyncio.sleep(_RECONNECT_SECONDS)

    def _hear(self, text: str) -> None:
        match read(text):
            case JobProgress(job, fraction):
                self._fractions[job] = fraction
                for watch in self._watches.get(job, ()):
                    watch.report_progress(fraction)
            case JobEnding(job) if job in self._watches:
                self._read_queue.set()
            case QueueChanged(remaining):
                came = remaining is not None and self._remaining is not None and remaining > self._remaining
                self._remaining = remaining
                if not came:
                    self._read_queue.set()

    async def _compare(self) -> None:
        """Notify the watchers of jobs that are not in the queue, if they were watching before it was read."""
        clock = asyncio.get_running_loop().time
        while True:
            await self._read_queue.wait()
            self._read_queue.clear()
            began_at = clock()
            asked = {watch: job for job, watches in self._watches.items() for watch in watches if not watch.gone}
            try:
                queued = await self._queued() if asked else set()
            except ProviderError:  # it is unreachable
                self._read_queue.set()
                await asyncio.sleep(_RECONNECT_SECONDS)
                continue
            self._fractions = {job: known for job, known in self._fractions.items() if job in queued}
            for watch, job in asked.items():
                if job not in queued:
                    watch.leave_queue()
            await asyncio.sleep(max(_QUEUE_READ_PAUSE_SECONDS, _QUEUE_READ_PAUSE_SHARE * (clock() - began_at)))
