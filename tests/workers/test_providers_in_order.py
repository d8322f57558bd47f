"""R30: a model with several providers is made by the first that takes the job, and never by two at once."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.domain import EntryKind, FailureCode, PauseKind, State
from gateway.errors import (
    InputUnavailable,
    Moderated,
    ProviderBusy,
    ProviderError,
    ProviderFailed,
    ProviderNotSetUp,
    ProviderRejected,
    ProviderUnreachable,
)
from gateway.ledger.outcomes import Ended, Generation, Requeued
from gateway.ledger.records import decode_entry
from gateway.queue.keys import breaker_key
from gateway.queue.slots import Limits, ProviderState
from tests.cases import cases
from tests.until import until
from tests.workers.scripted import Line, Scene, Scripted, picture
from tests.workers.stage import ROOT, Stage, open_place
from workers.attempts.generate import generate, stop
from workers.metrics import LATE_SUCCESSES
from workers.providers import Pending

TABLES = """
[providers.a]
kind = "http"
base_url = "http://127.0.0.1:9"
{limits}
[providers.b]
kind = "http"
base_url = "http://127.0.0.1:9"
[providers.locked]
kind = "http"
base_url = "http://127.0.0.1:9"
key_env = "FAREBOX_TEST_NO_SUCH_KEY"
"""
BREAKER = "open_after = 2"
REFUSED = ProviderUnreachable("no connection", refused=True)
LOST = ProviderUnreachable("its response was lost")


class Two(Scene):
    """A scene whose model is made by `a`, then `b`."""

    a: Scripted
    b: Scripted

    def scripts(self, a: list[list[Line]] | None = None, b: list[list[Line]] | None = None) -> None:
        """What each has to say; without anything, it makes one picture after the other."""
        self.a, self.b = Scripted(a or [[picture(0)]] * 9), Scripted(b or [[picture(0)]] * 9)
        self.place.providers.give("a", self.a)
        self.place.providers.give("b", self.b)

    async def ordered(self, **terms: int) -> str:
        return (await self.stage.reserve(provider="a", providers=("a", "b"), terms=terms)).generation.id

    async def made(self, generation: str | None = None, **terms: int) -> Generation:
        """A generation, after as many attempts as it takes, without pauses."""
        generation = generation or await self.ordered(**terms)
        for _ in range(9):
            found = await self.stage.generation(generation)
            if found.state is not State.QUEUED:
                return found
            await generate(self.context, generation, found.attempt + 1, found.request.provider)
        raise AssertionError(f"{generation} is still queued")

    @property
    def context(self) -> dict[str, object]:
        return {"context": self.place, "tool": "image", "hand_back": self.hand_back}

    async def state(self, provider: str = "a") -> ProviderState:
        return (await self.place.slots.states([provider]))[provider]

    async def rescue(self, generation: str) -> object:
        """As a caretaker does once its deadline has passed."""
        await self.stage.ledger.redis.zadd(f"{{fb{generation[4:6]}}}:deadlines", {generation: 1})
        return await self.stage.ledger.rescue(generation=generation, deadline=1, judge_leases=True)

    async def opened(self) -> bool:
        return (await self.state()).opens_until is not None

    async def open_breaker(self) -> None:
        """Have `a` refuse two jobs."""
        self.a.refuse_submits = [REFUSED, REFUSED]
        assert [(await self.made()).request.provider for _ in range(2)] == ["b", "b"]
        await until(self.opened)

    async def let_time_pass(self) -> None:
        """As if `a` had been left alone for long enough."""
        await self.stage.queue.redis.hset(breaker_key("a"), "until", "1")  # type: ignore[misc]

    def asked(self) -> tuple[int, int]:
        """How many jobs each has been given."""
        return len(self.a.submitted), len(self.b.submitted)


async def opened_scene(stage: Stage, tmp_path: Path, limits: str, providers: str = '["a", "b"]') -> AsyncIterator[Two]:
    card = tmp_path / "pricing.toml"
    text = (ROOT / "pricing.toml").read_text()
    model = re.sub(r'(?ms)(^\[models\.nano-banana-2\]$.*?^)provider = "sandbox"', rf"\1providers = {providers}", text)
    card.write_text(model + TABLES.format(limits=limits))
    async with open_place(stage, card) as place:
        scene = Two(stage, place, asyncio.Event())
        scene.scripts()
        yield scene


@pytest.fixture
async def scene(stage: Stage, tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Two]:
    async for scene in opened_scene(stage, tmp_path, getattr(request, "param", "")):
        yield scene


def is_charged_once(made: Generation) -> bool:
    kinds = [decode_entry(text).kind for text in made.entry_texts]
    return kinds == [EntryKind.RESERVE, EntryKind.COMMIT] and made.committed_millicredits == made.price_millicredits


@cases(
    "refusal",
    [
        REFUSED,
        ProviderBusy("429"),
        ProviderFailed("it responded with 500", refused=True),
        ProviderNotSetUp("its account is out of funds"),
    ],
)
async def test_refused_by_the_first_it_is_made_by_the_second_and_charged_once(
    scene: Two, refusal: ProviderError
) -> None:
    scene.scripts()
    scene.a.refuse_submits = [refusal]
    made = await scene.made(attempts_max=1)
    assert (made.state, made.failures, made.attempt, made.request.provider) == (State.SUCCEEDED, 0, 2, "b")
    assert [(one.provider, one.result, one.times) for one in made.tried] == [("a", "refused", 1)]
    assert scene.asked() == (0, 1)
    assert is_charged_once(made)


async def test_a_job_that_failed_at_the_first_is_made_by_the_second_at_once(scene: Two) -> None:
    scene.a.scripts[0] = [Pending(), ProviderFailed("out of memory")]
    made = await scene.made(attempts_max=1)
    assert (made.state, made.failures, made.request.provider) == (State.SUCCEEDED, 1, "b")
    assert [(one.provider, one.result) for one in made.tried] == [("a", "provider_failed")]
    assert scene.asked() == (1, 1)
    assert is_charged_once(made)
    await until(lambda: scene.a.cancelled == ["ref-1"])  # in case that it still runs


async def test_failed_by_both_it_is_refunded(scene: Two) -> None:
    scene.scripts([[ProviderFailed("no")]], [[ProviderFailed("no")]])
    made = await scene.made(attempts_max=1)
    assert (made.error, made.committed_millicredits) == (FailureCode.PROVIDER_FAILED, 0)
    assert [(one.provider, one.result) for one in made.tried] == [("a", "provider_failed"), ("b", "provider_failed")]
    assert scene.asked() == (1, 1)


@cases("verdict", [ProviderRejected("this prompt"), Moderated("nsfw")])
async def test_what_one_rejects_no_other_is_asked_for(scene: Two, verdict: ProviderError) -> None:
    scene.scripts([[verdict]])
    made = await scene.made()
    assert (made.state, made.error, scene.asked()) == (State.FAILED, verdict.code, (1, 0))


async def test_with_its_answer_lost_it_is_asked_again_and_no_other(scene: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may have the job: what it says later of the same job, that it is busy, does not change that."""
    monkeypatch.setattr("workers.attempts.provider_session._UNREACHABLE_PAUSES_SECONDS", (0,))
    scene.a.refuse_submits = [LOST, REFUSED, ProviderFailed("it responded with 500", refused=True)]
    made = await scene.made()
    assert (made.state, made.request.provider, scene.asked()) == (State.SUCCEEDED, "a", (1, 0))


async def test_a_failed_submit_that_may_have_made_a_job_is_tried_again_there(scene: Two) -> None:
    """A vendor without idempotency keys, whose answer was lost."""
    scene.a.refuse_submits = [ProviderFailed("its response to POST was lost")]
    generation = await scene.ordered()
    await scene.attempt(generation)
    await scene.stage.set_pause(generation)
    made = await scene.made(generation)
    assert (made.request.provider, made.failures, scene.asked()) == ("a", 1, (1, 0))


async def test_after_a_crash_it_goes_back_to_the_same_provider(scene: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workers.attempts.provider_session._UNREACHABLE_PAUSES_SECONDS", (0,))
    generation = await scene.ordered()
    await scene.stage.ledger.begin(generation=generation, attempt=1, operation="killed during its submit")
    await scene.rescue(generation)
    scene.a.refuse_submits = [REFUSED, REFUSED]
    await scene.stage.set_pause(generation)
    made = await scene.made(generation)
    assert (made.request.provider, made.attempt, scene.asked()) == ("a", 2, (1, 0))


async def test_a_worker_that_must_stop_before_it_asked_leaves_the_choice_to_the_next(scene: Two) -> None:
    scene.hand_back.set()
    generation = await scene.ordered()
    await scene.stage.ledger.begin(generation=generation, attempt=1, operation="x")
    outcome = await scene.stage.ledger.hand_back(generation=generation, attempt=1, operation="y", free=True)
    assert isinstance(outcome, Requeued)
    scene.hand_back.clear()
    scene.a.refuse_submits = [REFUSED]
    assert (await scene.made(generation)).request.provider == "b"


async def test_refused_by_both_it_asks_them_in_turn_after_pauses(scene: Two) -> None:
    scene.a.refuse_submits, scene.b.refuse_submits = [REFUSED] * 2, [ProviderBusy("429", 7.0)]
    generation = await scene.ordered()
    await scene.attempt(generation, 1)
    await generate(scene.context, generation, 2, "a")
    found = await scene.stage.generation(generation)
    assert [(one.provider, one.times, one.until - one.at) for one in found.tried] == [("a", 1, 1000), ("b", 1, 7000)]
    assert int(await scene.stage.ledger.redis.hget(scene.stage.ledger.generation_key(generation), "not_before")) == (  # type: ignore[misc]
        found.tried[0].until
    )
    made = await scene.made(generation)  # `a` again, after a second: it refuses, and `b` is not asked before its time
    assert (made.request.provider, made.tried[0].times) == ("a", 2)
    assert (made.state, scene.asked()) == (State.SUCCEEDED, (1, 0))


async def test_a_long_pause_of_the_only_one_that_can_be_asked_holds_no_worker(scene: Two) -> None:
    ledger, context = scene.stage.ledger, scene.context
    scene.a.refuse_submits = [ProviderBusy("429", 900.0)]
    await ledger.pause(kind=PauseKind.PROVIDER, name="b", reason="down")
    generation = await scene.ordered()
    await scene.attempt(generation)
    await generate(context, generation, 2, "a")  # it would have waited for a quarter of an hour
    found = await scene.stage.generation(generation)
    assert (found.state, found.attempt, scene.asked()) == (State.QUEUED, 1, (0, 0))
    assert isinstance(await scene.rescue(generation), Requeued)
    await ledger.end_pause(kind=PauseKind.PROVIDER, name="b")
    assert (await scene.made(generation)).request.provider == "b"


async def test_a_paused_provider_is_skipped(scene: Two) -> None:
    ledger = scene.stage.ledger
    await ledger.pause(kind=PauseKind.PROVIDER, name="a", reason="down")
    assert ((await scene.made()).request.provider, scene.asked()) == ("b", (0, 1))
    await ledger.end_pause(kind=PauseKind.PROVIDER, name="a")


@pytest.mark.parametrize("scene", ["max_in_work = 1"], indirect=True)
async def test_with_no_room_at_the_first_the_second_makes_it(scene: Two) -> None:
    assert (await scene.place.slots.acquire("a", Limits(1), "gen_other")).acquired
    assert ((await scene.made()).request.provider, scene.asked()) == ("b", (0, 1))


@pytest.mark.parametrize("scene", ["max_in_work = 1"], indirect=True)
async def test_made_elsewhere_it_no_longer_stands_in_the_queue_of_the_first(scene: Two) -> None:
    ledger = scene.stage.ledger
    assert (await scene.place.slots.acquire("a", Limits(1), "gen_other")).acquired
    await ledger.pause(kind=PauseKind.PROVIDER, name="b", reason="down")
    generation = await scene.ordered()
    await generate(scene.context, generation, 1, "a")
    assert (await scene.state()).queued == 1
    await ledger.end_pause(kind=PauseKind.PROVIDER, name="b")
    await ledger.pause(kind=PauseKind.PROVIDER, name="a", reason="down")
    assert (await scene.made(generation)).request.provider == "b"
    await until(lambda: _nobody_waits(scene))


@pytest.mark.parametrize("scene", ["requests_per_minute = 2"], indirect=True)
async def test_beyond_its_requests_of_a_minute_the_second_makes_it(scene: Two) -> None:
    assert [(await scene.made()).request.provider for _ in range(3)] == ["a", "a", "b"]
    assert ((await scene.state()).requests_last_minute, (await scene.state("b")).requests_last_minute) == (2, 1)


@pytest.mark.parametrize("scene", [BREAKER], indirect=True)
async def test_a_breaker_opens_lets_one_job_through_and_closes_with_its_success(scene: Two) -> None:
    await scene.open_breaker()
    assert ((await scene.made()).request.provider, scene.asked()) == ("b", (0, 3))  # it is not even asked
    await scene.let_time_pass()
    scene.a.scripts[0] = [None]  # the trial takes its time
    generation = await scene.ordered()
    trial = asyncio.create_task(generate(scene.context, generation, 1, "a"))
    await until(lambda: _asked(scene, 1, 3))
    assert (await scene.made()).request.provider == "b"
    scene.hand_back.set()  # and goes on elsewhere, at the same provider
    await trial
    scene.hand_back.clear()
    assert ((await scene.made(generation)).request.provider, scene.asked()) == ("a", (1, 4))
    await until(lambda: _is(scene, opened=False))
    assert (await scene.made()).request.provider == "a"


@pytest.mark.parametrize("scene", [BREAKER], indirect=True)
async def test_a_trial_that_fails_opens_it_again(scene: Two) -> None:
    await scene.open_breaker()
    since = (await scene.state()).opened_at
    await scene.let_time_pass()
    scene.a.scripts[0] = [ProviderFailed("no")]
    assert ((await scene.made()).request.provider, scene.asked()) == ("b", (1, 3))
    await until(lambda: _is(scene, opened=True))
    assert (await scene.state()).opened_at == since
    assert (await scene.made()).request.provider == "b"


@pytest.mark.parametrize("scene", [BREAKER], indirect=True)
async def test_failures_with_a_success_between_them_do_not_open_it(scene: Two) -> None:
    for _ in range(2):
        scene.a.refuse_submits = [REFUSED]
        assert (await scene.made()).request.provider == "b"
        assert (await scene.made()).request.provider == "a"
        await until(lambda: _has_no_failures(scene))
    assert not await scene.opened()


@pytest.mark.parametrize("scene", [BREAKER], indirect=True)
async def test_inputs_that_clients_do_not_serve_do_not_open_it(scene: Two) -> None:
    """One client's broken server would have opened it for everybody."""
    scene.a.refuse_submits = [InputUnavailable("its server responded with 500")] * 2
    assert [(await scene.made(attempts_max=1)).error for _ in range(2)] == [FailureCode.PROVIDER_FAILED] * 2
    assert (await scene.made()).request.provider == "a"
    await until(lambda: _has_succeeded(scene))
    assert (await scene.state()).outcomes == {"succeeded": 1}
    assert not await scene.opened()


@pytest.mark.parametrize("scene", [BREAKER], indirect=True)
async def test_with_both_down_it_waits_and_is_refunded_when_its_time_is_up(scene: Two) -> None:
    await scene.open_breaker()
    await scene.stage.ledger.pause(kind=PauseKind.PROVIDER, name="b", reason="down")
    generation = await scene.ordered(provider_timeout_ms=60_000)
    await generate(scene.context, generation, 1, "a")
    found = await scene.stage.generation(generation)
    assert (found.state, found.attempt, scene.asked()) == (State.QUEUED, 0, (0, 2))
    assert found.give_up_at is not None
    assert (await scene.state()).queued == 1
    redis, ledger = scene.stage.ledger.redis, scene.stage.ledger
    await redis.hincrby(ledger.generation_key(generation), "give_up_at", -60_000)  # type: ignore[misc]
    ended = await scene.rescue(generation)
    assert isinstance(ended, Ended)
    assert ended.generation.error is FailureCode.PROVIDER_TIMEOUT
    assert ended.generation.refunded_millicredits == ended.generation.price_millicredits
    await ledger.end_pause(kind=PauseKind.PROVIDER, name="b")


async def test_a_provider_that_no_worker_can_call_is_skipped(stage: Stage, tmp_path: Path) -> None:
    async for scene in opened_scene(stage, tmp_path, "", '["locked", "a"]'):
        reserved = await stage.reserve(provider="locked", providers=("locked", "a"))
        assert (await scene.made(reserved.generation.id)).request.provider == "a"


async def test_what_a_left_provider_finishes_late_is_discarded_and_counted(scene: Two) -> None:
    scene.a.scripts[0] = [Pending(), ProviderFailed("it says")]
    made = await scene.made()
    before = LATE_SUCCESSES.labels("a")._value.get()  # noqa: SLF001 - prometheus_client has no other way
    scene.a.scripts[0] = [Pending()]  # it still works: that is stopped, and no success
    await stop(scene.context, made.id, "ref-1", "a")
    scene.a.scripts[0] = [picture(0)]
    await stop(scene.context, made.id, "ref-1", "a")
    assert LATE_SUCCESSES.labels("a")._value.get() == before + 1  # noqa: SLF001
    assert scene.a.cancelled[-2:] == ["ref-1", "ref-1"]
    assert not scene.b.cancelled
    assert await scene.stage.generation(made.id) == made
    await until(lambda: _counted(scene, "late_success"))


async def _nobody_waits(scene: Two) -> bool:
    return (await scene.state()).queued == 0


async def _asked(scene: Two, a: int, b: int) -> bool:
    return scene.asked() == (a, b)


async def _is(scene: Two, *, opened: bool) -> bool:
    return await scene.opened() is opened


async def _counted(scene: Two, outcome: str) -> bool:
    return (await scene.state()).outcomes.get(outcome) == 1


async def _has_succeeded(scene: Two) -> bool:
    return "succeeded" in (await scene.state()).outcomes


async def _has_no_failures(scene: Two) -> bool:
    return not await scene.stage.queue.redis.exists(breaker_key("a"))
