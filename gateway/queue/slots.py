"""Limits a provider's jobs across all workers: one slot per job, and a queue for those waiting for a slot.

A slot is a lease in the queue's Redis: the process that runs the generation renews it, and it lapses otherwise. While
all slots are taken, a generation waits in the provider's queue, in the order of the tool's queue; no worker has it.
When a slot is freed, the first in the queue gets it for one lease and is dispatched. No slot is free while a provider
has been given its jobs of this minute, or its breaker is open (`lua/lib/slots.lua`, `lua/note_outcome.lua`).
Everything uses that Redis's clock, in atomic scripts. If its data is lost, slots come back with their renewals, and the
queue when the ledger checks queued generations, once a minute: until then a provider may get too many jobs.

Slots are held and released in the background, over connections that do not preserve order. So each process sends its
commands for one generation one after the other. If a hold for an ended generation still arrives late, from another
process or a connection that hung, its slot lapses when that hold expires.
"""

from __future__ import annotations

import asyncio
import json
from asyncio import Future
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass
from typing import Any, Literal
from weakref import WeakValueDictionary

from gateway.clock import now_ms as _now_ms
from gateway.domain import FailureCode
from gateway.ledger.outcomes import Dispatch
from gateway.pricing.providers import ProviderTable
from gateway.queue.keys import (
    breaker_key,
    provider_dispatches_key,
    provider_key,
    provider_outcomes_key,
    provider_queue_key,
    requests_key,
    slots_key,
)
from gateway.queue.queue import SCRIPTS, Queue
from gateway.queue.redis_calls import execute
from gateway.redis_link.scripts import Argument

UNLIMITED = 1_000_000_000
MINUTE_SECONDS = 60
OUTCOME_STEP_SECONDS = 600
OUTCOME_STEPS = 6
"""Results of providers are counted in steps of ten minutes, and shown for the last hour including the current step."""

SUCCEEDED = "succeeded"
UNREACHABLE = "unreachable"
BUSY = "busy"
LATE_SUCCESS = "late_success"
"""It finished a job of a generation that another one makes meanwhile."""
_BREAKING = {SUCCEEDED: SUCCEEDED, BUSY: BUSY, UNREACHABLE: "failed", FailureCode.PROVIDER_FAILED: "failed"}
"""What moves a breaker; other results only say that the provider answers."""
AWAY_SECONDS = 60
"""A provider counts as unreachable for this long after a failed connection, unless a job has succeeded since. By then
it has been called again, if anything is waiting for it."""
_REACHED = ("unreachable_at", "succeeded_at")
_STATE_SECONDS = 7 * 86_400
_OUTCOMES_SECONDS = OUTCOME_STEP_SECONDS * (OUTCOME_STEPS + 1)


@dataclass(frozen=True, slots=True)
class Limits:
    """When a provider takes another job; None: always. Times in milliseconds."""

    max_in_work: int | None = None
    requests_per_minute: int | None = None
    open_after: int | None = None
    within_ms: int = 60_000
    open_for_ms: int = 30_000

    @classmethod
    def of(cls, table: ProviderTable) -> Limits:
        """Those of a provider's table."""
        limits = table.max_in_work, table.requests_per_minute, table.open_after
        return cls(*limits, within_ms=table.within_ms, open_for_ms=table.open_for_ms)

    @property
    def limited(self) -> bool:
        """Whether there is any."""
        return (self.max_in_work, self.requests_per_minute, self.open_after) != (None, None, None)

    @property
    def text(self) -> str:
        """As the scripts take them."""
        most = UNLIMITED if self.max_in_work is None else self.max_in_work
        return f"{most},{self.requests_per_minute or ''},{int(self.open_after is not None)}"


Refusal = Literal["open", "full", "rate"]
"""Why a provider takes no other job now: its breaker, `max_in_work`, `requests_per_minute`."""
_REFUSALS: Mapping[bytes, Refusal | None] = {b"": None, b"open": "open", b"full": "full", b"rate": "rate"}


@dataclass(frozen=True, slots=True)
class SlotResult:
    """Whether the generation has a slot now, or why not; and which others got one and must be dispatched."""

    refusal: Refusal | None
    dispatches: Sequence[Dispatch]

    @property
    def acquired(self) -> bool:
        """Whether it has one."""
        return self.refusal is None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderState:
    """The state of a provider. Times in milliseconds; `outcomes` covers the last hour.

    `opened_at` is when its breaker opened, `opens_until` when it next takes a job as a trial; None: it is closed.
    `failure` is the outcome at `failed_at`, with what was said of it; an older worker noted only the time.
    """

    in_work: int
    queued: int
    succeeded_at: int | None
    failed_at: int | None
    unreachable_at: int | None
    failure: str | None = None
    failure_detail: str = ""
    outcomes: Mapping[str, int]
    requests_last_minute: int = 0
    opened_at: int | None = None
    opens_until: int | None = None

    def is_away(self, now_ms: int) -> bool:
        """Whether it is currently unreachable, as far as is known."""
        return _is_away(self.unreachable_at, self.succeeded_at, now_ms)


class Slots:
    """The slots of all providers. Every method raises QueueUnavailable when the queue's Redis is unavailable.

    Without limits, every job gets a slot, and slots are only counted.
    """

    def __init__(self, queue: Queue, *, lease_ms: int) -> None:
        """A slot that is not renewed lapses after `lease_ms`."""
        self._queue, self._redis = queue, queue.redis
        self._lease_ms = lease_ms
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()  # each as long as it is waited for

    async def acquire(self, provider: str, limits: Limits, generation: str) -> SlotResult:
        """Take a slot for a new job, if the provider takes another one after serving the queue."""
        refusal, *given = await self._run(
            "acquire_slot", provider, generation=generation, kept_ms=self._lease_ms, limits=limits.text
        )
        return SlotResult(_REFUSALS[refusal], _dispatches(given))

    async def enqueue(self, provider: str, limits: Limits, dispatch: Dispatch) -> Sequence[Dispatch]:
        """Wait for a slot. Returns the generations that have just got one, possibly this one."""
        text = json.dumps(astuple(dispatch), separators=(",", ":"))
        given = await self._run(
            "enqueue_for_slot",
            provider,
            generation=dispatch.generation,
            kept_ms=self._lease_ms,
            limits=limits.text,
            score=dispatch.score,
            dispatch=text,
        )
        return _dispatches(given)

    async def hold(self, provider: str, generation: str, *, for_ms: int | None = None, new: bool = False) -> None:
        """Hold a slot for a lease, or for `for_ms`, even beyond the limits: the provider already has the job.

        `new`: it is given the job now, and the generation did not have to `acquire` a slot.
        """
        await self._run("hold_slot", provider, generation=generation, kept_ms=for_ms or self._lease_ms, new=new)

    async def release(self, provider: str, limits: Limits, generation: str) -> Sequence[Dispatch]:
        """Release the slot, or the place in the queue. Returns the generations that got a slot."""
        given = await self._run(
            "release_slot", provider, generation=generation, kept_ms=self._lease_ms, limits=limits.text
        )
        return _dispatches(given)

    async def fill(self, limits: Mapping[str, Limits]) -> Sequence[Dispatch]:
        """Fill all free slots of these providers. Returns the generations that got one."""
        commands = [
            SCRIPTS.command("fill_slots", _keys(provider), kept_ms=self._lease_ms, limits=each.text)
            for provider, each in limits.items()
        ]
        return [
            each
            for answer in (await execute(self._redis, *commands) if commands else ())
            for each in _dispatches(answer)
        ]

    def place(self, provider: str, generation: str) -> Future[int | None]:
        """How many wait before it; None if it is not waiting for a slot. It is asked before it is awaited."""
        return self._queue.command("ZRANK", provider_queue_key(provider), generation)

    async def note(self, provider: str, outcome: str, detail: str = "") -> None:
        """Count a provider's result for operators: `succeeded`, a failure code, `unreachable` or `busy`.

        `detail` says more of a failure, and is kept until the next one.
        """
        at_ms = _now_ms()
        if outcome in {SUCCEEDED, LATE_SUCCESS}:
            last: tuple[Any, ...] = ("succeeded_at", at_ms)
        else:
            last = ("failed_at", at_ms, "failure", outcome, "failure_detail", detail)
        counts = provider_outcomes_key(provider, at_ms // 1000 // OUTCOME_STEP_SECONDS)
        await execute(
            self._redis,
            ("HSET", provider_key(provider), *last),
            *([("HSET", provider_key(provider), "unreachable_at", at_ms)] if outcome == UNREACHABLE else []),
            ("EXPIRE", provider_key(provider), _STATE_SECONDS),
            ("HINCRBY", counts, outcome, 1),
            ("EXPIRE", counts, _OUTCOMES_SECONDS),
        )

    async def note_of(self, generation: str, provider: str, limits: Limits, outcome: str) -> str:
        """Open or close the provider's breaker by how a job ended: `opened`, `closed` or `unchanged`."""
        if limits.open_after is None or outcome not in _BREAKING:
            return "unchanged"
        (answer,) = await execute(
            self._redis,
            SCRIPTS.command(
                "note_outcome",
                (breaker_key(provider),),
                generation=generation,
                outcome=_BREAKING[outcome],
                open_after=limits.open_after,
                within_ms=limits.within_ms,
                open_for_ms=limits.open_for_ms,
            ),
        )
        word: str = answer[0].decode()
        return word

    async def states(self, providers: Iterable[str]) -> dict[str, ProviderState]:
        """The state of each provider, in one round trip."""
        providers, at_ms = list(providers), _now_ms()
        step = at_ms // 1000 // OUTCOME_STEP_SECONDS
        commands: list[tuple[Any, ...]] = []
        for name in providers:
            commands += [("ZCOUNT", slots_key(name), f"({at_ms}", "+inf"), ("ZCARD", provider_queue_key(name))]
            commands += [("HGETALL", key(name)) for key in (provider_key, breaker_key, requests_key)]
            commands += [("HGETALL", provider_outcomes_key(name, step - back)) for back in range(OUTCOME_STEPS)]
        answers = await execute(self._redis, *commands) if commands else []
        width = 5 + OUTCOME_STEPS
        each = (answers[index * width : (index + 1) * width] for index in range(len(providers)))
        return {name: _state(found, at_ms) for name, found in zip(providers, each, strict=True)}

    async def away(self, providers: Iterable[str]) -> set[str]:
        """Which of these providers are unreachable at the moment, as far as is known."""
        names, at_ms = sorted(set(providers)), _now_ms()
        if not names:
            return set()
        times = await self._queue.ask(*(("HMGET", provider_key(name), *_REACHED) for name in names))
        return {
            name
            for name, (unreachable_at, succeeded_at) in zip(names, times, strict=True)
            if _is_away(_whole(unreachable_at), _whole(succeeded_at), at_ms)
        }

    async def _run(self, script: str, provider: str, *, generation: str, **arguments: Argument) -> list[bytes]:
        turn = self._turns.setdefault(generation, asyncio.Lock())
        async with turn:
            (answer,) = await execute(
                self._redis, SCRIPTS.command(script, _keys(provider), generation=generation, **arguments)
            )
        found: list[bytes] = answer
        return found


def _is_away(unreachable_at: int | None, succeeded_at: int | None, now_ms: int) -> bool:
    since = now_ms - AWAY_SECONDS * 1000
    return unreachable_at is not None and unreachable_at > max(succeeded_at or 0, since)


def _keys(provider: str) -> tuple[str, ...]:
    waiting = provider_queue_key(provider), provider_dispatches_key(provider)
    return slots_key(provider), *waiting, breaker_key(provider), requests_key(provider)


def _dispatches(texts: Iterable[bytes]) -> list[Dispatch]:
    return [Dispatch(*json.loads(text)) for text in texts]


def _state(answers: Sequence[Any], at_ms: int) -> ProviderState:
    in_work, queued, times, breaker, requests, *counts = answers
    minute = at_ms // 1000 - MINUTE_SECONDS
    outcomes: dict[str, int] = {}
    for one in counts:
        for outcome, count in one.items():
            outcomes[outcome.decode()] = outcomes.get(outcome.decode(), 0) + int(count)
    return ProviderState(
        in_work=in_work,
        queued=queued,
        succeeded_at=_time(times, b"succeeded_at"),
        failed_at=_time(times, b"failed_at"),
        unreachable_at=_time(times, b"unreachable_at"),
        failure=times[b"failure"].decode() if b"failure" in times else None,
        failure_detail=times.get(b"failure_detail", b"").decode(),
        outcomes=outcomes,
        requests_last_minute=sum(int(count) for second, count in requests.items() if int(second) > minute),
        opened_at=_time(breaker, b"since"),
        opens_until=_time(breaker, b"until"),
    )


def _time(times: Mapping[bytes, bytes], name: bytes) -> int | None:
    return _whole(times.get(name))


def _whole(text: bytes | None) -> int | None:
    return None if text is None else int(text)
