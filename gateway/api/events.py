"""Live events: a generation, all of an account's, or the operators' queues.

A hint makes a stream read again; without one it reads every five seconds, so a lost hint costs no more than that. An
event's id is the generation's version (in an account's stream behind the generation's id). A client that
reconnects gets a snapshot, whatever its `Last-Event-ID` says: the snapshot is all it can have missed.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from aiohttp import web

from gateway.api.auth import KeysStale, found
from gateway.api.context import caller, set_caller
from gateway.api.credits import balance_shape, own_account
from gateway.api.errors import ApiError
from gateway.api.event_stream import EventStream
from gateway.api.generations import own_generation, queue_positions, shown
from gateway.api.ops import queues_shape
from gateway.api.services import CALLERS, HUB, LEDGER, LINKS
from gateway.domain import FINAL_STATES, Scope
from gateway.errors import LedgerUnavailable, QueueUnavailable
from gateway.ledger import outcomes as o
from gateway.schemas import generations as s
from gateway.schemas.ops import QueuesOut
from gateway.shapes import output_shape, progress_shape

READ_AGAIN_SECONDS = 5.0
QUEUES_SECONDS = 2.0
RECENT_MAX = 100

T = TypeVar("T")


async def of_generation(request: web.Request) -> web.StreamResponse:
    """`GET /v1/generations/{generation}/events`: `snapshot`, `progress`, `output`, `done`."""
    generation_id = request.match_info["generation"]
    async with request.app[HUB].watch(owner=caller(request).owner, generation=generation_id) as watch:
        generation = await own_generation(request, generation_id)
        stream = await EventStream.open(request)
        try:
            follower = Follower(request, stream, with_generation_id=False)
            await follower.first(generation)
            while follower.open and not watch.closing:
                await watch.wait(READ_AGAIN_SECONDS)
                await stream.keep_alive()
                again = await _read(request, lambda: own_generation(request, generation_id))
                if again is not None:
                    await follower.now(again)
        except (ConnectionError, ApiError):
            pass  # the client is gone, or its key is revoked: the stream ends
        return stream.response


async def of_caller(request: web.Request) -> web.StreamResponse:
    """`GET /v1/events`: an account's generations and balance; for operators the queues."""
    if caller(request).scope is Scope.ACCOUNT:
        return await _of_account(request)
    return await _of_queues(request)


class Follower:
    """Tells a client what has changed in the generations that it follows."""

    def __init__(self, request: web.Request, stream: EventStream, *, with_generation_id: bool) -> None:
        self._request = request
        self._stream = stream
        self._with_generation_id = with_generation_id
        self._told: dict[str, str] = {}
        self._outputs: dict[str, set[int]] = {}

    @property
    def open(self) -> set[str]:
        """The generations that have not ended."""
        return set(self._told)

    async def first(self, generation: o.Generation) -> None:
        """Tell all of a generation; of one that has ended, that it has."""
        await self._send_json("snapshot", generation, await shown(self._request, generation))
        if generation.state in FINAL_STATES:
            await self._send_json("done", generation, await shown(self._request, generation))
            return
        (position,) = await queue_positions(self._request, [generation])
        self._told[generation.id] = progress_shape(generation, position).json_text()
        self._outputs[generation.id] = {output.index for output in generation.outputs}

    async def now(self, generation: o.Generation) -> None:
        """Tell what has changed since it was last told."""
        (position,) = await queue_positions(self._request, [generation])
        progress = progress_shape(generation, position).json_text()
        new = [one for one in generation.outputs if one.index not in self._outputs[generation.id]]
        if generation.state not in FINAL_STATES and progress != self._told[generation.id]:
            await self._send_text("progress", generation, progress)
        for output in new:
            shape = output_shape(generation, output, self._request.app[LINKS])
            event = s.OutputEvent(generation=generation.id, output=shape)
            await self._send_text("output", generation, event.json_text())
        if generation.state in FINAL_STATES:
            await self._send_json("done", generation, await shown(self._request, generation))
            del self._told[generation.id], self._outputs[generation.id]
            return
        self._told[generation.id] = progress
        self._outputs[generation.id].update(output.index for output in new)

    async def _send_json(self, event: str, generation: o.Generation, data: bytes) -> None:
        await self._send_text(event, generation, data.decode())

    async def _send_text(self, event: str, generation: o.Generation, data: str) -> None:
        version = str(generation.version)
        await self._stream.send(event, data, f"{generation.id}:{version}" if self._with_generation_id else version)


async def _of_account(request: web.Request) -> web.StreamResponse:
    account = caller(request).acting_account
    async with request.app[HUB].watch(owner=caller(request).owner, account=account) as watch:
        balance = balance_shape(await own_account(request)).json_text()
        recent = await _recent(request)
        stream = await EventStream.open(request)
        try:
            await stream.send("balance", balance)
            follower = Follower(request, stream, with_generation_id=True)
            for generation in reversed(recent):
                if generation.state not in FINAL_STATES:
                    await follower.first(generation)
            while not watch.closing:
                changed = await watch.wait(READ_AGAIN_SECONDS)
                await stream.keep_alive()
                await _tell_changes(request, follower, changed)
                known = await _read(request, lambda: own_account(request))
                if known is not None and (text := balance_shape(known).json_text()) != balance:
                    balance = text
                    await stream.send("balance", balance)
        except (ConnectionError, ApiError):
            pass  # the client is gone, or its key is revoked: the stream ends
        return stream.response


async def _tell_changes(request: web.Request, follower: Follower, changed: list[str]) -> None:
    """Read what a hint named, or without one the recent ones and all that were open."""
    if changed:
        wanted = [one for one in changed if one]
        generations: list[o.Generation] = []
    else:
        generations = await _read(request, lambda: _recent(request)) or []
        wanted = sorted(follower.open - {one.id for one in generations})
    for generation_id in wanted:
        one = await _read(request, lambda: own_generation(request, generation_id))  # noqa: B023 - awaited at once
        if one is not None:
            generations.append(one)
    for generation in sorted(generations, key=lambda one: one.created_at):
        if generation.id in follower.open:
            await follower.now(generation)
        elif generation.state not in FINAL_STATES or generation.id in changed:
            await follower.first(generation)


async def _of_queues(request: web.Request) -> web.StreamResponse:
    async with request.app[HUB].watch(owner=caller(request).owner) as watch:
        snapshot: QueuesOut | None = await queues_shape(request.app)
        stream = await EventStream.open(request)
        try:
            while not watch.closing:
                if snapshot is not None:
                    await stream.send("queues", snapshot.json_text())
                await stream.keep_alive()
                await watch.wait(QUEUES_SECONDS)
                snapshot = await _read(request, lambda: _queues(request))
        except (ConnectionError, ApiError):
            pass  # the client is gone, or its key is revoked: the stream ends
        return stream.response


async def _read(request: web.Request, ask: Callable[[], Awaitable[T]]) -> T | None:
    """Read for a stream: None while nobody answers, for the next look may find more; a revoked key raises."""
    try:
        try:
            return await ask()
        except KeysStale:
            request.app[CALLERS].forget(request)
            set_caller(request, await request.app[CALLERS].authenticate(request))
            return await ask()
    except (KeysStale, LedgerUnavailable, QueueUnavailable):
        return None


async def _queues(request: web.Request) -> QueuesOut:
    await request.app[CALLERS].authenticate(request)  # an operator's key is never cached: a revoked one ends the stream
    return await queues_shape(request.app)


async def _recent(request: web.Request) -> list[o.Generation]:
    who = caller(request)
    page = found(
        await request.app[LEDGER].generations(
            account=who.acting_account, keys_version=who.keys_version, limit=RECENT_MAX
        ),
        "account of this key any more",
    )
    return list(page.data)
