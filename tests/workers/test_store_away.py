"""The object store away, refusing or missing, while attempts have something for it: they wait, and nothing fails."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from gateway.domain import FailureCode, Input, State, generation_id
from gateway.outputs import OutputStore, input_key
from tests.s3_server import BUCKET, S3Server, s3_server
from tests.until import until
from tests.workers.scripted import Scene, Scripted, picture
from tests.workers.stage import PRICE, Stage, due, open_place

PROBES = 5  # a minute, in pauses of the watch under test
PAUSE_SECONDS = 0.02


@pytest.fixture
async def s3() -> AsyncIterator[S3Server]:
    async with s3_server() as server:
        yield server


@pytest.fixture
async def scene(stage: Stage, s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Scene]:
    """A worker whose store is a bucket, and which asks it every few milliseconds."""
    ask_often(monkeypatch)
    for name, value in s3.environment().items():
        monkeypatch.setenv(name, value)
    outputs = OutputStore.open(f"s3://{BUCKET}", s3.environment())
    async with open_place(stage, outputs=outputs) as place:
        place.tasks.keep("object store", place.storing.watch.keep_checking)
        yield Scene(stage, place, asyncio.Event())


def ask_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workers.attempts.storing._PAUSES_SECONDS", (PAUSE_SECONDS,))
    monkeypatch.setattr("gateway.outputs.watch.PAUSES_SECONDS", (PAUSE_SECONDS,))


def away(server: S3Server) -> Callable[[], None]:
    server.refuses = "ServiceUnavailable"
    return lambda: setattr(server, "refuses", None)


def without_bucket(server: S3Server) -> Callable[[], None]:
    server.objects["another"] = server.objects.pop(BUCKET)
    return lambda: server.objects.update({BUCKET: server.objects.pop("another")})


def with_another_key(server: S3Server) -> Callable[[], None]:
    server.access_key = "AKIAANOTHERONE000000"
    return lambda: setattr(server, "access_key", S3Server.access_key)


@pytest.mark.parametrize(
    ("break_it", "reason"),
    [
        (away, "503 ServiceUnavailable"),
        (without_bucket, "404 NoSuchBucket"),
        (with_another_key, "403 InvalidAccessKeyId"),
    ],
)
async def test_a_store_that_is_away_for_a_minute_fails_nothing(
    scene: Scene, s3: S3Server, break_it: Callable[[S3Server], Callable[[], None]], reason: str
) -> None:
    """18 seconds without the store failed every generation as `worker_lost`; so did a wrong bucket or key."""
    provider = scene.provide([picture(0), picture(1)])
    generation = (await scene.reserve(outputs=2)).generation.id
    mend = break_it(s3)
    with capture_logs() as lines:
        attempt = asyncio.create_task(scene.attempt(generation))
        await a_minute(s3)
        assert scene.place.storing.watch.problem is not None
        assert (await scene.stage.generation(generation)).state is State.RUNNING
        mend()
        await attempt
    ended = await scene.stage.generation(generation)
    assert (ended.state, ended.attempt, ended.failures) == (State.SUCCEEDED, 1, 0)
    assert (len(provider.submitted), len(provider.asked)) == (1, 1), "nothing is made, or even fetched, twice"
    assert await scene.stage.spent() == 2 * PRICE
    (waited,) = [line for line in lines if line["event"] == "waited_for_store"]
    for part in (f"s3://{BUCKET}", s3.address, reason):
        assert part in waited["error"]
    assert scene.place.storing.watch.problem is None


async def test_a_store_that_does_not_listen_is_waited_for(scene: Scene, s3: S3Server) -> None:
    scene.provide([picture(0)])
    generation = (await scene.reserve()).generation.id
    await s3.away()
    attempt = asyncio.create_task(scene.attempt(generation))
    await until(lambda: scene.place.storing.watch.problem is not None)
    await s3.back()
    await attempt
    ended = await scene.stage.generation(generation)
    assert (ended.state, ended.attempt, ended.failures) == (State.SUCCEEDED, 1, 0)


async def test_a_folder_that_takes_nothing_is_waited_for_like_a_bucket(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk ended a generation as `worker_lost` after three attempts. Here a file lies where the folder was."""
    ask_often(monkeypatch)
    async with open_place(stage) as place:
        scene = Scene(stage, place, asyncio.Event())
        place.tasks.keep("object store", place.storing.watch.keep_checking)
        provider = scene.provide([picture(0)])
        mend = folder_gone(stage.directory / "outputs")
        generation, attempt = await scene.begin()
        await until(lambda: place.storing.watch.problem is not None)
        mend()
        await attempt
    ended = await stage.generation(generation)
    assert (ended.state, ended.attempt, ended.failures) == (State.SUCCEEDED, 1, 0)
    assert len(provider.submitted) == 1
    assert await stage.spent() == PRICE


async def test_an_input_that_the_store_does_not_give_is_waited_for(scene: Scene, s3: S3Server) -> None:
    """A bucket that was away when an input was to be read ended the generation as `internal`."""
    key = input_key(generation_id(0), "0a1b2c3d", 0, "image/png")
    await scene.place.outputs.put(key, picture(3).data)
    provider = scene.provide([picture(0)])
    reserved = await scene.stage.reserve(provider="scripted", inputs=(Input(kind="image", url=key),))
    mend = away(s3)
    attempt = asyncio.create_task(scene.attempt(reserved.generation.id))
    await a_minute(s3)
    assert provider.submitted == []
    mend()
    await attempt
    assert (await scene.stage.generation(reserved.generation.id)).state is State.SUCCEEDED
    assert [given.data for given in provider.submitted[0].inputs] == [picture(3).data]


async def test_what_finds_no_room_while_it_waits_is_fetched_again_by_the_same_ref(scene: Scene, s3: S3Server) -> None:
    scene.place.storing.kept_bytes_max = 0
    provider = scene.provide([picture(0)], [picture(0)], [picture(0)])
    mend = away(s3)
    generation, attempt = await scene.begin()
    await a_minute(s3)
    assert scene.place.storing.kept_bytes == 0
    mend()
    await attempt
    ended = await scene.stage.generation(generation)
    assert (ended.state, ended.attempt, ended.failures) == (State.SUCCEEDED, 1, 0)
    assert {ref for ref, _ in provider.asked} == {"ref-1"}
    assert len(provider.submitted) == 1


async def test_outputs_that_cannot_be_fetched_again_are_kept_beyond_the_limit(scene: Scene, s3: S3Server) -> None:
    """A provider without jobs would have to be paid again: what it made is not dropped."""

    class WithoutJobs(Scripted):
        async def submit(self, request: object) -> None:
            """There is no job to come back to."""

    scene.place.storing.kept_bytes_max = 0
    provider = WithoutJobs([[picture(0)]])
    scene.place.providers.give("scripted", provider)
    mend = away(s3)
    generation, attempt = await scene.begin()
    await a_minute(s3)
    assert scene.place.storing.kept_bytes == len(picture(0).data)
    mend()
    await attempt
    assert (await scene.stage.generation(generation)).state is State.SUCCEEDED
    assert (len(provider.asked), scene.place.storing.kept_bytes) == (1, 0)


async def test_a_store_that_never_comes_back_ends_it_refunded_with_a_code_of_its_own(
    scene: Scene, s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.attempts.storing._MARGIN_SECONDS", 0.3)
    provider = scene.provide([picture(0)])
    generation = (await scene.reserve(provider_timeout_ms=700)).generation.id
    away(s3)
    await scene.attempt(generation)
    ended = await scene.stage.generation(generation)
    assert (ended.state, ended.error) == (State.FAILED, FailureCode.STORE_UNAVAILABLE)
    assert await scene.stage.spent() == 0
    await until(lambda: provider.cancelled == ["ref-1"])


async def test_a_worker_that_must_stop_while_it_waits_hands_back_and_nothing_has_failed(
    scene: Scene, s3: S3Server
) -> None:
    provider = scene.provide([picture(0)], [picture(0)])
    mend = away(s3)
    generation, attempt = await scene.begin()
    await a_minute(s3)
    scene.hand_back.set()
    await attempt
    handed = await scene.stage.generation(generation)
    assert (handed.state, handed.failures, handed.provider_ref) == (State.QUEUED, 0, "ref-1")
    mend()
    scene.hand_back.clear()
    await scene.attempt(generation, 2)
    assert (await scene.stage.generation(generation)).state is State.SUCCEEDED
    assert len(provider.submitted) == 1


async def test_a_worker_whose_store_does_not_answer_says_why_and_takes_nothing(stage: Stage, s3: S3Server) -> None:
    """One with a wrong key took what others could have made, and failed it."""
    server = {**s3.environment(), "FAREBOX_OUTPUTS_URL": f"s3://{BUCKET}/farebox"}
    other_key = "AKIAWRONG00000000000"
    worker = stage.worker(**server | s3.environment(other_key))
    await until(lambda: worker.says("worker_waits_for_store"))
    generation = await stage.order()
    await until(lambda: is_due(stage))
    for words in ("STORE_UNAVAILABLE", f"s3://{BUCKET}/farebox", s3.address, "InvalidAccessKeyId", "AWS_ACCESS_KEY_ID"):
        assert await worker.says(words)
    assert not await worker.says(other_key)
    assert not await worker.says("attempt_begun")
    assert (await stage.generation(generation)).state is State.QUEUED
    s3.access_key = other_key
    ended = await stage.ended(generation)
    assert (ended.state, ended.attempt, ended.failures) == (State.SUCCEEDED, 1, 0)


async def a_minute(server: S3Server) -> None:
    """Return when the store has been asked in vain a few more times."""
    until_asked = server.asked.total() + PROBES
    await until(lambda: server.asked.total() >= until_asked)


async def is_due(stage: Stage) -> bool:
    return bool(await due(stage.queue))


def folder_gone(folder: Path) -> Callable[[], None]:
    """Put a file where an empty folder is; what puts it right again."""
    folder.rmdir()
    folder.touch()
    return folder.unlink
