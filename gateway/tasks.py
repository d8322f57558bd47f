"""A process's background tasks: loops that must keep running, and small fire-and-forget work.

asyncio silently keeps the exception of a task that is not awaited: the loop has ended and the process looks healthy. So
every background task is started here. A failing loop is logged, counted and restarted, and `problems` reports it until
it has run for a while; `/readyz` shows that as `degraded`.
"""

from __future__ import annotations

import asyncio
from asyncio import Future
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import structlog
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from gateway.errors import FareboxError

CLOSE_SECONDS = 5
RESTART_SECONDS = (0.1, 1.0, 5.0, 15.0, 30.0)
STEADY_SECONDS = 5.0
"""A restarted loop that has run for this long counts as running again."""
_CANCEL_AGAIN_SECONDS = 1.0  # long enough for a task to clean up after the first cancel

T = TypeVar("T")

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Loop:
    """One loop. `down` is its last failure, until it has run steadily again."""

    failures: int = 0
    failures_in_a_row: int = 0
    down: str | None = None


class Tasks:
    """The background tasks of one process or one part of it."""

    def __init__(self) -> None:
        self._loops: dict[str, _Loop] = {}
        self._kept: set[asyncio.Task[None]] = set()
        self._once: set[asyncio.Task[None]] = set()

    @property
    def problems(self) -> tuple[str, ...]:
        """The loops that are down, one sentence each."""
        return tuple(
            f"the background task {name!r} failed ({loop.down}) and is being restarted; see the log"
            for name, loop in self._loops.items()
            if loop.down is not None
        )

    def keep(self, name: str, work: Callable[[], Coroutine[Any, Any, None]]) -> asyncio.Task[None]:
        """Run `work` until it returns; restart it, with growing pauses, whenever it raises."""
        loop = self._loops.setdefault(name, _Loop())
        task = asyncio.get_running_loop().create_task(self._keep_running(name, loop, work), name=name)
        self._kept.add(task)
        task.add_done_callback(self._kept.discard)
        return task

    def start(self, work: Coroutine[Any, Any, object], name: str) -> asyncio.Task[None]:
        """Run `work` once on its own. A failure is logged, never raised."""
        task = asyncio.get_running_loop().create_task(_run_once(work, name), name=name)
        self._once.add(task)
        task.add_done_callback(self._once.discard)
        return task

    async def finish(self) -> None:
        """Give fire-and-forget work a moment to finish, then cancel it."""
        if self._once:
            await asyncio.wait(set(self._once), timeout=CLOSE_SECONDS)
        await cancel(*self._once)

    async def close(self) -> None:
        """End the loops, and finish the rest."""
        await cancel(*self._kept)
        await self.finish()

    def metrics(self) -> Iterator[Metric]:
        """The metrics of the loops."""
        up = GaugeMetricFamily(
            "farebox_background_task_up", "0 while a background task is down and being restarted.", labels=["task"]
        )
        failures = CounterMetricFamily(
            "farebox_background_task_failures",
            "Failures of background tasks, each followed by a restart.",
            labels=["task"],
        )
        for name, loop in self._loops.items():
            up.add_metric([name], 0 if loop.down is not None else 1)
            failures.add_metric([name], loop.failures)
        yield up
        yield failures

    async def _keep_running(self, name: str, loop: _Loop, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        while True:
            steady = asyncio.get_running_loop().call_later(STEADY_SECONDS, _running_again, name, loop)
            try:
                await work()
            except Exception as error:
                pause = RESTART_SECONDS[min(loop.failures_in_a_row, len(RESTART_SECONDS) - 1)]
                loop.failures += 1
                loop.failures_in_a_row += 1
                loop.down = type(error).__name__
                log.exception("background_task_failed", task=name, restart_in_seconds=pause)
            else:
                loop.failures_in_a_row, loop.down = 0, None
                return
            finally:
                steady.cancel()
            await asyncio.sleep(pause)


def _running_again(name: str, loop: _Loop) -> None:
    if loop.down is not None:
        log.info("background_task_recovered", task=name)
    loop.failures_in_a_row, loop.down = 0, None


async def _run_once(work: Coroutine[Any, Any, object], name: str) -> None:
    try:
        await work
    except FareboxError as error:
        log.warning("background_failed", task=name, error=str(error))
    except Exception:
        log.exception("background_failed", task=name)


def done(value: T) -> Future[T]:
    """What is known already, for whoever awaits it."""
    future: Future[T] = asyncio.get_running_loop().create_future()
    future.set_result(value)
    return future


def heard(future: Future[Any]) -> None:
    """A callback of a future that nobody may await: asyncio would log its exception."""
    if not future.cancelled():
        future.exception()


async def cancel(*tasks: asyncio.Task[Any]) -> None:
    """Cancel tasks and wait until they have ended; exceptions they raise are discarded.

    Once is not always enough. `asyncio.wait_for` in Python 3.11 loses a cancel that arrives just when the awaited work
    completes (fixed in 3.12), and redis-py sends every command through it. A loop that publishes now and then would
    continue forever, and so would anything that waits for its end.
    """
    pending = {task for task in tasks if not task.done()}
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=_CANCEL_AGAIN_SECONDS)
    for task in tasks:
        if not task.cancelled():
            task.exception()
