"""What a provider made is looked into: it is delivered as what it is, or not at all."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import hashlib
import os
import resource
import sys
from collections.abc import AsyncGenerator
from decimal import Decimal
from pathlib import Path
from typing import Any, BinaryIO

import pytest
import structlog

from gateway.domain import FailureCode, Output, State
from gateway.errors import ProviderFailed
from gateway.kinds import MediaKind
from gateway.media import STORED_EXTENSIONS, Media, Readers, fair, inspect, isolation
from gateway.outputs.ordered import OutputRequirements
from tests.forkers import forker_whose_reader
from tests.made_media import film, mp4_that_says, picture, png_that_says, tone
from tests.workers.stage import PRICE, Stage
from workers.attempts import checks
from workers.attempts.checks import Checks
from workers.attempts.generate import generate
from workers.context import WorkerContext
from workers.providers import ProviderRequest, Rendered, Result

ANYTHING = OutputRequirements("any", {})
FILES = Path(__file__).parents[1] / "media_files"
SHORT = film(index_first=True)[:-100]


def _file(name: str) -> bytes:
    return (FILES / name).read_bytes()


class Maker:
    """Answers each attempt with the files that were given for it."""

    def __init__(self, *attempts: list[bytes]) -> None:
        self.attempts = list(attempts)

    async def submit(self, request: ProviderRequest) -> str:
        return request.generation

    async def results(self, ref: str | None, request: ProviderRequest) -> AsyncGenerator[Result]:
        del ref
        for index, data in zip(request.indices, self.attempts.pop(0), strict=True):
            yield Rendered(index=index, data=data)

    async def cancel(self, ref: str, provider_model: str) -> None:
        """There is nothing to stop."""

    async def close(self) -> None:
        """There is nothing to close."""


async def attempted(stage: Stage, place: WorkerContext, *attempts: list[bytes], **wishes: Any) -> str:
    """A generation at which so many attempts were made; its id."""
    place.providers.give("maker", Maker(*attempts))
    generation = (await stage.reserve(provider="maker", **wishes)).generation.id
    hand_back = asyncio.Event()
    for number in range(1, len(attempts) + 1):
        await generate({"context": place, "tool": "image", "hand_back": hand_back}, generation, number)
    return generation


@pytest.mark.parametrize(
    ("wishes", "data", "media"),
    [
        ({}, picture("PNG"), Media("image/png", 64, 48)),
        ({}, picture("JPEG"), Media("image/jpeg", 64, 48)),
        ({}, picture("WEBP"), Media("image/webp", 64, 48)),
        ({}, picture("GIF", frames=3), Media("image/gif", 64, 48)),
        ({"tool": "video"}, film(), Media("video/mp4", 64, 48, Decimal(1))),
        ({"settings": {"duration": 1}}, film("mov"), Media("video/quicktime", 64, 48, Decimal(1))),
        ({"tool": "portrait"}, film(), Media("video/mp4", 64, 48, Decimal(1))),
        ({"tool": "portrait"}, picture(), Media("image/png", 64, 48)),
        ({"tool": "music", "output": MediaKind.AUDIO}, tone(), Media("audio/wav", duration_seconds=Decimal(2))),
        ({"tool": "text"}, "BM: höchstens".encode(), Media("text/plain", characters=13)),
        ({"tool": "export", "output": MediaKind.FILE}, b"\0\1", Media("application/octet-stream")),
    ],
)
async def test_an_output_is_delivered_as_what_its_bytes_are(
    stage: Stage, place: WorkerContext, wishes: dict[str, Any], data: bytes, media: Media
) -> None:
    generation = await attempted(stage, place, [data], **wishes)
    (output,) = (await stage.generation(generation)).outputs
    assert output == Output(
        index=0,
        object_key=f"outputs/{generation[4:6]}/{generation}/1-0.{STORED_EXTENSIONS[media.content_type]}",
        content_type=media.content_type,
        bytes=len(data),
        width=media.width,
        height=media.height,
        sha256=hashlib.sha256(data).hexdigest(),
        duration_seconds=media.duration_seconds,
        characters=media.characters,
    )
    assert await place.outputs.get(output.object_key) == data


@pytest.mark.parametrize(
    ("tool", "data", "why"),
    [
        ("image", b"", "is not one of image/png"),
        ("image", b'{"error": "NSFW"}', "is not one of image/png"),
        ("image", picture()[:-200], "cannot be decoded"),
        ("image", png_that_says(50_000, 50_000), "pixels"),
        ("video", SHORT, "is truncated"),
        ("audio", tone()[:-2000], "is truncated"),
        ("text", b"\xff\xfe\0words", "is not UTF-8 text"),
        ("text", b" \n", "is an empty text"),
        ("file", b"", "is empty"),
    ],
)
async def test_what_does_not_open_or_is_of_another_kind_is_never_delivered_and_never_paid(
    stage: Stage, place: WorkerContext, tool: str, data: bytes, why: str
) -> None:
    with structlog.testing.capture_logs() as lines:
        generation = await attempted(stage, place, [data], tool=tool, terms={"attempts_max": 1})
    found = await stage.generation(generation)
    assert (found.state, found.error, found.outputs) == (State.FAILED, FailureCode.PROVIDER_FAILED, ())
    assert await stage.spent() == 0
    assert why in next(line["detail"] for line in lines if line["event"] == "attempt_failed")
    assert not await _stored(stage)


@pytest.mark.parametrize(
    ("wishes", "data", "why"),
    [
        ({"tool": "image", "settings": {}}, film(), "is video/mp4, but an image was requested"),
        ({"tool": "video", "settings": {}}, picture(), "is image/png, but a video was requested"),
        ({"tool": "video", "settings": {}}, picture("GIF", frames=3), "is image/gif, but a video was requested"),
        (
            {"tool": "video", "settings": {}},
            _file("gif-video.gif"),
            "is image/gif, but a video was requested",
        ),
        ({"tool": "image", "settings": {}}, _file("vector.svg"), "is SVG, not one of image/png"),
        ({"tool": "image", "settings": {}}, _file("image.avif"), "is AVIF, not one of image/png"),
        ({"tool": "image", "settings": {}}, _file("photo.heic"), "is HEIC, not one of image/png"),
        ({"tool": "image", "settings": {}}, _file("image.bmp"), "is BMP, not one of image/png"),
        ({"tool": "image", "settings": {}}, _file("image.tiff"), "is TIFF, not one of image/png"),
        ({"tool": "video", "settings": {}}, _file("h264.avi"), "is AVI, not one of image/png"),
        ({"tool": "video", "settings": {"duration": 15}}, film(), "lasts 1.000 s, but 15 s were requested"),
    ],
)
async def test_what_was_not_ordered_ends_the_generation_at_once_and_costs_nothing(
    stage: Stage, place: WorkerContext, wishes: dict[str, Any], data: bytes, why: str
) -> None:
    """An SVG was bought three times, and a clip of one second was charged as the fifteen that were ordered."""
    with structlog.testing.capture_logs() as lines:
        generation = await attempted(stage, place, [data], **wishes)
    found = await stage.generation(generation)
    assert (found.state, found.error, found.outputs) == (State.FAILED, FailureCode.OUTPUT_UNUSABLE, ())
    assert (found.attempt, await stage.spent()) == (1, 0)
    assert why in next(line["detail"] for line in lines if line["event"] == "attempt_failed")
    assert not await _stored(stage)


async def test_one_output_that_was_not_ordered_does_not_keep_the_others(stage: Stage, place: WorkerContext) -> None:
    generation = await attempted(stage, place, [film(), picture(), picture("WEBP")], outputs=3)
    found = await stage.generation(generation)
    assert (found.state, found.error) == (State.SUCCEEDED, FailureCode.OUTPUT_UNUSABLE)
    assert [output.index for output in found.outputs] == [1, 2]
    assert await stage.spent() == 2 * PRICE


async def test_the_next_attempt_makes_what_did_not_open_and_keeps_what_did(stage: Stage, place: WorkerContext) -> None:
    generation = await attempted(stage, place, [picture(), b"broken"], [picture("WEBP")], outputs=2)
    found = await stage.generation(generation)
    assert (found.state, found.attempt, found.failures) == (State.SUCCEEDED, 2, 1)
    assert [output.object_key.rsplit("/", 1)[1] for output in found.outputs] == ["1-0.png", "2-1.webp"]
    assert await stage.spent() == 2 * PRICE


async def test_an_output_is_inspected_where_the_system_allows_no_files_in_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Some systems have the call and refuse it: there no output of any provider could be delivered."""

    def refused(name: str) -> int:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), name)

    monkeypatch.setattr(os, "memfd_create", refused, raising=False)
    checks = Checks()
    try:
        media, _ = await checks.check(Rendered(index=0, data=picture()), ANYTHING, "acme")
    finally:
        await checks.close()
    assert media.content_type == "image/png"


async def test_a_hostile_file_of_a_provider_takes_no_memory_of_the_worker(stage: Stage, place: WorkerContext) -> None:
    """Outputs were looked into in the worker itself, which anybody who can have a model answer such a file could end.

    1.6 KB that speak of 80 million samples took 3 GB, and with the worker all its attempts would have been lost, each
    of which the next worker would have resumed, to be ended by the same file. Now its reader dies, and it alone.
    """
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    hostile = mp4_that_says(samples=20_000_000, tracks=4)
    generation = await attempted(stage, place, [hostile], tool="video", terms={"attempts_max": 1})
    found = await stage.generation(generation)
    assert (found.state, found.error) == (State.FAILED, FailureCode.PROVIDER_FAILED)
    unit = 1 if sys.platform == "darwin" else 1024
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * unit < 200 * 1024 * 1024


def _reader(monkeypatch: pytest.MonkeyPatch, does: str) -> None:
    monkeypatch.setattr(isolation, "_FORKER", forker_whose_reader(does))


async def test_a_reader_that_the_system_kills_for_want_of_memory_is_a_broken_output(
    stage: Stage, place: WorkerContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    _reader(monkeypatch, "os.kill(os.getpid(), signal.SIGKILL)")
    found = await stage.generation(await attempted(stage, place, [picture()], terms={"attempts_max": 1}))
    assert (found.state, found.error) == (State.FAILED, FailureCode.PROVIDER_FAILED)


async def test_a_reader_that_was_stopped_or_cannot_start_is_not_the_providers_fault(
    stage: Stage, place: WorkerContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who stops a service may signal all its processes. The ref stays, so the next attempt pays for nothing twice."""
    monkeypatch.setattr(
        isolation, "_FORKER", (sys.executable, "-c", "import os, signal; os.kill(os.getpid(), signal.SIGTERM)")
    )
    generation = await attempted(stage, place, [picture()])
    found = await stage.generation(generation)
    assert (found.state, found.failures, found.provider_ref) == (State.QUEUED, 1, generation)
    monkeypatch.setattr(isolation, "_FORKER", ("/nowhere/python",))
    found = await stage.generation(await attempted(stage, place, [picture()], terms={"attempts_max": 1}))
    assert (found.state, found.error) == (State.FAILED, FailureCode.WORKER_LOST)


async def test_the_sandboxs_outputs_are_inspected_in_process(
    stage: Stage, place: WorkerContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    _reader(monkeypatch, "os.abort()")
    generation = (await stage.reserve()).generation.id
    await generate({"context": place, "tool": "image", "hand_back": asyncio.Event()}, generation, 1)
    assert (await stage.generation(generation)).state is State.SUCCEEDED


async def test_outputs_are_inspected_concurrently_within_the_limit(
    place: WorkerContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = most = 0
    full = asyncio.Event()

    async def inspect_slowly(_: Readers, file: BinaryIO, _expected: MediaKind | None) -> Media:
        nonlocal now, most
        now, most = now + 1, max(most, now + 1)
        if now == checks.INSPECTIONS_MAX:
            full.set()
        await full.wait()
        now -= 1
        return inspect(file)

    monkeypatch.setattr(Readers, "inspect", inspect_slowly)
    of_this_worker, outputs = place.checks, [Rendered(index=index, data=picture()) for index in range(25)]
    async with asyncio.timeout(60):
        await asyncio.gather(*(of_this_worker.check(each, ANYTHING, f"account-{each.index}") for each in outputs))
    assert most == checks.INSPECTIONS_MAX


async def test_an_inspection_leaves_no_file_open(monkeypatch: pytest.MonkeyPatch) -> None:
    def descriptors() -> int:
        return len(list(Path("/dev/fd").iterdir()))

    before = descriptors()
    for does in ("return inspect(file)", "os.abort()"):
        _reader(monkeypatch, does)
        of_this_worker = Checks()
        with contextlib.suppress(ProviderFailed):
            await of_this_worker.check(Rendered(index=0, data=picture()), ANYTHING, "acme")
        await of_this_worker.close()
    assert descriptors() == before


async def _stored(stage: Stage) -> list[Path]:
    return [path for path in (stage.directory / "outputs").rglob("*") if path.is_file()]


async def test_slow_inspections_do_not_delay_other_accounts(
    place: WorkerContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever can have a model answer large files had all readers of a worker, and with them everybody's deliveries."""
    monkeypatch.setattr(fair, "QUICK_SECONDS", 0.01)
    go_on = asyncio.Event()

    async def inspect_slowly(_: Readers, file: BinaryIO, _expected: MediaKind | None) -> Media:
        if (media := inspect(file)).width == 65:
            await go_on.wait()
        return media

    monkeypatch.setattr(Readers, "inspect", inspect_slowly)
    slow, quick = picture(width=65), picture()
    async with asyncio.TaskGroup() as group:
        long = [
            group.create_task(place.checks.check(Rendered(index=index, data=slow), ANYTHING, account))
            for index in range(8)
            for account in ("one", "two")
        ]
        for index in range(3):
            await place.checks.check(Rendered(index=index, data=quick), ANYTHING, "three")
        assert not any(task.done() for task in long)
        go_on.set()
