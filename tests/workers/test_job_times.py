"""When a parked job of a provider that has to be asked is looked at: by how long its model's jobs took lately."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from random import Random

import pytest

from gateway.domain import State, partition_of_generation
from gateway.ledger import keys
from gateway.queue.job_times import KEPT
from gateway.queue.keys import took_key
from tests.providers.requests import asked
from tests.until import until
from tests.workers.scripted import Line, Scene, Scripted, picture
from workers.attempts.job_times import next_poll_seconds
from workers.attempts.parking import Parking
from workers.providers import Pending

MODEL = "nano-banana-2"
SECOND = 1_000


pytestmark = pytest.mark.usefixtures("stays_for_nothing")


# --- the rule -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lately", "elapsed", "pause"),
    [
        ([], 30, None),
        ([200], 30, 170),
        ([200, 190], 30, 160),
        ([float(seconds) for seconds in range(100, 164)], 30, 77),
        ([float(seconds) for seconds in range(100, 164)], 107, 7),
        ([200], 200.5, 20.05),
        ([5], 3_000, 300),
        ([30.5], 30, 2),
    ],
    ids=["unknown", "one", "the first of few", "an eighth", "an eighth of the rest", "longer", "much longer", "soon"],
)
def test_a_poll_is_due_when_an_eighth_of_the_slower_jobs_had_ended(
    lately: list[float], elapsed: float, pause: float | None
) -> None:
    found = next_poll_seconds(lately, elapsed)
    assert found == (None if pause is None else pytest.approx(pause))


def _looks(lately: list[float], lasts: float) -> list[float]:
    """When a job that lasts so long is looked at, the ledger's doubling included, from its 30th second on."""
    looks = [30.0]
    while looks[-1] < lasts:
        doubling = min(30.0 * 2 ** (len(looks) - 1), 300.0)
        looks.append(looks[-1] + min(next_poll_seconds(lately, looks[-1]) or doubling, doubling))
    return looks


@pytest.mark.parametrize("usual", [60, 200, 600])
def test_results_come_less_late_than_by_doubling_once_the_model_is_known(usual: int) -> None:
    """By doubling a job of 250 s was looked at after 240 s and after 480 s, however many of its kind had been seen."""
    dice, lately, late, doubled, count = Random(usual), list[float](), list[float](), list[float](), list[int]()
    for _ in range(200):
        lasts = usual * dice.uniform(0.9, 1.1)
        looks = _looks(lately, lasts)
        late.append(looks[-1] - lasts)
        doubled.append(_looks([], lasts)[-1] - lasts)
        count.append(len(looks))
        last, found = list(pairwise(looks))[-1]
        lately = [(last + found) / 2, *lately][:KEPT]
    known = late[50:]
    assert sum(known) / len(known) < usual / 50
    assert sum(known) < sum(doubled[50:]) / 4
    assert max(count) <= 30


# --- the worker -----------------------------------------------------------------------------------------------------


async def parked(scene: Scene, *scripts: list[Line], looks: int = 0) -> str:
    scene.provide(*scripts)
    generation = (await scene.reserve()).generation.id
    await backdate(scene, generation, looks=looks)
    await scene.attempt(generation)
    assert (await scene.stage.generation(generation)).state is State.RUNNING
    return generation


async def backdate(scene: Scene, generation: str, **fields: int) -> None:
    key = keys.generation(partition_of_generation(generation), generation)
    await scene.stage.ledger.redis.hset(key, mapping=fields)  # type: ignore[misc]  # redis-py types it for both clients


async def next_poll_ms(scene: Scene, generation: str) -> int:
    """How long after it was left it will be looked at."""
    left_at = (await scene.stage.generation(generation)).looked_at
    deadline = await scene.stage.ledger.redis.zscore(keys.deadlines(partition_of_generation(generation)), generation)
    assert left_at is not None
    assert deadline is not None
    return int(deadline) - left_at


async def test_a_job_is_polled_when_its_models_jobs_usually_end(scene: Scene) -> None:
    await scene.place.job_times.note("scripted", MODEL, 12.0)
    generation = await parked(scene, [Pending()])
    assert 10 * SECOND < await next_poll_ms(scene, generation) <= 12 * SECOND


async def test_of_an_unknown_model_the_doubling_stays(scene: Scene) -> None:
    await scene.place.job_times.note("scripted", "another", 12.0)
    assert await next_poll_ms(scene, await parked(scene, [Pending()], looks=3)) == 240 * SECOND


async def test_a_job_with_progress_is_polled_every_half_minute(scene: Scene) -> None:
    generation = await parked(scene, [Pending(0.25)], looks=3)
    assert await next_poll_ms(scene, generation) == 30 * SECOND
    assert (await scene.stage.generation(generation)).progress_thousandths == 250


async def test_a_job_counts_as_ended_halfway_between_its_last_two_polls(scene: Scene) -> None:
    generation = await parked(scene, [Pending()], [picture(0)])
    found = await scene.stage.generation(generation)
    assert found.looked_at is not None
    await backdate(scene, generation, ref_at=found.looked_at - 100 * SECOND, looked_at=found.looked_at - 40 * SECOND)
    await scene.attempt(generation, 2)
    await until(lambda: _is_counted(scene))
    (seconds,) = await scene.place.job_times.lately("scripted", MODEL)
    assert 80 <= seconds < 90
    key = took_key("scripted", MODEL)
    assert 0 < await scene.stage.queue.redis.ttl(key) <= 7 * 86_400


async def _is_counted(scene: Scene) -> bool:
    return len(await scene.place.job_times.lately("scripted", MODEL)) == 1


async def test_only_the_last_ones_are_kept(scene: Scene) -> None:
    for number in range(KEPT + 3):
        await scene.place.job_times.note("scripted", MODEL, number)
    lately = await scene.place.job_times.lately("scripted", MODEL)
    assert (len(lately), lately[0], lately[-1]) == (KEPT, KEPT + 2, 3)


async def test_who_calls_back_is_not_asked_more_often(scene: Scene) -> None:
    await scene.place.job_times.note("scripted", MODEL, 12.0)
    generation = (await scene.reserve()).generation
    parking = Parking(scene.place, replace(generation, ref_at=1))
    parking.meet(Scripted([]), asked(callback_url="https://gateway.example/v1/callbacks/scripted/token"))
    parking.at_work(0.5)
    assert await parking.poll_ms() is None
    parking.meet(Scripted([]), asked())
    assert await parking.poll_ms() is not None
