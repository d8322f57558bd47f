"""`max_in_work`: a provider with a limit, a line for those beyond it, and slots that come back whatever happens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from gateway.domain import FINAL_STATES, FailureCode, PauseKind, State
from gateway.errors import ProviderFailed
from gateway.ledger.outcomes import Generation, Unchanged
from gateway.queue.keys import slots_key
from gateway.queue.slots import Limits, ProviderState
from gateway.tasks import cancel
from tests.until import until
from tests.workers.scripted import Scene, Scripted, picture
from tests.workers.stage import LEASE_SECONDS, ROOT, Stage, caretaker_in, open_place
from workers.attempts.generate import generate
from workers.attempts.slot import fill_slots
from workers.providers import Pending, ProviderRequest, Result

TABLE = """
[providers.scripted]
kind = "http"
base_url = "http://127.0.0.1:9"
max_in_work = {limit}
"""


LACKING = """
[providers.locked]
kind = "fal"
key_env = "FAREBOX_TEST_NO_SUCH_KEY"
"""


@dataclass
class Limited(Scene):
    """A scene whose provider `scripted` takes so many jobs at a time, by a card that tests may change."""

    card: Path

    async def limit(self, limit: int) -> None:
        """Change the rate card, and wait until it is in force."""
        self.card.write_text((ROOT / "pricing.toml").read_text() + TABLE.format(limit=limit))
        await until(lambda: self._follows(limit))

    async def _follows(self, limit: int) -> bool:
        return self.place.providers.card.providers["scripted"].max_in_work == limit

    async def state(self) -> ProviderState:
        return (await self.place.slots.states(["scripted"]))["scripted"]

    async def in_work(self, count: int) -> None:
        await until(lambda: self._has(count))

    async def _has(self, count: int) -> bool:
        return (await self.state()).in_work == count

    async def found(self, generation: str) -> Generation:
        return await self.stage.generation(generation)

    async def age(self, generation: str, milliseconds: int) -> None:
        """As if so much time had passed for a generation."""
        name = f"{{fb{generation[4:6]}}}"
        redis = self.stage.queue.redis
        for moment in ("give_up_at", "queued_at"):
            known = await redis.hget(f"{name}:generation:{generation}", moment)  # type: ignore[misc]
            if known is not None:
                await redis.hset(f"{name}:generation:{generation}", moment, str(int(known) - milliseconds))  # type: ignore[misc]
        await redis.zincrby(f"{name}:deadlines", -milliseconds, generation)

    async def waiting_for_slot(self) -> str:
        """A generation that stands in the line."""
        found = await self.attempted()
        assert found.state is State.QUEUED
        return found.id


class Held(Scripted):
    """A provider whose jobs end when the test says so; `inside` are those it has in work now."""

    def __init__(self, refs: bool = True) -> None:  # noqa: FBT001, FBT002 - what it is
        super().__init__([])
        self.ended = asyncio.Event()
        self.inside: set[str] = set()
        self.most = 0
        self._refs = refs

    async def submit(self, request: ProviderRequest) -> str | None:
        self.inside.add(request.generation)
        self.most = max(self.most, len(self.inside))
        return f"job-of-{request.generation}" if self._refs else None

    async def results(self, ref: str | None, request: ProviderRequest) -> AsyncGenerator[Result]:
        del ref
        try:
            await self.ended.wait()
            yield picture(0)
        finally:
            self.inside.discard(request.generation)


@pytest.fixture
async def scene(stage: Stage, tmp_path: Path) -> AsyncIterator[Limited]:
    card = tmp_path / "pricing.toml"
    card.write_text((ROOT / "pricing.toml").read_text() + TABLE.format(limit=1))
    async with open_place(stage, card) as place:
        yield Limited(stage, place, asyncio.Event(), card)


async def running(scene: Limited, provider: Held) -> tuple[str, asyncio.Task[None]]:
    """A generation that the provider has in work, and its attempt."""
    scene.place.providers.give("scripted", provider)
    generation = (await scene.reserve()).generation.id
    task = asyncio.create_task(scene.attempt(generation))
    await until(partial(_holds, provider, generation))
    return generation, task


async def _holds(provider: Held, generation: str) -> bool:
    return generation in provider.inside


async def test_without_a_free_slot_it_joins_the_provider_queue_and_its_worker_is_free(scene: Limited) -> None:
    provider = Held()
    first, task = await running(scene, provider)
    second = await scene.waiting_for_slot()
    found = await scene.found(second)
    assert (found.failures, found.started_at, found.attempt) == (0, None, 0)
    assert provider.most == 1
    assert (await scene.state()).queued == 1
    provider.ended.set()
    await task
    await scene.dispatched(second, 1)
    await scene.attempt(second)
    for generation in (first, second):
        assert (await scene.found(generation)).state is State.SUCCEEDED
    await scene.in_work(0)
    assert provider.most == 1


async def test_the_line_keeps_the_order_in_which_they_were_made(scene: Limited) -> None:
    provider = Held()
    _, task = await running(scene, provider)
    reserved = [(await scene.reserve()).generation for _ in range(4)]
    for generation in reversed(reserved):
        await scene.attempt(generation.id)
    order = [one.id for one in sorted(reserved, key=lambda one: (one.created_at, one.id))]
    provider.ended.set()
    await task
    for place, name in enumerate(order):
        await scene.dispatched(name, 1)
        places = [await scene.place.slots.place("scripted", one) for one in order[place:]]
        assert places == [None, *range(len(places) - 1)]
        await scene.attempt(name)


async def test_a_parked_job_keeps_its_slot_until_it_has_ended(scene: Limited, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workers.attempts.parking._STAY_SECONDS", 0)
    scene.provide([Pending(0.5)], [picture(0)], [picture(0)])
    first = (await scene.reserve()).generation.id
    await scene.attempt(first)
    assert (await scene.found(first)).looks == 1
    until_ms = await scene.stage.queue.redis.zscore(slots_key("scripted"), first)
    assert until_ms is not None
    assert until_ms > await scene.stage.queue.now() + 60_000, "longer than until its next look"
    second = await scene.waiting_for_slot()
    await scene.attempt(first, 2)
    await scene.dispatched(second, 1)


async def test_a_job_that_is_resumed_does_not_wait_for_room(scene: Limited, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workers.attempts.parking._STAY_SECONDS", 0)
    scene.provide([Pending()], [None], [picture(0)])
    first = (await scene.reserve()).generation.id
    await scene.attempt(first)
    await scene.place.tasks.finish()  # it holds its slot beside its work
    await scene.stage.queue.redis.delete(slots_key("scripted"))  # lapsed, say, or the queue has lost its data
    other = asyncio.create_task(scene.attempt((await scene.reserve()).generation.id))
    await scene.in_work(1)
    await scene.attempt(first, 2)
    assert (await scene.found(first)).state is State.SUCCEEDED
    await cancel(other)


async def test_a_paused_one_leaves_the_worker_the_queue_and_its_slot_and_starts_when_it_is_resumed(
    scene: Limited,
) -> None:
    provider, ledger = Held(), scene.stage.ledger
    scene.place.providers.give("scripted", provider)
    generation = await scene.stage.order(provider="scripted")
    await scene.dispatched(generation, 1)
    await ledger.pause(kind=PauseKind.PROVIDER, name="scripted", reason="it is down")
    job = {"context": scene.place, "tool": "image", "hand_back": scene.hand_back}
    await generate(job, generation, 1, "scripted")
    assert (await scene.found(generation)).state is State.QUEUED
    assert not await scene.is_due(f"{generation}:1")
    await scene.in_work(0)
    assert await ledger.end_pause(kind=PauseKind.PROVIDER, name="scripted")
    await ledger.recheck([generation])
    await caretaker_in(scene.place).make_round()
    await scene.dispatched(generation, 1)
    attempt = asyncio.create_task(generate(job, generation, 1, "scripted"))
    await until(partial(_holds, provider, generation))
    provider.ended.set()
    await attempt
    assert (await scene.found(generation)).state is State.SUCCEEDED


async def test_a_retrys_pause_frees_the_slot(scene: Limited) -> None:
    scene.provide([ProviderFailed("boom")])
    generation = (await scene.attempted()).id
    assert (await scene.found(generation)).state is State.QUEUED
    await scene.in_work(0)


async def test_a_hand_back_keeps_the_slot_of_a_job_that_goes_on_and_frees_that_of_one_that_does_not(
    scene: Limited,
) -> None:
    for refs, left in ((True, 1), (False, 0)):
        await scene.stage.queue.redis.delete(slots_key("scripted"))
        _, task = await running(scene, Held(refs=refs))
        scene.hand_back.set()
        await task
        scene.hand_back.clear()
        await scene.in_work(left)


async def test_a_limit_that_is_raised_lets_the_next_ones_go_on_within_a_round(scene: Limited) -> None:
    provider = Held()
    _, task = await running(scene, provider)
    second, third = await scene.waiting_for_slot(), await scene.waiting_for_slot()
    watching = asyncio.create_task(scene.place.providers._cards.watch())  # noqa: SLF001 - as `open_context` does
    await scene.limit(3)
    await fill_slots(scene.place)
    for generation in (second, third):
        await scene.dispatched(generation, 1)
    await cancel(watching)
    provider.ended.set()
    await task


class Deaf(Held):
    """A provider that never answers a submit."""

    async def submit(self, request: ProviderRequest) -> str | None:
        await super().submit(request)
        await asyncio.get_running_loop().create_future()
        return None


@pytest.mark.parametrize("provider", [Deaf(), Held()], ids=["while it submits", "after the ref was noted"])
async def test_a_worker_that_dies_leaves_a_slot_that_is_free_after_a_lease(scene: Limited, provider: Held) -> None:
    first, task = await running(scene, provider)
    await cancel(task)  # nothing is said to anybody
    second = await scene.waiting_for_slot()
    held_for_ms = await scene.stage.queue.redis.zincrby(slots_key("scripted"), -LEASE_SECONDS * 1000, first)
    assert held_for_ms <= await scene.stage.queue.now(), "for a lease, and no longer"
    await fill_slots(scene.place)
    await scene.dispatched(second, 1)
    assert (await scene.place.slots.acquire("scripted", Limits(1), second)).acquired
    assert (await scene.found(first)).state not in FINAL_STATES


async def test_a_parked_job_that_the_provider_never_ends_is_refunded_stopped_and_gives_its_slot_up(
    scene: Limited, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.attempts.parking._STAY_SECONDS", 0)
    provider = scene.provide([Pending()])
    first = (await scene.reserve(provider_timeout_ms=60_000)).generation.id
    await scene.attempt(first)
    second = await scene.waiting_for_slot()
    await scene.age(first, 61_000)
    await caretaker_in(scene.place).make_round()
    ended = await scene.found(first)
    assert (ended.state, ended.error, ended.committed_millicredits) == (State.FAILED, FailureCode.PROVIDER_TIMEOUT, 0)
    await scene.dispatched(second, 1)
    assert provider.cancelled == ["ref-1"]
    late = await scene.stage.ledger.call_back(generation=first, job="ref-1")
    assert isinstance(late, Unchanged)
    await scene.attempt(first, 2)
    assert (await scene.found(first)).outputs == (), "what comes late is discarded"


async def test_a_providers_results_are_shown_to_operators(scene: Limited) -> None:
    scene.provide([picture(0)], [ProviderFailed("boom")])
    for _ in range(2):
        await scene.attempt((await scene.reserve()).generation.id)
    await until(partial(_noted, scene))
    state = await scene.state()
    assert state.outcomes == {"succeeded": 1, "provider_failed": 1}
    assert (state.failure, state.failure_detail) == ("provider_failed", "boom")
    assert state.succeeded_at is not None
    assert state.failed_at is not None


async def _noted(scene: Limited) -> bool:
    return sum((await scene.state()).outcomes.values()) == 2


@dataclass
class Reads:
    """The ledger's scripts that ran before attempts had begun, of jobs that came out of the queue."""

    scene: Limited
    scripts: list[str]

    async def of(self, provider: str, *, named: bool = True) -> int:
        """Order, claim the job and begin it; how often the generation was read for that."""
        reserved = await self.scene.stage.reserve(provider=provider)
        assert reserved.dispatch is not None
        await self.scene.dispatched(reserved.generation.id, 1)
        if not named:
            await self.scene.stage.queue.dispatch([replace(reserved.dispatch, provider="")])
        (job,) = await self.scene.stage.queue.claim("image", limit=1, claim_ms=60_000)
        context = {"context": self.scene.place, "tool": "image", "hand_back": asyncio.Event()}
        self.scripts.clear()
        await generate(context, reserved.generation.id, 1, job.provider)
        assert (await self.scene.found(reserved.generation.id)).state is State.SUCCEEDED
        return self.scripts[: self.scripts.index("begin")].count("generation")


def note_scripts(scene: Limited, monkeypatch: pytest.MonkeyPatch) -> Reads:
    """From now on note each script that the scene runs in the ledger."""
    scripts: list[str] = []
    run = scene.place.ledger.run

    def noted(name: str, key: str, /, **arguments: Any) -> Any:
        scripts.append(name)
        return run(name, key, **arguments)

    monkeypatch.setattr(scene.place.ledger, "run", noted)
    return Reads(scene, scripts)


async def test_a_limit_costs_the_jobs_of_other_providers_no_read(
    scene: Limited, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One `max_in_work` on the card had every job of every model read from the ledger before it began."""
    reads = note_scripts(scene, monkeypatch)
    scene.provide([picture(0)])
    scene.place.providers.give("free", Scripted([[picture(0)]]))
    assert await reads.of("free") == 0
    assert await reads.of("scripted") == 1


async def test_a_job_of_the_version_before_is_read_and_kept_to_the_limit(
    scene: Limited, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It names no provider."""
    reads = note_scripts(scene, monkeypatch)
    scene.provide([picture(0)])
    assert await reads.of("scripted", named=False) == 1


async def test_a_missing_key_costs_the_jobs_of_other_providers_no_read(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = tmp_path / "pricing.toml"
    card.write_text((ROOT / "pricing.toml").read_text() + LACKING)
    async with open_place(stage, card) as place:
        assert place.providers.any_missing
        place.providers.give("free", Scripted([[picture(0)], [picture(0)]]))
        reads = note_scripts(Limited(stage, place, asyncio.Event(), card), monkeypatch)
        assert await reads.of("free") == 0
        assert await reads.of("free", named=False) == 1
