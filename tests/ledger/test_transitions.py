"""Section 4: the legal moves are data, and the scripts make exactly those."""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from itertools import product
from typing import Literal

from gateway.domain import FINAL_STATES, FailureCode, State, operation_id
from gateway.ledger import outcomes
from gateway.ledger.tried import may_change_provider
from gateway.transitions import MOVES, RETRY_PAUSES_MS, RETRYABLE
from tests.ledger.world import DAY, FREE, HOUR, MINUTE, SECOND, TERMS, World, an_output, the

ROUNDS = 12
STEPS = 25
SHORT = replace(TERMS, attempts_max=2, queue_timeout_ms=HOUR, provider_timeout_ms=HOUR)
REFUSALS = (outcomes.Stale, outcomes.TooEarly, outcomes.NotDue, outcomes.Unchanged, outcomes.Stray)
Observed = dict[str, set[tuple[State | None, State]]]


class Walk:
    """One account's generations, pushed about at random; what was seen to move is noted."""

    def __init__(self, world: World, chance: random.Random, seen: Observed, account: str) -> None:
        self.world = world
        self.chance = chance
        self.seen = seen
        self.account = account
        self.states: dict[str, State] = {}
        self.moves: dict[str, Callable[[str, outcomes.Generation], Awaitable[object]]] = {
            "begin": self._begin, "renew": self._renew, "note": self._note, "deliver": self._deliver,
            "park": self._park, "call_back": self._call_back, "wait_for_slot": self._wait_for_slot,
            "progress": self._progress, "assign": self._assign,
            "hand_back": self._hand_back, "settle": self._settle, "cancel": self._cancel,
            "dispatched": self._dispatched, "rescue": self._rescue,
        }  # fmt: skip

    async def reserve(self) -> None:
        """One more generation of two outputs."""
        outcome = await self.world.reserve(self.account, 1_000, outputs=2, terms=SHORT)
        generation = the(outcomes.Reserved, outcome).generation
        self.states[generation.id] = generation.state
        self.seen["reserve"].add((None, generation.state))

    async def step(self) -> None:
        """One move of one generation, legal or not, or some time."""
        generation = self.chance.choice(list(self.states))
        if self.chance.random() < 0.25:
            return await self._pass_time(generation)
        return await self.move(self.chance.choice(list(self.moves)), generation)

    async def move(self, word: str, generation: str) -> None:
        """One move; what refuses may change nothing."""
        before, fields = self.states[generation], await self.world.fields(generation)
        outcome = await self.moves[word](generation, await self.world.generation(generation))
        if outcome is None:
            return None
        after = (await self.world.generation(generation)).state
        if outcome is False or isinstance(outcome, REFUSALS):
            assert await self.world.fields(generation) == fields, f"{word} refused and changed something"
        else:
            assert before not in FINAL_STATES, f"{word} moved a generation that had ended"
            self.seen[word].add((before, after))
        return await self._note_others(generation, after)

    async def _note_others(self, moved: str, after: State) -> None:
        self.states[moved] = after
        for other, known in self.states.items():
            now = (await self.world.generation(other)).state
            if now is not known:
                self.seen["promote"].add((known, now))
                self.states[other] = now

    async def _pass_time(self, generation: str) -> None:
        if self.states[generation] not in FINAL_STATES:
            await self.world.pass_time(generation, self.chance.choice((3 * SECOND, MINUTE, 2 * HOUR, 2 * DAY)))

    def _attempt(self, generation: outcomes.Generation) -> int:
        return generation.attempt if self.chance.random() < 0.9 else generation.attempt + 1

    async def _begin(self, name: str, generation: outcomes.Generation) -> object:
        attempt = generation.attempt + (1 if self.chance.random() < 0.9 else 0)
        return await self.world.ledger.begin(generation=name, attempt=attempt, operation=operation_id())

    async def _renew(self, name: str, generation: outcomes.Generation) -> object:
        return await self.world.ledger.renew(generation=name, attempt=self._attempt(generation))

    async def _note(self, name: str, generation: outcomes.Generation) -> object:
        return await self.world.ledger.note(generation=name, attempt=self._attempt(generation), ref="job")

    async def _deliver(self, name: str, generation: outcomes.Generation) -> object:
        output = an_output(self.chance.randrange(2))
        return await self.world.ledger.deliver(generation=name, attempt=self._attempt(generation), output=output)

    async def _park(self, name: str, generation: outcomes.Generation) -> object:
        if generation.provider_ref is None:
            return None
        attempt = self._attempt(generation)
        return await self.world.ledger.park(generation=name, attempt=attempt, operation=operation_id())

    async def _hand_back(self, name: str, generation: outcomes.Generation) -> object:
        attempt = self._attempt(generation)
        return await self.world.hand_back(name, attempt)

    async def _assign(self, _: str, generation: outcomes.Generation) -> object:
        if not may_change_provider(generation):
            return None
        provider = "sandbox" if generation.request.provider == "other" else "other"
        return await self.world.ledger.assign(generation=generation, provider=provider, provider_model=None)

    async def _wait_for_slot(self, name: str, generation: outcomes.Generation) -> object:
        if generation.provider_ref is not None:
            return None
        return await self.world.ledger.wait_for_slot(generation=name, attempt=self._attempt(generation) + 1)

    async def _settle(self, name: str, generation: outcomes.Generation) -> object:
        failure = self.chance.choice([None, *FailureCode])
        return await self.world.settle(name, failure, self._attempt(generation))

    async def _call_back(self, name: str, _: outcomes.Generation) -> object:
        return await self.world.ledger.call_back(generation=name, job="job")

    async def _progress(self, name: str, _: outcomes.Generation) -> object:
        return await self.world.ledger.progress(generation=name, job="job", thousandths=self.chance.randrange(1000))

    async def _cancel(self, name: str, _: outcomes.Generation) -> object:
        return await self.world.ledger.cancel(generation=name) if self.chance.random() < 0.4 else None

    async def _dispatched(self, name: str, _: outcomes.Generation) -> object:
        deadline = await self.world.deadline(name) or 0
        return name in await self.world.ledger.dispatched({name: deadline})

    async def _rescue(self, name: str, _: outcomes.Generation) -> object:
        deadline = await self.world.deadline(name) or 0
        judge = self.chance.random() < 0.8
        return await self.world.ledger.rescue(generation=name, deadline=deadline, judge_leases=judge)


@dataclass(frozen=True)
class Situation:
    """Where an open generation may be; `age` in milliseconds."""

    state: Literal["waiting", "room", "queued", "handed_back", "running", "parked"]
    delivered: int
    ref: bool
    cancel: bool
    age: int

    def can_be(self) -> bool:
        if self.state in {"waiting", "room", "queued"}:
            return not (self.delivered or self.ref or self.cancel)
        return self.ref or self.state != "parked" if self.state != "handed_back" else not self.cancel


SITUATIONS = [
    situation
    for state in ("waiting", "room", "queued", "handed_back", "running", "parked")
    for delivered, ref, cancel in product((0, 1), (False, True), (False, True))
    for age in (0, MINUTE, 2 * DAY)
    if (situation := Situation(state, delivered, ref, cancel, age)).can_be()
]


async def arrange(walk: Walk, situation: Situation) -> str:
    """Bring a new generation into a situation; its id."""
    world, ledger = walk.world, walk.world.ledger
    for _ in range(3 if situation.state in {"waiting", "room"} else 1):
        await walk.reserve()
    name = list(walk.states)[-1]
    if situation.state in {"handed_back", "running", "parked"}:
        await world.begin(name)
        await world.deliver(name, *range(situation.delivered))
        if situation.ref:
            await ledger.note(generation=name, attempt=1, ref="job")
    if situation.state == "handed_back":
        await ledger.hand_back(generation=name, attempt=1, operation=operation_id())
    if situation.state == "parked":
        await ledger.park(generation=name, attempt=1, operation=operation_id())
    if situation.cancel:
        await ledger.cancel(generation=name)
    if situation.age:
        await world.pass_time(name, situation.age)
    walk.states[name] = (await world.generation(name)).state
    return name


async def test_nothing_leaves_a_final_state(world: World) -> None:
    assert not {state for moves in MOVES.values() for state, _ in moves} & FINAL_STATES
    for failure in (None, FailureCode.MODERATED):
        generation = await world.running(1_000)
        await world.settle(generation, failure)
        async with world.unchanged():
            walk = Walk(world, random.Random(1), defaultdict(set), "ann")
            for move in walk.moves.values():
                await move(generation, await world.generation(generation))


async def every_word_in(world: World, seen: Observed, situation: Situation) -> None:
    """Try each word on a generation of its own, all at once."""
    number = SITUATIONS.index(situation)

    async def begin(word: str) -> tuple[Walk, str]:
        walk = Walk(world, random.Random(f"{number} {word}"), seen, f"{number}-{word}")
        await world.account(walk.account)
        return walk, await arrange(walk, situation)

    async def attempt(walk: Walk, word: str, generation: str) -> None:
        for _ in range({"settle": 3, "begin": 2}.get(word, 1)):  # now and then the attempt's number is wrong
            await walk.move(word, generation)

    words = Walk(world, random.Random(0), seen, "").moves
    begun = await asyncio.gather(*map(begin, words))
    if situation.state == "room":  # a card allows more than the one that it waits under, and nobody has promoted it yet
        await world.publish(free=replace(FREE, concurrency={"image": 3}))
    await asyncio.gather(*(attempt(walk, word, name) for word, (walk, name) in zip(words, begun, strict=True)))
    await world.publish(free=FREE)


async def at_random(world: World, seen: Observed, number: int) -> None:
    """Push the generations of one account about."""
    walk = Walk(world, random.Random(number), seen, f"random-{number}")
    await world.account(walk.account)
    for _ in range(4):
        await walk.reserve()
    for _ in range(STEPS):
        await walk.step()


async def test_the_scripts_make_exactly_the_legal_moves(world: World) -> None:
    """Every word in every situation, then random moves: none is seen that the data lacks, and all that it has are."""
    seen: Observed = defaultdict(set)
    for situation in SITUATIONS:
        await every_word_in(world, seen, situation)
    await asyncio.gather(*(at_random(world, seen, number) for number in range(ROUNDS)))
    for word in MOVES.keys() | seen.keys():
        unknown, unseen = seen[word] - MOVES[word], MOVES[word] - seen[word]
        assert not unknown, f"{word} moved {unknown}, which `gateway.transitions` lacks"
        assert not unseen, f"{word} never moved {unseen}"


async def test_what_is_tried_again_and_how_soon_is_the_same_in_the_data_and_in_the_scripts(world: World) -> None:
    for code in FailureCode:
        generation = await world.running(1_000)
        outcome = await world.settle(generation, code)
        assert isinstance(outcome, outcomes.Requeued) == (code in RETRYABLE)
        if isinstance(outcome, outcomes.Requeued):
            pause = outcome.dispatch.not_before - outcome.dispatch.queued_at
            assert pause == RETRY_PAUSES_MS[0]
            await world.ledger.cancel(generation=generation)
        else:
            ended = the(outcomes.Ended, outcome).generation
            assert (ended.state, ended.error) == (State.FAILED, code)
