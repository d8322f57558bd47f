"""What the sandbox renders is decoded again: it is a real PNG and a real, playable, moving MP4."""

from __future__ import annotations

import io
from dataclasses import astuple
from decimal import Decimal
from itertools import pairwise
from threading import Event

import av
import numpy as np
import pytest
from av.container import InputContainer
from PIL import Image

from gateway.domain import SettingValue
from gateway.media import Media, inspect
from tests.cases import cases
from workers.providers.base import Rendered
from workers.providers.sandbox.caption import printable
from workers.providers.sandbox.render import RenderJob, render
from workers.providers.sandbox.shape import clip, image_size
from workers.providers.sandbox.stopped import Stopped

SMALL = {"resolution": "128x96"}


def opened(data: bytes) -> InputContainer:
    container = av.open(io.BytesIO(data), "r")
    assert isinstance(container, InputContainer)
    return container


def rendered_image(
    settings: dict[str, SettingValue], *, prompt: str = "A lighthouse", seed: str = "", index: int = 0, model: str = "m"
) -> Rendered:
    job = RenderJob(index=index, model=model, prompt=prompt, seed=seed, shape=image_size(settings))
    return render(job, Event(), lambda _: None)


def rendered_video(settings: dict[str, SettingValue], reports: list[float] | None = None) -> Rendered:
    job = RenderJob(index=0, model="m", prompt="A lighthouse", seed="", shape=clip(settings))
    return render(job, Event(), (reports if reports is not None else []).append)


@pytest.mark.parametrize("aspect_ratio", ["1:1", "16:9", "9:16", "21:9", "1:8"])
def test_an_image_is_a_png_of_the_size_it_says(aspect_ratio: str) -> None:
    image = rendered_image({"resolution": "1K", "aspect_ratio": aspect_ratio})
    with Image.open(io.BytesIO(image.data)) as file:
        file.verify()
    with Image.open(io.BytesIO(image.data)) as file:
        assert (file.format, file.mode, max(file.size)) == ("PNG", "RGB", 1024)
        assert file.size == astuple(image_size({"resolution": "1K", "aspect_ratio": aspect_ratio}))
    assert inspect(image.data) == Media("image/png", *file.size)


def test_a_4k_image_has_4096_pixels() -> None:
    image = rendered_image({"resolution": "4K"})
    with Image.open(io.BytesIO(image.data)) as file:
        assert file.size == (4096, 4096)


def test_the_same_request_renders_the_same_bytes() -> None:
    assert rendered_image({"resolution": "1K"}).data == rendered_image({"resolution": "1K"}).data
    settings: dict[str, SettingValue] = {"resolution": "160x96", "duration": 1, "audio": True}
    assert rendered_video(settings).data == rendered_video(settings).data


def test_another_prompt_seed_model_or_index_renders_another_picture() -> None:
    pictures = {
        rendered_image({}).data,
        rendered_image({}, prompt="A windmill").data,
        rendered_image({}, seed="7").data,
        rendered_image({}, model="n").data,
        rendered_image({}, index=1).data,
    }
    assert len(pictures) == 5


def test_the_caption_is_in_the_picture() -> None:
    """The lower left is the card: text so bright on a ground so dark is nowhere else in it."""
    with Image.open(io.BytesIO(rendered_image({}).data)) as file:
        card = np.asarray(file.convert("L").crop((30, 900, 600, 990)))
    assert card.max() - card.min() > 150


@cases(
    "prompt",
    [
        "",
        "   ",
        "日本の山と猫",
        "مرحبا بالعالم",
        "👩‍👩‍👧‍👦 family 🏳️‍🌈",
        "e\u0301" * 300 + "\u0300" * 200,
        "nul \x00 bell \x07 escape \x1b[31m\r\nnext",
        "lone surrogate \ud800 end",
        "\u202eright to left override\ufeff",
        "x" * 100_000,
        "Donaudampfschifffahrtsgesellschaftskapitän " * 400,
    ],
)
def test_any_prompt_can_be_drawn(prompt: str) -> None:
    assert inspect(rendered_image(dict(SMALL), prompt=prompt).data).width == 128


def test_nothing_unprintable_is_drawn() -> None:
    assert printable("a\x00b\x1b[31m\r\n \ud800c\u200d") == "a b [31m c"


@pytest.mark.parametrize(
    ("settings", "frames", "fps"),
    [
        ({"resolution": "360p", "duration": 2}, 48, 24),
        ({"resolution": "480p", "duration": Decimal("1.5"), "aspect_ratio": "9:16"}, 36, 24),
        ({"resolution": "2160p", "duration": 1}, 12, 12),
    ],
)
def test_a_video_has_the_asked_length_size_and_frames_and_moves(
    settings: dict[str, SettingValue], frames: int, fps: int
) -> None:
    video = rendered_video(settings)
    with opened(video.data) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.pix_fmt) == ("h264", "yuv420p")
        assert (stream.width, stream.height) == astuple(clip(settings).size)
        assert stream.average_rate == fps
        assert container.duration == round(Decimal(frames) / fps * 1_000_000)
        pictures = [frame.to_ndarray(format="gray") for frame in container.decode(stream)]
        assert not container.streams.audio
    assert len(pictures) == frames
    width, height = astuple(clip(settings).size)
    assert inspect(video.data) == Media("video/mp4", width, height, clip(settings).seconds)
    for before, after in pairwise(pictures):
        sky_and_ridges = slice(0, before.shape[0] * 3 // 4)  # without the card's growing line
        assert not np.array_equal(before[sky_and_ridges], after[sky_and_ridges])


def test_a_video_with_audio_has_a_silent_track_as_long_as_the_pictures() -> None:
    video = rendered_video({"resolution": "160x96", "duration": 2, "audio": True})
    with opened(video.data) as container:
        audio = container.streams.audio[0]
        assert audio.codec_context.name == "aac"
        heard = [frame.to_ndarray() for frame in container.decode(audio)]
        assert container.duration == 2_000_000
    assert not any(samples.any() for samples in heard)


def test_a_long_video_with_audio_is_indexed_at_its_front() -> None:
    """A player can start before it has the whole file, also when the index is long."""
    data = rendered_video({"resolution": "64x64", "duration": 120, "audio": True}).data
    assert 0 < data.find(b"moov") < data.find(b"mdat")
    with opened(data) as container:
        assert container.duration == 120_000_000


def test_progress_rises() -> None:
    reports: list[float] = []
    rendered_video({"resolution": "64x64", "duration": 2}, reports)
    assert len(reports) > 10
    assert reports == sorted(reports)
    assert reports[0] > 0
    assert reports[-1] <= 1


def test_a_render_stops_at_the_next_frame() -> None:
    stop = Event()
    reports: list[float] = []

    def stop_at_the_first(fraction: float) -> None:
        reports.append(fraction)
        stop.set()

    job = RenderJob(index=0, model="m", prompt="p", seed="", shape=clip({"resolution": "64x64"}))
    with pytest.raises(Stopped):
        render(job, stop, stop_at_the_first)
    assert len(reports) == 1
