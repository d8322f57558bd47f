"""Ending tasks for certain."""

from __future__ import annotations

import asyncio
from typing import Any

_AGAIN_SECONDS = 1.0  # long enough for a task to clean up after the first


async def cancel(*tasks: asyncio.Task[Any]) -> None:
    """Cancel tasks until they have ended, and return then; what they raise is nobody's any more.

    Once is not always enough. `asyncio.wait_for` of Python 3.11 loses a cancel that comes in the moment in which what
    it waits for is done (mended in 3.12), and redis-py sends every command in one. A loop that publishes now and then
    would go on for ever, and whoever waits for its end too.
    """
    pending = {task for task in tasks if not task.done()}
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=_AGAIN_SECONDS)
    for task in tasks:
        if not task.cancelled():
            task.exception()
