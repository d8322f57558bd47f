"""Small tasks that nobody waits for: hints, and asking a provider to stop. A failure is logged, never answered."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import structlog

from gateway.cancelling import cancel
from gateway.errors import FareboxError

CLOSE_SECONDS = 5

log = structlog.get_logger(__name__)


class Background:
    """A set of running tasks."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, work: Coroutine[Any, Any, object], name: str) -> None:
        """Run `work` on its own."""
        task = asyncio.get_running_loop().create_task(self._run(work, name), name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Give what runs a moment to finish, then cancel it."""
        if not self._tasks:
            return
        _, late = await asyncio.wait(set(self._tasks), timeout=CLOSE_SECONDS)
        await cancel(*late)

    async def _run(self, work: Coroutine[Any, Any, object], name: str) -> None:
        try:
            await work
        except FareboxError as error:
            log.warning("background_failed", task=name, error=str(error))
        except Exception:
            log.exception("background_failed", task=name)
