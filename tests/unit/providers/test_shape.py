from __future__ import annotations

from decimal import Decimal

import pytest

from gateway.domain import SettingValue
from tests.cases import cases
from workers.providers.sandbox.shape import Size, clip, image_size


@cases(
    ("settings", "width", "height"),
    [
        ({}, 1024, 1024),
        ({"resolution": "1K"}, 1024, 1024),
        ({"resolution": "2K", "aspect_ratio": "16:9"}, 2048, 1152),
        ({"resolution": "4K", "aspect_ratio": "9:16"}, 2304, 4096),
        ({"resolution": "auto", "aspect_ratio": "auto"}, 1024, 1024),
        ({"size": "1024x1536", "quality": "high"}, 1024, 1536),
        ({"resolution": "1536×1024"}, 1536, 1024),
        ({"megapixels": 4}, 2048, 2048),
        ({"megapixels": Decimal("0.25"), "aspect_ratio": "4:1"}, 1024, 256),
        ({"resolution": "720p", "aspect_ratio": "4:3"}, 960, 720),
    ],
)
def test_an_image_has_the_size_that_its_settings_say(
    settings: dict[str, SettingValue], width: int, height: int
) -> None:
    assert image_size(settings) == Size(width, height)


@pytest.mark.parametrize("settings", [{"size": "99999x10"}, {"megapixels": 999_999_999}, {"aspect_ratio": "99999:1"}])
def test_no_setting_makes_an_image_larger_than_4k_or_smaller_than_a_thumbnail(
    settings: dict[str, SettingValue],
) -> None:
    size = image_size(settings)
    assert min(size.width, size.height) >= 64
    assert max(size.width, size.height) <= 4096


@pytest.mark.parametrize(
    ("resolution", "aspect_ratio", "width", "height"),
    [
        ("360p", "16:9", 640, 360),
        ("480p", "16:9", 854, 480),
        ("540p", "16:9", 960, 540),
        ("720p", "9:16", 720, 1280),
        ("1080p", "16:9", 1920, 1080),
        ("1080p", "1:1", 1080, 1080),
        ("2160p", "16:9", 3840, 2160),
    ],
)
def test_a_video_has_its_resolution_as_shortest_side_and_even_sides(
    resolution: str, aspect_ratio: str, width: int, height: int
) -> None:
    assert clip({"resolution": resolution, "aspect_ratio": aspect_ratio}).size == Size(width, height)


@pytest.mark.parametrize(
    ("duration", "seconds"), [(5, "5"), (Decimal("2.5"), "2.5"), ("8s", "8"), (0, "5"), ("auto", "5"), (9999, "120")]
)
def test_a_video_has_the_length_that_its_duration_says(duration: SettingValue, seconds: str) -> None:
    assert clip({"duration": duration}).seconds == Decimal(seconds)


def test_a_video_without_settings_is_five_silent_seconds_of_720p() -> None:
    plain = clip({})
    assert (plain.size, plain.seconds, plain.audio) == (Size(1280, 720), Decimal(5), False)
    assert clip({"audio": True}).audio
    assert not clip({"audio": "off"}).audio
