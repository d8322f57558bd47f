"""Waits within one request until a generation has changed, on the gateway's live events."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from time import monotonic

from aiohttp import web

from gateway.api.ownership.own_generations import own_generation, read_again
from gateway.api.services import HUB
from gateway.api.streams.hub import StreamWatch
from gateway.ledger import outcomes

READ_AGAIN_SECONDS = 5.0

Generation = outcomes.Generation
Read = Callable[[Generation], Awaitable[Generation]]


async def changed(
    request: web.Request,
    generation: Generation,
    enough: Callable[[Generation], bool],
    *,
    seconds: float | None = None,
    read: Read | None = None,
    before_read: Callable[[], None] | None = None,
) -> Generation:
    """The generation once it is `enough`, or its state after `seconds` or when the gateway stops.

    `read` reads it again; by default as the caller's own, which is the same object while nothing has changed.
    """
    give_up_at = None if seconds is None else monotonic() + seconds
    with request.app[HUB].wait_for(generation.id) as watch:
        while True:
            if before_read is not None:
                before_read()
            generation = await _read(request, generation, read)
            left = None if give_up_at is None else give_up_at - monotonic()
            if enough(generation) or watch.closing or (left is not None and left <= 0):
                return generation
            await _hint(watch, READ_AGAIN_SECONDS if left is None else min(left, READ_AGAIN_SECONDS))


async def _read(request: web.Request, generation: Generation, read: Read | None) -> Generation:
    async def own(known: Generation) -> Generation:
        return await own_generation(request, known.id, known)

    again = await read_again(request, lambda: (read or own)(generation))
    return generation if again is None else again


async def _hint(watch: StreamWatch, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(watch.wait(READ_AGAIN_SECONDS), seconds)
