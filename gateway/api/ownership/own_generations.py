"""The caller's generations, for every call that shows one: lookup, queue position, JSON."""

from __future__ import annotations

import asyncio
from asyncio import Future
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar, Unpack

from aiohttp import web

from gateway.api.access.auth import ACCOUNT_CALLER, CALLER, KeysStale, found
from gateway.api.access.roles import CONTENT_READERS
from gateway.api.errors import NotFound
from gateway.api.ownership.target_account import TargetAccount
from gateway.api.services import CALLERS, LEDGER, LINKS, PAUSE_BOARD, QUEUE, RATE_CARDS, SLOTS
from gateway.clock import now_ms
from gateway.domain import State
from gateway.errors import LedgerUnavailable, QueueUnavailable
from gateway.json_text import to_json
from gateway.ledger import outcomes
from gateway.ledger.lists import GenerationFilters
from gateway.ledger.pause_records import Pause
from gateway.queue.jobs import job_id
from gateway.queue.slots import Limits
from gateway.schemas.generations import GenerationOut
from gateway.tasks import done, heard
from gateway.views.generations import UNKNOWN, Standing, generation_members, generation_shape, work_members

T = TypeVar("T")

_PENDING = frozenset({State.QUEUED, State.WAITING})
SLOW_MS = 5_000
"""A generation that has just begun is not asked about: most polls of a healthy one read nothing more."""


async def own_generation(
    request: web.Request, generation: str, known: outcomes.Generation | None = None, *, what: str = "generation"
) -> outcomes.Generation:
    """The generation, if it is one that the caller may see; else NotFound.

    Returns `known` itself if it has not changed since that was read.
    """
    caller = request[CALLER]
    outcome = await request.app[LEDGER].generation(
        generation=generation,
        account=caller.account,
        keys_version=caller.keys_version,
        member=caller.sees_only,
        known=known,
    )
    own = found(outcome, f"{what} {generation}")
    if caller.token not in {None, own.token}:
        raise NotFound(f"There is no {what} {generation}.")
    return own


async def own_page(
    request: web.Request,
    target: TargetAccount,
    *,
    what: str | None = None,
    member: str | None = None,
    **filters: Unpack[GenerationFilters],
) -> outcomes.Page[outcomes.Generation]:
    """A page of the account's generations, those that the caller may see; every list is made of such pages.

    `what` names the `before` that is not in the list.
    """
    page = await request.app[LEDGER].generations(
        account=target.account, keys_version=target.keys_version, member=target.whose(member), **filters
    )
    return found(page, what or target.missing)


async def cancel_own(request: web.Request, generation: str, what: str = "generation") -> outcomes.Generation:
    """Cancel the caller's generation (R18); as it is, if it has ended. NotFound if it is another's, or none."""
    who = request[ACCOUNT_CALLER]
    outcome = await request.app[LEDGER].cancel(
        generation=generation, account=who.account, keys_version=who.keys_version, member=who.sees_only
    )
    match outcome:
        case outcomes.KeysChanged():
            raise KeysStale
        case outcomes.NotFound() if request.app[LEDGER].older is not None:
            return await own_generation(request, generation, what=what)  # what only the archive has, has ended
        case outcomes.NotFound():
            raise NotFound(f"There is no {what} {generation}.")
        case outcomes.Ended() | outcomes.CancelRequested() | outcomes.Unchanged():
            return outcome.generation


async def read_again(request: web.Request, ask: Callable[[], Awaitable[T]]) -> T | None:
    """Read again, for long-running requests: None while the ledger is unavailable; raises if the key was revoked.

    `ask` reads for `request[CALLER]`, which is authenticated again if the account's keys have changed.
    """
    try:
        try:
            return await ask()
        except KeysStale:
            request.app[CALLERS].forget(request)
            await request.app[CALLERS].authenticate(request)
            return await ask()
    except (KeysStale, LedgerUnavailable, QueueUnavailable):
        return None


def withholds_content(request: web.Request) -> bool:
    """Whether prompts, inputs and outputs are not shown to the caller (R37)."""
    return request[CALLER].scope not in CONTENT_READERS


async def shown(request: web.Request, generation: outcomes.Generation) -> bytes:
    """A generation as the API shows it to the caller, with its queue position, as JSON. Operators see who makes it."""
    (standing,) = await standings(request, [generation])
    return shown_at(request, generation, standing)


def shown_at(request: web.Request, generation: outcomes.Generation, standing: Standing) -> bytes:
    """The same for one of which it is known where it stands."""
    links = None if withholds_content(request) else request.app[LINKS]
    members = generation_members(generation, links, standing)
    if request[CALLER].account is None:
        members["work"] = work_members(generation)
    return to_json(members)


async def shapes(request: web.Request, generations: Sequence[outcomes.Generation]) -> list[GenerationOut]:
    """The same for several, as part of a larger response."""
    stand = await standings(request, generations)
    links = None if withholds_content(request) else request.app[LINKS]
    return [generation_shape(one, links, standing) for one, standing in zip(generations, stand, strict=True)]


async def standings(request: web.Request, generations: Sequence[outcomes.Generation]) -> list[Standing]:
    """Where each of them stands: its queue position, what holds it, and whether its provider is unreachable.

    If the queue does not respond, that is unknown; everything else is still shown.
    """
    if not any(_stands_somewhere(request, one) for one in generations):
        return [UNKNOWN] * len(generations)
    return await _ask(request, generations).standings()


async def own_standing(
    request: web.Request, generation: str, known: outcomes.Generation | None
) -> tuple[outcomes.Generation, Standing]:
    """The generation, if it is one that the caller may see, and where it stands; else NotFound.

    If it is likely to be as it was `known`, everything is asked in one round trip. What that says is for the caller
    only if nothing has changed.
    """
    if known is None or known.account != request[CALLER].account or not _stands_somewhere(request, known):
        current = await own_generation(request, generation, known)
        (standing,) = await standings(request, [current])
        return current, standing
    asked = _ask(request, [known])
    current = await own_generation(request, generation, known)
    (standing,) = await asked.standings() if current is known else await standings(request, [current])
    return current, standing


async def queue_positions(request: web.Request, generations: Sequence[outcomes.Generation]) -> list[int | None]:
    """Queue positions alone, those that are known."""
    asked = [_ask_ranks(request, one) for one in generations]
    return [await _position(ranks) for ranks in asked]


def _stands_somewhere(request: web.Request, generation: outcomes.Generation) -> bool:
    """Whether there is anything to ask about it, beyond what it says itself."""
    return generation.state in _PENDING or _is_slow(request, generation)


@dataclass(slots=True)
class _Asked:
    """What makes a `Standing` of each generation, asked and not yet awaited; whoever has no use for it need not."""

    ranks: Sequence[Sequence[Future[int | None]]]
    """Of each, in the queues where it may be."""
    pauses: Future[list[Pause | None]]
    away: Future[list[bool]]

    async def standings(self) -> list[Standing]:
        """Where each of them stands."""
        positions = [await _position(ranks) for ranks in self.ranks]
        return list(map(Standing, positions, await self.pauses, await self.away))


def _ask(request: web.Request, generations: Sequence[outcomes.Generation]) -> _Asked:
    """Ask, in one round trip with what is asked next; without a task where possible, as clients ask again and again."""
    # What may need a task comes first: a batch has what is asked before its own task begins.
    pauses, away = request.app[PAUSE_BOARD].of_generations(generations), _ask_away(request, generations)
    for one in (pauses, away):
        if not one.done():
            one.add_done_callback(heard)
    return _Asked([_ask_ranks(request, one) for one in generations], pauses, away)


def _ask_ranks(request: web.Request, generation: outcomes.Generation) -> list[Future[int | None]]:
    """Its rank in each queue where it may be: the tool's, its provider's without a free slot, that of rerouted jobs."""
    if generation.state is not State.QUEUED:
        return []
    tool, provider = generation.request.tool, generation.request.provider
    queue, job = request.app[QUEUE], job_id(generation.id, generation.attempt + 1)
    asked = [queue.position(tool, job)]
    table = request.app[RATE_CARDS].card.providers.get(provider)
    if table is not None and Limits.of(table).limited:
        asked.append(request.app[SLOTS].place(provider, generation.id))
    if table is not None and table.key_env is not None:  # a worker may have rerouted it, because it lacks that key
        asked.append(queue.rerouted_position(tool, provider, job))
    for one in asked:
        one.add_done_callback(heard)
    return asked


async def _position(ranks: Sequence[Future[int | None]]) -> int | None:
    found = None
    with suppress(QueueUnavailable):
        for rank in ranks:
            found = await rank if found is None else found
    return found


def _ask_away(request: web.Request, generations: Sequence[outcomes.Generation]) -> Future[list[bool]]:
    """Whether the provider is unreachable of each that runs, has been for some seconds, and made no progress."""
    slow = [one.request.provider if _is_slow(request, one) else None for one in generations]
    if not any(slow):
        return done([False] * len(generations))
    return asyncio.ensure_future(_away(request, slow))


async def _away(request: web.Request, slow: Sequence[str | None]) -> list[bool]:
    away = set[str]()
    with suppress(QueueUnavailable):
        away = await request.app[SLOTS].away(filter(None, slow))
    return [provider in away for provider in slow]


def _is_slow(request: web.Request, generation: outcomes.Generation) -> bool:
    return (
        generation.state is State.RUNNING
        and not generation.progress_thousandths
        and (generation.started_at or 0) < now_ms() - SLOW_MS
        and generation.request.provider in request.app[RATE_CARDS].card.providers  # no other is ever unreachable
    )
