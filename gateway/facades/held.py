"""Waits for a generation's end within one request, on the gateway's live events, and keeps the connection open."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from http import HTTPStatus
from typing import Any, TypeVar

from aiohttp import web

from gateway.api.errors import LedgerDown
from gateway.api.ownership import awaited
from gateway.api.ownership.awaited import Read
from gateway.api.services import HUB
from gateway.domain import FINAL_STATES
from gateway.facades.calls import answered, keep
from gateway.ledger import outcomes

QUIET_SECONDS = 5.0
"""How long a response is held back, so that an early failure can still have its own status."""

BEAT_SECONDS = 10.0

Generation = outcomes.Generation

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
    """As `awaited.changed`, for a call that is kept for its retries while it waits."""
    return await awaited.changed(
        request, generation, enough, seconds=seconds, read=read, before_read=lambda: keep(request)
    )


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
