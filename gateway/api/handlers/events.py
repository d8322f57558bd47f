"""Live events: a generation, all of an account's, or the operators' queues.

A notice makes a stream read again. Without one it reads every five seconds: a lost notice costs no more than that. An
event's id is the generation's version (in an account's stream, preceded by the generation's id). A client that
reconnects gets a snapshot of everything open, which is all it can have missed. An end is sent once: if a client already
has it (`Last-Event-ID`), a generation's stream responds with 204, and browsers stop reconnecting.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TypeVar

import structlog
from aiohttp import web

from gateway.api.access.auth import CALLER
from gateway.api.errors import ApiError, Forbidden, NotFound
from gateway.api.http.parse import read_query
from gateway.api.ownership.own_generations import (
    own_generation,
    own_page,
    read_again,
    shown,
    standings,
    withholds_content,
)
from gateway.api.ownership.target_account import TargetAccount, account_of, target_account
from gateway.api.services import CALLERS, HUB, LINKS
from gateway.api.streams.event_stream import EventStream
from gateway.api.streams.hub import Changed, StreamWatch
from gateway.api.watching import queues_shape
from gateway.domain import FINAL_STATES, Scope
from gateway.errors import LedgerBroken, LedgerUnavailable
from gateway.ledger import outcomes
from gateway.schemas import generations as generation_schemas
from gateway.schemas.base import OfAccount
from gateway.schemas.ops import QueuesOut
from gateway.views.accounts import balance_shape
from gateway.views.generations import output_shape, progress_shape

READ_AGAIN_SECONDS = 5.0
QUEUES_SECONDS = 2.0
RECENT_MAX = 100
READ_AT_ONCE = 50
ENDED_KEPT_MAX = 1000  # ended generations that a stream remembers having sent: many times more than it reads

log = structlog.get_logger(__name__)

T = TypeVar("T")


async def of_generation(request: web.Request) -> web.StreamResponse:
    """`GET /v1/generations/{generation}/events`: `snapshot`, `progress`, `output`, `done`."""
    generation_id = request.match_info["generation"]
    async with request.app[HUB].watch(owner=request[CALLER].owner, generation=generation_id) as watch:
        generation = await own_generation(request, generation_id)
        if generation.state in FINAL_STATES and _last_version(request) >= generation.version:
            return web.Response(status=204)
        stream = await EventStream.open(request)
        try:
            follower = Follower(request, stream, with_generation_id=False)
            await follower.first(generation)
            while follower.open and not watch.closing:
                await _wait_for_change(request, watch, stream)
                again = await read_again(request, lambda: own_generation(request, generation_id))
                if again is not None:
                    await follower.now(again)
        except (ConnectionError, ApiError):
            pass  # the client is gone, or its key is revoked: the stream ends
        return stream.response


async def of_caller(request: web.Request) -> web.StreamResponse:
    """`GET /v1/events`: an account's generations and balance; for operators the queues, or the account they name."""
    account = read_query(request, OfAccount).account
    scope = request[CALLER].scope
    if scope is Scope.OPS and account is not None:
        raise Forbidden(
            "An ops key can only stream the queues. To stream an account, use its own key, or one with a role that "
            "reads accounts."
        )
    if scope is Scope.ACCOUNT or account is not None:
        return await _of_account(request, target_account(request, account))
    return await _of_queues(request)


class Follower:
    """Sends a client the changes of the generations it follows."""

    def __init__(self, request: web.Request, stream: EventStream, *, with_generation_id: bool) -> None:
        self._request = request
        self._stream = stream
        self._with_generation_id = with_generation_id
        self._told: dict[str, str] = {}
        self._outputs: dict[str, set[int]] = {}
        self._ended: dict[str, int] = {}

    @property
    def open(self) -> set[str]:
        """The generations that have not ended."""
        return set(self._told)

    def knows(self, generation: outcomes.Generation) -> bool:
        """Whether the client already knows the end of this one."""
        return self._ended.get(generation.id, -1) >= generation.version

    def know(self, generation: outcomes.Generation) -> None:
        """Note that a generation's end was sent, so that it is not sent again; the oldest notes are dropped."""
        self._ended.pop(generation.id, None)
        if len(self._ended) >= ENDED_KEPT_MAX:
            del self._ended[next(iter(self._ended))]
        self._ended[generation.id] = generation.version

    async def first(self, generation: outcomes.Generation) -> None:
        """Send a generation's full state, and its end if it has ended."""
        whole = (await shown(self._request, generation)).decode()
        if generation.state in FINAL_STATES:
            await self._send(("snapshot", generation, whole), ("done", generation, whole))
            self.know(generation)
            return
        await self._send(("snapshot", generation, whole))
        (standing,) = await standings(self._request, [generation])
        self._told[generation.id] = progress_shape(generation, standing).json_text()
        self._outputs[generation.id] = {output.index for output in generation.outputs}

    async def now(self, generation: outcomes.Generation) -> None:
        """Send what has changed since the last event."""
        (standing,) = await standings(self._request, [generation])
        progress = progress_shape(generation, standing).json_text()
        new = [one for one in generation.outputs if one.index not in self._outputs[generation.id]]
        # A client with this event's id has all of this version, so events before the end carry the previous one.
        ended = generation.state in FINAL_STATES
        before = replace(generation, version=generation.version - 1) if ended else generation
        events = []
        if not ended and progress != self._told[generation.id]:
            events.append(("progress", generation, progress))
        for output in new:
            links = None if withholds_content(self._request) else self._request.app[LINKS]
            shape = output_shape(generation, output, links)
            events.append(
                ("output", before, generation_schemas.OutputEvent(generation=generation.id, output=shape).json_text())
            )
        if ended:
            events.append(("done", generation, (await shown(self._request, generation)).decode()))
        await self._send(*events)
        if ended:
            del self._told[generation.id], self._outputs[generation.id]
            self.know(generation)
            return
        self._told[generation.id] = progress
        self._outputs[generation.id].update(output.index for output in new)

    async def _send(self, *events: tuple[str, outcomes.Generation, str]) -> None:
        """Send events in one write, each with its generation's version."""
        await self._stream.send(*((name, data, self._event_id(generation)) for name, generation, data in events))

    def _event_id(self, generation: outcomes.Generation) -> str:
        return f"{generation.id}:{generation.version}" if self._with_generation_id else str(generation.version)


def _last_version(request: web.Request) -> int:
    """The version that a reconnecting client has of a generation; -1 if it sends none."""
    said = request.headers.get("Last-Event-ID", "")
    return int(said) if re.fullmatch(r"[0-9]{1,15}", said) else -1


async def _of_account(request: web.Request, target: TargetAccount) -> web.StreamResponse:
    async with request.app[HUB].watch(owner=request[CALLER].owner, account=target.account) as watch:
        balance = balance_shape(await account_of(request, target)).json_text()
        recent = await _recent(request, target)
        stream = await EventStream.open(request)
        try:
            await stream.send(("balance", balance, None))
            follower = Follower(request, stream, with_generation_id=True)
            for generation in reversed(recent):
                if generation.state in FINAL_STATES:
                    follower.know(generation)
                else:
                    await follower.first(generation)
            while not watch.closing:
                changed = await _wait_for_change(request, watch, stream)
                await _send_changes(request, target, follower, changed)
                known = await read_again(request, lambda: account_of(request, target.again(request)))
                if known is not None and (text := balance_shape(known).json_text()) != balance:
                    balance = text
                    await stream.send(("balance", balance, None))
        except (ConnectionError, ApiError):
            pass  # the client is gone, or its key is revoked: the stream ends
        return stream.response


async def _send_changes(request: web.Request, target: TargetAccount, follower: Follower, changed: Changed) -> None:
    """Read the changed generations; if everything may have changed, the recent and all open ones."""
    recent: list[outcomes.Generation] = []
    if changed.everything:
        recent = await read_again(request, lambda: _recent(request, target.again(request))) or []
    generations = {one.id: one for one in recent}
    named = [*changed.generations, *(sorted(follower.open) if changed.everything else ())]
    wanted = [one for one in dict.fromkeys(named) if one and one not in generations]
    for start in range(0, len(wanted), READ_AT_ONCE):
        some = wanted[start : start + READ_AT_ONCE]
        generations |= {one.id: one for one in await _read_all(request, some)}
    for generation in sorted(generations.values(), key=lambda one: one.created_at):
        if generation.id in follower.open:
            await follower.now(generation)
        elif generation.state not in FINAL_STATES or not follower.knows(generation):
            await follower.first(generation)


async def _read_all(request: web.Request, generations: Sequence[str]) -> list[outcomes.Generation]:
    """The readable ones: a corrupt or missing generation must not block the others."""
    answers = await asyncio.gather(
        *(read_again(request, partial(own_generation, request, one)) for one in generations), return_exceptions=True
    )
    found = []
    for one, answer in zip(generations, answers, strict=True):
        if isinstance(answer, outcomes.Generation):
            found.append(answer)
        elif isinstance(answer, BaseException) and not isinstance(answer, NotFound):
            if not isinstance(answer, LedgerBroken):
                raise answer
            log.error("generation_unreadable", generation=one, error=str(answer))
    return found


async def _of_queues(request: web.Request) -> web.StreamResponse:
    async with request.app[HUB].watch(owner=request[CALLER].owner) as watch:
        snapshot: QueuesOut | None = await queues_shape(request.app)
        stream = await EventStream.open(request)
        try:
            while not watch.closing:
                if snapshot is not None:
                    await stream.send(("queues", snapshot.json_text(), None))
                await stream.keep_alive()
                await watch.wait(QUEUES_SECONDS)
                snapshot = await read_again(request, lambda: _queues(request))
        except (ConnectionError, ApiError):
            pass  # the client is gone, or its key is revoked: the stream ends
        return stream.response


async def _wait_for_change(request: web.Request, watch: StreamWatch, stream: EventStream) -> Changed:
    """Wait until it is time to read again; returns what has changed. InvalidKey if the session was signed out."""
    changed = await watch.wait(READ_AGAIN_SECONDS)
    await stream.keep_alive()
    with contextlib.suppress(LedgerUnavailable):
        await request.app[CALLERS].check_session(request)
        if request[CALLER].account is None:  # no script of an account sees that an operator's key was revoked
            await request.app[CALLERS].authenticate(request)
    return changed


async def _queues(request: web.Request) -> QueuesOut:
    await request.app[CALLERS].authenticate(request)  # an operator's key is never cached: a revoked one ends the stream
    return await queues_shape(request.app)


async def _recent(request: web.Request, target: TargetAccount) -> list[outcomes.Generation]:
    return list((await own_page(request, target, limit=RECENT_MAX)).data)
