"""What has had its time is deleted: in batches, by any number of caretakers, and noted when it is gone."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

import obstore
import pytest
from obstore.store import ObjectStore
from structlog.testing import capture_logs

from gateway.errors import OutputMissing
from gateway.ledger import keys
from gateway.media import Media
from gateway.outputs import OutputStore, UploadAddresses, output_key
from tests.until import until
from tests.workers.stage import Stage
from tests.workers.test_caretaking import Hang, expired
from workers.care import expired_files
from workers.care.expired_files import ExpiredFiles
from workers.context import WorkerContext


async def with_output(stage: Stage, place: WorkerContext) -> tuple[str, str]:
    """An expired generation, and its output's key."""
    generation = await expired(stage)
    key = output_key(generation, 1, 0, "image/png")
    await place.outputs.put(key, b"picture")
    return generation, key


def files(place: WorkerContext) -> ExpiredFiles:
    return ExpiredFiles(place.ledger, place.outputs)


async def is_claimed(stage: Stage, generation: str) -> bool:
    """Whether it is still to be deleted, by whoever claimed it or later."""
    return await stage.ledger.redis.zscore(keys.outputs(int(generation[4:6], 16)), generation) is not None


async def test_outputs_are_deleted_when_their_days_are_over_and_the_generation_says_so(
    stage: Stage, place: WorkerContext
) -> None:
    generation, key = await with_output(stage, place)
    assert not await files(place).delete_some_outputs()
    with pytest.raises(OutputMissing):
        await place.outputs.get(key)
    assert (await stage.generation(generation)).outputs_deleted
    assert not await is_claimed(stage, generation)


async def test_several_caretakers_delete_none_twice_and_leave_none(
    stage: Stage, place: WorkerContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    generations = [await expired(stage) for _ in range(3 * expired_files._OF_A_PARTITION)]  # noqa: SLF001 - the size of a batch
    asked: list[str] = []
    delete = place.outputs.delete_generations

    async def count(some: Sequence[str]) -> list[str]:
        asked.extend(some)
        return await delete(some)

    monkeypatch.setattr(place.outputs, "delete_generations", count)
    more = await asyncio.gather(*(files(place).delete_some_outputs() for _ in range(3)))
    assert more == [True, True, True], "a full batch says that there may be more"
    assert sorted(asked) == sorted(generations)
    assert not await files(place).delete_some_outputs()


async def test_a_crash_while_deleting_leaves_it_due_again(
    stage: Stage, place: WorkerContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    generation, key = await with_output(stage, place)
    hang = Hang()
    dying = ExpiredFiles(place.ledger, OutputStore.open((stage.directory / "outputs").as_uri()), claim_ms=1)
    monkeypatch.setattr(dying.outputs, "delete_generations", hang)
    task = asyncio.create_task(dying.delete_some_outputs())
    await hang.begun.wait()
    task.cancel()
    assert not (await stage.generation(generation)).outputs_deleted, "noted only when they are gone"
    while await is_claimed(stage, generation):
        await files(place).delete_some_outputs()
    with pytest.raises(OutputMissing):
        await place.outputs.get(key)


async def test_an_output_that_cannot_be_deleted_keeps_no_other(
    stage: Stage, place: WorkerContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    stuck, stuck_key = await with_output(stage, place)
    fine, _ = await with_output(stage, place)
    delete = obstore.delete_async

    async def refuse(store: ObjectStore, paths: Sequence[str]) -> None:
        if stuck_key in paths:
            raise PermissionError(stuck_key)
        await delete(store, paths)

    monkeypatch.setattr(obstore, "delete_async", refuse)
    with capture_logs() as lines:
        await files(place).delete_some_outputs()
    assert (await stage.generation(fine)).outputs_deleted
    assert not (await stage.generation(stuck)).outputs_deleted
    assert await is_claimed(stage, stuck)
    assert "outputs_not_deleted" in [line["event"] for line in lines]


async def test_a_store_that_hangs_is_given_up_and_asked_again(
    stage: Stage, place: WorkerContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(expired_files, "_BATCH_SECONDS", 0.05)
    generation, _ = await with_output(stage, place)

    monkeypatch.setattr(place.outputs, "delete_generations", Hang())
    with pytest.raises(TimeoutError):
        await files(place).delete_some_outputs()
    assert await is_claimed(stage, generation)


async def test_expired_uploads_are_deleted_and_others_are_kept(place: WorkerContext) -> None:
    png = Media("image/png", 640, 480)
    long_ago = UploadAddresses("key", lambda: time.time() - 27 * 3600).new_key(png, 7)
    lately = UploadAddresses("key", lambda: time.time() - 22 * 3600).new_key(png, 7)
    for key in (long_ago, lately):
        await place.outputs.put(key, b"picture")
    assert not await files(place).delete_some_uploads()
    with pytest.raises(OutputMissing):
        await place.outputs.head(long_ago)
    assert await place.outputs.get(lately) == b"picture"


async def test_a_store_that_is_away_ends_no_loop(
    stage: Stage, place: WorkerContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(expired_files, "_CHECK_SECONDS", 0.01)
    await expired(stage)
    store = stage.directory / "outputs"
    store.rmdir()
    store.touch()
    with capture_logs() as lines:
        loops = [place.tasks.keep("uploads", files(place).delete_uploads)]
        await until(lambda: [line["event"] for line in lines].count("uploads_not_deleted") >= 2)
    assert not loops[0].done()
    assert place.tasks.problems == ()
