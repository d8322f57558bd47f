"""Waiting for what a test will see. Nothing says how long that may take but pytest's own timeout."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

_TURNS = 50  # more than any task here needs to get from one await to the next


async def until(holds: Callable[[], object | Awaitable[object]]) -> None:
    """Return when `holds` is true, or what it promises is."""
    while True:
        found = holds()
        if await found if isinstance(found, Awaitable) else found:
            return
        await asyncio.sleep(0.02)


async def until_idle() -> None:
    """Let every task of this process go on for as long as it needs nothing from outside: the end of "nothing happens".

    A task that waits for a socket, a process or a moment has come to its wait when this returns.
    """
    for _ in range(_TURNS):
        await asyncio.sleep(0)
