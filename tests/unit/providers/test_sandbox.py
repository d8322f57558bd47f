from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import aclosing
from threading import Event
from typing import Any

import pytest
from pydantic import ValidationError

from gateway.domain import FailureCode, SettingValue
from gateway.errors import Moderated, ProviderError, ProviderFailed, ProviderRejected
from gateway.media import inspect
from gateway.providers.sandbox import SandboxControls
from workers.providers import Connection, make_provider
from workers.providers.base import ProgressReport, Provider, ProviderRequest, Rendered
from workers.providers.sandbox import Sandbox
from workers.providers.sandbox.render import RenderJob, render
from workers.providers.sandbox.stopped import Stopped

SMALL: Mapping[str, SettingValue] = {"resolution": "96x96"}


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    made = Sandbox(threads=1)
    yield made
    await made.close()


def request(
    *,
    indices: tuple[int, ...] = (0,),
    attempt: int = 1,
    tool: str = "image",
    settings: Mapping[str, SettingValue] = SMALL,
    sandbox: Mapping[str, Any] | None = None,
) -> ProviderRequest:
    return ProviderRequest(
        generation="gen_00aaaaaaaaaaaaaaaaaaaaaaaa",
        tool=tool,
        model="m",
        provider_model="m",
        prompt="A lighthouse",
        indices=indices,
        attempt=attempt,
        settings=settings,
        sandbox=sandbox,
    )


async def delivered(provider: Provider, asked: ProviderRequest) -> list[int]:
    ref = await provider.submit(asked)
    async with aclosing(provider.results(ref, asked)) as results:
        return [event.index async for event in results if isinstance(event, Rendered)]


async def test_all_missing_outputs_are_rendered_in_order_and_no_other(sandbox: Sandbox) -> None:
    assert await delivered(sandbox, request(indices=(1, 3))) == [1, 3]


async def test_the_video_tool_renders_videos_and_the_image_tool_images(sandbox: Sandbox) -> None:
    types = []
    for asked in (request(), request(tool="video", settings={"resolution": "64x64", "duration": 1})):
        results = sandbox.results(await sandbox.submit(asked), asked)
        types += [inspect(event.data).content_type async for event in results if isinstance(event, Rendered)]
    assert types == ["image/png", "video/mp4"]


@pytest.mark.parametrize("image_format", ["png", "jpeg", "webp"])
async def test_an_image_has_the_output_format_that_was_ordered(sandbox: Sandbox, image_format: str) -> None:
    asked = request(settings={**SMALL, "output_format": image_format})
    async with aclosing(sandbox.results(await sandbox.submit(asked), asked)) as results:
        (rendered,) = [event async for event in results if isinstance(event, Rendered)]
    media = inspect(io.BytesIO(rendered.data))
    assert (media.content_type, media.width) == (f"image/{image_format}", 96)


async def test_a_format_that_is_not_rendered_is_rejected(sandbox: Sandbox) -> None:
    with pytest.raises(ProviderRejected, match="not 'tiff'"):
        await delivered(sandbox, request(settings={**SMALL, "output_format": "tiff"}))


async def test_progress_rises_over_all_outputs(sandbox: Sandbox) -> None:
    asked = request(tool="video", settings={"resolution": "64x64", "duration": 1}, indices=(0, 1))
    results = sandbox.results(await sandbox.submit(asked), asked)
    fractions = [event.fraction async for event in results if isinstance(event, ProgressReport)]
    assert fractions == sorted(fractions)
    assert fractions[0] < 0.5 < fractions[-1] <= 1


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (FailureCode.PROVIDER_FAILED, ProviderFailed),
        (FailureCode.PROVIDER_REJECTED, ProviderRejected),
        (FailureCode.MODERATED, Moderated),
        (FailureCode.PROVIDER_TIMEOUT, ProviderError),
        (FailureCode.WORKER_LOST, ProviderError),
        (FailureCode.INTERNAL, ProviderError),
    ],
)
async def test_fail_raises_the_error_of_its_code(
    sandbox: Sandbox, code: FailureCode, error: type[ProviderError]
) -> None:
    with pytest.raises(error) as raised:
        await delivered(sandbox, request(sandbox={"fail": code.value}))
    assert type(raised.value) is error
    assert raised.value.code is code


async def test_only_the_first_attempts_fail_if_so_controlled(sandbox: Sandbox) -> None:
    controls = {"fail": "provider_failed", "fail_attempts": 2, "deliver": 1}
    with pytest.raises(ProviderFailed):
        await delivered(sandbox, request(attempt=2, sandbox=controls, indices=(0, 1, 2)))
    assert await delivered(sandbox, request(attempt=3, sandbox=controls, indices=(1, 2))) == [1, 2]


async def test_deliver_ends_after_k_outputs(sandbox: Sandbox) -> None:
    assert await delivered(sandbox, request(sandbox={"deliver": 2}, indices=(0, 1, 2, 3))) == [0, 1]
    assert await delivered(sandbox, request(sandbox={"deliver": 0}, indices=(0, 1))) == []


async def test_deliver_counts_what_earlier_attempts_delivered(sandbox: Sandbox) -> None:
    assert await delivered(sandbox, request(sandbox={"deliver": 2}, indices=(1, 2, 3))) == [1]


async def test_deliver_and_fail_delivers_first(sandbox: Sandbox) -> None:
    asked = request(sandbox={"deliver": 1, "fail": "moderated"}, indices=(0, 1))
    results = sandbox.results(await sandbox.submit(asked), asked)
    assert isinstance(await anext(results), Rendered)
    with pytest.raises(Moderated):
        await anext(results)


async def test_hang_never_answers_until_it_is_cancelled(sandbox: Sandbox) -> None:
    """It delivers what it was told to, then the next answer does not come before the cancel does."""
    asked = request(sandbox={"hang": True, "deliver": 1}, indices=(0, 1))
    made: list[int] = []
    first = asyncio.Event()

    async def consume() -> None:
        async for event in sandbox.results(await sandbox.submit(asked), asked):
            if isinstance(event, Rendered):
                made.append(event.index)
                first.set()

    consuming = asyncio.create_task(consume())
    await first.wait()
    await delivered(sandbox, request())  # time enough for a second output, were there to be one
    assert not consuming.done()
    consuming.cancel()
    with pytest.raises(asyncio.CancelledError):
        await consuming
    assert made == [0]


@pytest.mark.parametrize(("later", "fraction"), [(0, 0.0), (300, 0.45), (-50, 0.0)])
async def test_a_later_attempt_resumes_the_delay_where_it_is(later: float, fraction: float) -> None:
    now = 1_000_000.0
    asked = request(sandbox={"delay_seconds": 600})
    ref = await Sandbox(threads=1, clock=lambda: now).submit(asked)
    async with aclosing(Sandbox(threads=1, clock=lambda: now + later).results(ref, asked)) as results:
        first = await anext(results)
    assert isinstance(first, ProgressReport)
    assert first.fraction == pytest.approx(fraction)


async def test_a_delay_that_is_over_is_not_waited_for_again() -> None:
    """With ten minutes asked, a worker that started them anew would not be done within this test's time."""
    now = 1_000_000.0
    asked = request(sandbox={"delay_seconds": 600})
    ref = await Sandbox(threads=1, clock=lambda: now).submit(asked)
    resumed = Sandbox(threads=1, clock=lambda: now + 600)
    made = [event async for event in resumed.results(ref, asked)]
    assert [event.index for event in made if isinstance(event, Rendered)] == [0]
    assert all(event.fraction >= 0.9 for event in made if isinstance(event, ProgressReport))


async def test_a_delay_is_waited_for_and_reported(sandbox: Sandbox) -> None:
    asked = request(sandbox={"delay_seconds": 0.05})
    made = [event async for event in sandbox.results(await sandbox.submit(asked), asked)]
    assert isinstance(made[0], ProgressReport)
    assert isinstance(made[-1], Rendered)


async def test_a_ref_of_somebody_else_is_a_failure_that_clears_it(sandbox: Sandbox) -> None:
    with pytest.raises(ProviderFailed):
        await anext(sandbox.results("other_1", request()))


@pytest.fixture
def endings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """How each render of this test ended, in order."""
    seen: list[str] = []

    def watched(job: RenderJob, stop: Event, report: Callable[[float], None]) -> Rendered:
        try:
            made = render(job, stop, report)
        except Stopped:
            seen.append("stopped")
            raise
        seen.append(inspect(made.data).content_type)
        return made

    monkeypatch.setattr("workers.providers.sandbox.provider.render", watched)
    return seen


ENDLESS: Mapping[str, SettingValue] = {"resolution": "2160p", "duration": 120}  # minutes of work


async def test_cancelling_the_task_stops_the_render(sandbox: Sandbox, endings: list[str]) -> None:
    """The only thread is taken; the image after it is made once the video has stopped, not finished."""
    endless = request(tool="video", settings=ENDLESS)
    started = asyncio.Event()

    async def consume() -> None:
        async for _ in sandbox.results(await sandbox.submit(endless), endless):
            started.set()

    consuming = asyncio.create_task(consume())
    await started.wait()
    consuming.cancel()
    assert await delivered(sandbox, request()) == [0]
    assert consuming.cancelled()
    assert endings == ["stopped", "image/png"]


async def test_closing_the_results_stops_the_render(sandbox: Sandbox, endings: list[str]) -> None:
    endless = request(tool="video", settings=ENDLESS)
    async with aclosing(sandbox.results(await sandbox.submit(endless), endless)) as results:
        await anext(results)
    assert await delivered(sandbox, request()) == [0]
    assert endings == ["stopped", "image/png"]


async def test_what_waits_for_a_thread_never_starts_once_cancelled(sandbox: Sandbox, endings: list[str]) -> None:
    endless = request(tool="video", settings=ENDLESS)
    async with aclosing(sandbox.results(await sandbox.submit(endless), endless)) as results:
        await anext(results)
        waiting = asyncio.create_task(delivered(sandbox, endless))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
    assert await delivered(sandbox, request()) == [0]
    assert endings == ["stopped", "image/png"]


async def test_the_event_loop_turns_while_a_video_is_rendered(sandbox: Sandbox) -> None:
    """Rendered on the loop, all progress would come in one turn of it, after the last frame."""
    turns = 0

    async def turn() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    turning = asyncio.create_task(turn())
    asked = request(tool="video", settings={"resolution": "480p", "duration": 2})
    results = sandbox.results(await sandbox.submit(asked), asked)
    seen_at = {turns async for event in results if isinstance(event, ProgressReport)}
    turning.cancel()
    assert len(seen_at) > 1


async def test_many_generations_take_turns_at_one_thread(sandbox: Sandbox) -> None:
    """None is done with all its outputs before every other has its first."""
    order: list[tuple[int, int]] = []

    async def consume(generation: int) -> None:
        asked = request(indices=(0, 1, 2))
        async for event in sandbox.results(await sandbox.submit(asked), asked):
            if isinstance(event, Rendered):
                order.append((generation, event.index))  # noqa: PERF401 - the order among the tasks is the point

    await asyncio.gather(*(consume(generation) for generation in range(20)))
    assert len(order) == 60
    assert {index for _, index in order[:20]} == {0}


@pytest.mark.parametrize(
    ("controls", "message"),
    [
        ({"delay_seconds": 601}, "less than or equal to 600"),
        ({"delay_seconds": -1}, "greater than or equal to 0"),
        ({"delay_seconds": float("nan")}, "finite number"),
        ({"delay_seconds": "5"}, "valid number"),
        ({"delay_seconds": -0.0}, "must not be -0.0"),
        ({"deliver": True}, "valid integer"),
        ({"deliver": -1}, "greater than or equal to 0"),
        ({"fail": "no_such_code"}, "provider_rejected"),
        ({"fail_attempts": 1}, "set `fail` as well"),
        ({"fail": "internal", "hang": True}, "set only one"),
        ({"delay": 1}, "Extra inputs are not permitted"),
    ],
)
async def test_controls_that_make_no_sense_are_refused(
    sandbox: Sandbox, controls: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValidationError, match=message):
        SandboxControls.model_validate(controls)
    with pytest.raises(ProviderRejected):
        await delivered(sandbox, request(sandbox=controls))


async def test_controls_survive_their_way_through_the_ledger() -> None:
    controls = SandboxControls(delay_seconds=2, deliver=1, fail=FailureCode.MODERATED, fail_attempts=1)
    assert SandboxControls.model_validate(controls.model_dump(mode="json")) == controls


async def test_providers_are_found_by_name() -> None:
    assert isinstance(make_provider("sandbox", Connection(name="sandbox")), Sandbox)
    with pytest.raises(KeyError, match=r"there is .*sandbox"):
        make_provider("nobody", Connection(name="nobody"))
