"""The caller's generations, for every call that shows one: lookup, queue position, JSON."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
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
from gateway.queue.jobs import job_id
from gateway.queue.slots import Limits
from gateway.schemas.generations import GenerationOut
from gateway.views.generations import Standing, generation_members, generation_shape, work_members

T = TypeVar("T")

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
    """Where each of them stands: its queue position, what holds it, and whether its provider is unreachable."""
    pauses = await request.app[PAUSE_BOARD].of_generations(generations)
    positions, away = await queue_positions(request, generations), await _away(request, generations)
    return list(map(Standing, positions, pauses, away))


async def _away(request: web.Request, generations: Sequence[outcomes.Generation]) -> list[bool]:
    """Whether the provider is unreachable of each that runs, has been for some seconds, and made no progress.

    If the queue does not respond, it is unknown; everything else is still shown.
    """
    begun_before, providers = now_ms() - SLOW_MS, request.app[RATE_CARDS].card.providers
    slow = {
        one.id: one.request.provider
        for one in generations
        if one.state is State.RUNNING
        and not one.progress_thousandths
        and (one.started_at or 0) < begun_before
        and one.request.provider in providers  # no other is ever unreachable
    }
    if not slow:
        return [False] * len(generations)
    away = set[str]()
    with suppress(QueueUnavailable):
        away = await request.app[SLOTS].away(slow.values())
    return [slow.get(one.id) in away for one in generations]


async def queue_positions(request: web.Request, generations: Sequence[outcomes.Generation]) -> list[int | None]:
    """Queue positions: in the tool's queue, the queue of a provider without a free slot, or among rerouted jobs.

    If the queue does not respond, they are unknown; everything else is still shown.
    """
    queued = {generation.id: generation for generation in generations if generation.state is State.QUEUED}
    if not queued:
        return [None] * len(generations)
    jobs = [(one.request.tool, job_id(one.id, one.attempt + 1)) for one in queued.values()]
    try:
        places = dict(zip(queued, await request.app[QUEUE].positions(jobs), strict=True))
        standing = [
            (one.request.provider, one.id) for one in queued.values() if _may_wait_for_slot(request, one, places)
        ]
        places |= zip([one for _, one in standing], await request.app[SLOTS].places(standing), strict=True)
        rerouted = [one for one in queued.values() if places[one.id] is None and _may_be_rerouted(request, one)]
        asked = [(one.request.tool, one.request.provider, job_id(one.id, one.attempt + 1)) for one in rerouted]
        places |= zip([one.id for one in rerouted], await request.app[QUEUE].rerouted_positions(asked), strict=True)
    except QueueUnavailable:
        places = {}
    return [places.get(generation.id) for generation in generations]


def _may_wait_for_slot(request: web.Request, generation: outcomes.Generation, places: Mapping[str, int | None]) -> bool:
    table = request.app[RATE_CARDS].card.providers.get(generation.request.provider)
    return table is not None and Limits.of(table).limited and places[generation.id] is None


def _may_be_rerouted(request: web.Request, generation: outcomes.Generation) -> bool:
    """Whether a worker may have rerouted it, because it lacks the provider's key."""
    table = request.app[RATE_CARDS].card.providers.get(generation.request.provider)
    return table is not None and table.key_env is not None
