"""Waits for a generation's end within one request, on the gateway's live events, and keeps the connection open."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from http import HTTPStatus
from time import monotonic
from typing import Any, TypeVar

from aiohttp import web

from gateway.api.errors import LedgerDown
from gateway.api.ownership.own_generations import own_generation, read_again
from gateway.api.services import HUB
from gateway.api.streams.hub import StreamWatch
from gateway.domain import FINAL_STATES
from gateway.facades.calls import answered, keep
from gateway.ledger import outcomes

READ_AGAIN_SECONDS = 5.0
QUIET_SECONDS = 5.0
"""How long a response is held back, so that an early failure can still have its own status."""

BEAT_SECONDS = 10.0

Generation = outcomes.Generation
Read = Callable[[Generation], Awaitable[Generation]]

T = TypeVar("T")


async def ended(request: web.Request, generation: Generation, *, seconds: float | None = None) -> Generation:
    """The generation once it has ended, or its state after `seconds` or when the gateway stops."""
    return await changed(request, generation, lambda one: one.state in FINAL_STATES, seconds=seconds)


async def changed(
    request: web.Request,
    generation: Generation,
    enough: Callable[[Generation], bool],
    *,
    seconds: float | None = None,
    read: Read | None = None,
) -> Generation:
    """The generation once it is `enough`, or its state after `seconds` or when the gateway stops.

    `read` reads it again; by default as the caller's own.
    """
    give_up_at = None if seconds is None else monotonic() + seconds
    with request.app[HUB].wait_for(generation.id) as watch:
        while True:
            keep(request)
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


def stopping() -> LedgerDown:
    """The error for a call whose generation continues while this gateway stops."""
    return LedgerDown("This gateway is stopping. The generation goes on: retry the same request to wait for it.")


async def hold(
    request: web.Request,
    generation: Generation,
    shape: Callable[[Generation], Awaitable[web.Response]],
    *,
    headers: Mapping[str, str],
    quiet_seconds: float = QUIET_SECONDS,
    cut_off_errors: bool = False,
) -> web.StreamResponse:
    """Respond with `shape` of the ended generation, keeping the connection open with white space before the JSON.

    For the first `quiet_seconds` nothing is sent, so an error can have its own status. After that the status is 200,
    and an error can only be in the body. `cut_off_errors`: the connection is closed before the end of the body instead,
    for clients that take every complete response for a result: they retry, and get the error with its status at once.
    """
    generation = await ended(request, generation, seconds=quiet_seconds)
    if generation.state in FINAL_STATES:
        response = await shape(generation)
        response.headers.update(headers)
        return await send_whole(request, response)
    if request.app[HUB].closed:
        raise stopping()
    held = web.StreamResponse(headers={"Content-Type": "application/json; charset=utf-8", **headers})
    await held.prepare(request)
    beat_seconds = min(quiet_seconds, BEAT_SECONDS)
    generation = await beating(held, b" \n", beat_seconds, ended(request, generation))
    whole = await shape(generation) if generation.state in FINAL_STATES else None
    if whole is not None and isinstance(whole.body, bytes):
        await held.write(whole.body)
    if whole is None or (cut_off_errors and whole.status >= HTTPStatus.BAD_REQUEST):
        raise ConnectionResetError("the response is cut off, so that the client retries")
    await held.write_eof()
    answered(request)
    return held


async def send_whole(request: web.Request, response: web.Response) -> web.Response:
    """Send a response, then record that it was sent."""
    await response.prepare(request)
    await response.write_eof()
    answered(request)
    return response


async def beating(response: web.StreamResponse, beat: bytes, seconds: float, work: Coroutine[Any, Any, T]) -> T:
    """Await `work`, calling `beat` at once and every few seconds; ConnectionError: the client has hung up."""
    task = asyncio.create_task(work)
    try:
        while True:
            await response.write(beat)
            done, _ = await asyncio.wait([task], timeout=seconds)
            if done:
                return task.result()
    finally:
        task.cancel()
        await asyncio.wait([task])
