"""How many jobs a provider has in work, of all workers together: a slot for each, and a line for who has none.

A slot is a lease in the queue's Redis: whoever has the generation renews it, and one that nobody renews is free again.
While all are taken a generation stands in the provider's line, in the order of the queue, and no worker has it; whoever
frees a slot lets the first ones go on: their slots are kept for them for a lease, and they are dispatched. All is told
by that Redis's own clock, in scripts that each do everything at once. Should its data be lost, slots come back as they
are renewed, and the line as the ledger looks at what is queued, once a minute: until then too many may be in work.

Who holds a slot and who gives it up do so beside their work, over connections that know no order of each other. So what
a process asks for one generation goes one after the other; and should a hold of one that has ended come late all the
same, from another process or out of a connection that hung, its slot is free when that hold is over.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass
from typing import Any
from weakref import WeakValueDictionary

from gateway.clock import now_ms as _now_ms
from gateway.ledger.outcomes import Dispatch
from gateway.queue.asking import ask
from gateway.queue.keys import (
    provider_dispatches_key,
    provider_key,
    provider_outcomes_key,
    provider_queue_key,
    slots_key,
)
from gateway.queue.queue import Queue

UNLIMITED = 1_000_000_000
OUTCOME_STEP_SECONDS = 600
OUTCOME_STEPS = 6
"""What providers did is counted in steps of ten minutes, and shown of the last hour, the step that is now included."""

SUCCEEDED = "succeeded"
UNREACHABLE = "unreachable"
AWAY_SECONDS = 60
"""A provider is away for so long after it could not be reached, unless it made something since: it is asked again by
then, if anything waits for it."""
_STATE_SECONDS = 7 * 86_400
_OUTCOMES_SECONDS = OUTCOME_STEP_SECONDS * (OUTCOME_STEPS + 1)

# What every script begins with: slots that nobody has renewed are free. `fill` lets those go on for whom there is room,
# a hundred at a time at most; the next round of a caretaker goes on from there.
_BEGIN = """
local slots, line, lined = KEYS[1], KEYS[2], KEYS[3]
local limit, kept_ms, id = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3]
local time = redis.call("TIME")
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call("ZREMRANGEBYSCORE", slots, "-inf", string.format("%d", now))

local function keep(generation, ms)
  redis.call("ZADD", slots, string.format("%d", now + ms), generation)
  redis.call("EXPIRE", slots, 86400)
end

local function leave()
  redis.call("ZREM", line, id)
  redis.call("HDEL", lined, id)
end

local function fill(reply)
  local most = 100
  while most > 0 and redis.call("ZCARD", slots) < limit do
    local first = redis.call("ZPOPMIN", line)[1]
    if not first then break end
    local dispatch = redis.call("HGET", lined, first)
    redis.call("HDEL", lined, first)
    if dispatch then
      keep(first, kept_ms)
      if dispatch ~= "" then table.insert(reply, dispatch) end
      most = most - 1
    end
  end
  return reply
end
"""
# Those in the line go first; so if there is room left, nobody stands in it. Who stands in it and comes by another way
# (the ledger looks at it once a minute) is not to be dispatched as well.
_ENTER = f"""{_BEGIN}
if redis.call("HEXISTS", lined, id) == 1 then redis.call("HSET", lined, id, "") end
local reply = fill({{}})
local inside = redis.call("ZSCORE", slots, id) or redis.call("ZCARD", slots) < limit
leave()
if inside then keep(id, kept_ms) end
table.insert(reply, 1, inside and "1" or "0")
return reply
"""
_LINE_UP = f"""{_BEGIN}
redis.call("ZREM", slots, id)
redis.call("ZADD", line, ARGV[4], id)
redis.call("HSET", lined, id, ARGV[5])
redis.call("EXPIRE", line, 172800)
redis.call("EXPIRE", lined, 172800)
return fill({{}})
"""
_HOLD = f"""{_BEGIN}
leave()
keep(id, kept_ms)
return {{}}
"""
_RELEASE = f"""{_BEGIN}
leave()
redis.call("ZREM", slots, id)
return fill({{}})
"""
_FILL = f"""{_BEGIN}
return fill({{}})
"""


@dataclass(frozen=True, slots=True)
class SlotResult:
    """Whether a generation has a slot now, and who else was let go on: to be dispatched."""

    inside: bool
    released: Sequence[Dispatch]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderState:
    """How a provider is doing. Times in milliseconds; `outcomes` of the last hour."""

    in_work: int
    in_line: int
    succeeded_at: int | None
    failed_at: int | None
    unreachable_at: int | None
    outcomes: Mapping[str, int]

    def is_away(self, now_ms: int) -> bool:
        """Whether nobody reaches it just now, as far as is known."""
        at = self.unreachable_at
        return at is not None and at > (self.succeeded_at or 0) and at > now_ms - AWAY_SECONDS * 1000


class Slots:
    """The slots of all providers. Every method raises QueueUnavailable when the queue's Redis gives no answer.

    `limit` is the provider's `max_in_work`, None if it has none: then everyone has a slot, and they are only counted.
    """

    def __init__(self, queue: Queue, *, lease_ms: int) -> None:
        """A slot that is not renewed is free after `lease_ms`."""
        self._redis = queue.redis
        self._lease_ms = lease_ms
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()  # each as long as it is waited for

    async def enter(self, provider: str, limit: int | None, generation: str) -> SlotResult:
        """Take a slot if there is one that nobody in the line waits for."""
        inside, *released = await self._run(_ENTER, provider, limit, self._lease_ms, generation)
        return SlotResult(inside == b"1", _dispatches(released))

    async def line_up(self, provider: str, limit: int | None, dispatch: Dispatch) -> Sequence[Dispatch]:
        """Stand in the line; who may go on by now, itself perhaps among them."""
        text = json.dumps(astuple(dispatch), separators=(",", ":"))
        words = (dispatch.score, text)
        return _dispatches(await self._run(_LINE_UP, provider, limit, self._lease_ms, dispatch.generation, *words))

    async def hold(self, provider: str, generation: str, *, for_ms: int | None = None) -> None:
        """Keep a slot for a lease, or so long, whether there is room or not: its provider has the job."""
        await self._run(_HOLD, provider, None, for_ms or self._lease_ms, generation)

    async def release(self, provider: str, limit: int | None, generation: str) -> Sequence[Dispatch]:
        """Give up the slot, or the place in the line; who may go on now."""
        return _dispatches(await self._run(_RELEASE, provider, limit, self._lease_ms, generation))

    async def fill(self, limits: Mapping[str, int | None]) -> Sequence[Dispatch]:
        """Who may go on by now, of all these providers, whatever became of the slots before."""
        commands = [_command(_FILL, provider, limit, self._lease_ms, "") for provider, limit in limits.items()]
        return [
            each for answer in (await ask(self._redis, *commands) if commands else ()) for each in _dispatches(answer)
        ]

    async def places(self, standing: Sequence[tuple[str, str]]) -> list[int | None]:
        """For each (provider, generation) how many stand before it in the line; None if it does not."""
        if not standing:
            return []
        ranks = await ask(self._redis, *(("ZRANK", provider_queue_key(provider), one) for provider, one in standing))
        return [None if rank is None else int(rank) for rank in ranks]

    async def note(self, provider: str, outcome: str) -> None:
        """Count what a provider did, for operators: `succeeded`, a failure's code, `unreachable` or `busy`."""
        at_ms = _now_ms()
        at = "succeeded_at" if outcome == SUCCEEDED else "failed_at"
        counts = provider_outcomes_key(provider, at_ms // 1000 // OUTCOME_STEP_SECONDS)
        await ask(
            self._redis,
            ("HSET", provider_key(provider), at, at_ms),
            *([("HSET", provider_key(provider), "unreachable_at", at_ms)] if outcome == UNREACHABLE else []),
            ("EXPIRE", provider_key(provider), _STATE_SECONDS),
            ("HINCRBY", counts, outcome, 1),
            ("EXPIRE", counts, _OUTCOMES_SECONDS),
        )

    async def states(self, providers: Iterable[str]) -> dict[str, ProviderState]:
        """How each provider is doing, in one round trip."""
        providers, at_ms = list(providers), _now_ms()
        step = at_ms // 1000 // OUTCOME_STEP_SECONDS
        commands: list[tuple[Any, ...]] = []
        for name in providers:
            commands += [("ZCOUNT", slots_key(name), f"({at_ms}", "+inf"), ("ZCARD", provider_queue_key(name))]
            commands += [("HGETALL", provider_key(name))]
            commands += [("HGETALL", provider_outcomes_key(name, step - back)) for back in range(OUTCOME_STEPS)]
        answers = await ask(self._redis, *commands) if commands else []
        width = 3 + OUTCOME_STEPS
        return {name: _state(answers[index * width : (index + 1) * width]) for index, name in enumerate(providers)}

    async def _run(
        self, script: str, provider: str, limit: int | None, kept_ms: int, generation: str, *words: str | int
    ) -> list[bytes]:
        turn = self._turns.setdefault(generation, asyncio.Lock())
        async with turn:
            (answer,) = await ask(self._redis, _command(script, provider, limit, kept_ms, generation, *words))
        found: list[bytes] = answer
        return found


def _command(script: str, provider: str, limit: int | None, kept_ms: int, *words: str | int) -> tuple[str | int, ...]:
    keys = slots_key(provider), provider_queue_key(provider), provider_dispatches_key(provider)
    return ("EVAL", script, len(keys), *keys, UNLIMITED if limit is None else limit, kept_ms, *words)


def _dispatches(texts: Iterable[bytes]) -> list[Dispatch]:
    return [Dispatch(*json.loads(text)) for text in texts]


def _state(answers: Sequence[Any]) -> ProviderState:
    in_work, in_line, times, *counts = answers
    outcomes: dict[str, int] = {}
    for one in counts:
        for outcome, count in one.items():
            outcomes[outcome.decode()] = outcomes.get(outcome.decode(), 0) + int(count)
    return ProviderState(
        in_work=in_work,
        in_line=in_line,
        succeeded_at=_time(times, b"succeeded_at"),
        failed_at=_time(times, b"failed_at"),
        unreachable_at=_time(times, b"unreachable_at"),
        outcomes=outcomes,
    )


def _time(times: Mapping[bytes, bytes], name: bytes) -> int | None:
    found = times.get(name)
    return None if found is None else int(found)
