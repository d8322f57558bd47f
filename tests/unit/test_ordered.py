"""Is a file what was ordered: the margins, and what nobody can check."""

from __future__ import annotations

from decimal import Decimal

from gateway.domain import Output, SettingValue
from gateway.kinds import MediaKind
from gateway.media import Media
from gateway.outputs.ordered import OutputChecks, OutputRequirements, ResolutionCheck, differences
from tests.cases import cases

AUDIO = MediaKind.AUDIO


def clip(seconds: str, width: int = 1280, height: int = 720) -> Media:
    return Media("video/mp4", width, height, Decimal(seconds))


@cases(
    ("ordered", "delivered", "fits"),
    [
        (5, "5.04", True),
        (5, "4.75", True),
        (5, "4.749", False),
        (15, "1.0", False),
        ("5s", "1.0", False),
        (Decimal("2.5"), "2.4", True),
        ("auto", "1.0", True),
        (0, "1.0", True),
        (-1, "1.0", True),
        (True, "0.5", True),
    ],
)
def test_a_video_may_be_five_percent_short(ordered: SettingValue, delivered: str, *, fits: bool) -> None:
    assert (OutputRequirements("video", {"duration": ordered}).fault_of(clip(delivered)) is None) is fits


def test_audio_may_be_as_short_as_a_video_and_has_no_size() -> None:
    tune = OutputRequirements("music", {"duration": 5, "size": "64x64"}, OutputChecks(resolution="exact"), AUDIO)
    assert tune.fault_of(Media("audio/mpeg", duration_seconds=Decimal("4.75"))) is None
    assert tune.fault_of(Media("audio/mpeg", duration_seconds=Decimal("4.7"))) == (
        "lasts 4.7 s, but 5 s were requested"
    )
    assert tune.fault_of(clip("5")) == "is video/mp4, but audio was requested"


def test_a_file_may_be_of_any_kind_and_a_text_only_text() -> None:
    for media in (clip("5"), Media("text/plain", characters=3), Media("application/zip")):
        assert OutputRequirements("export", {}, output=MediaKind.FILE).fault_of(media) is None
    assert OutputRequirements("text", {}).fault_of(Media("text/plain", characters=3)) is None
    assert OutputRequirements("text", {}).fault_of(clip("5")) == "is video/mp4, but text was requested"


def test_the_card_may_say_another_share_or_none() -> None:
    strict = OutputRequirements("video", {"duration": 5}, OutputChecks(duration=Decimal(1)))
    assert strict.fault_of(clip("4.99")) == "lasts 4.99 s, but 5 s were requested"
    assert OutputRequirements("video", {"duration": 5}, OutputChecks(duration=Decimal(0))).fault_of(clip("0.1")) is None


@cases(
    ("check", "settings", "size", "fits"),
    [
        ("off", {"size": "1024x1024"}, (512, 512), True),
        ("exact", {"size": "1024x1536"}, (1024, 1536), True),
        ("exact", {"size": "1024-x-1536"}, (1024, 1535), False),
        ("exact", {"resolution": "720p"}, (640, 480), True),  # says no width: nothing to compare exactly
        ("at_least", {"resolution": "720p"}, (1280, 704), True),
        ("at_least", {"resolution": "720p"}, (704, 1280), True),
        ("at_least", {"resolution": "1080p"}, (1280, 720), False),
        ("at_least", {"resolution": "2K"}, (2048, 1152), True),
        ("at_least", {"resolution": "4K"}, (2048, 2048), False),
        ("at_least", {"resolution": "auto"}, (1, 1), True),
        ("aspect", {"aspect_ratio": "16:9"}, (1280, 720), True),
        ("aspect", {"aspect_ratio": "16:9"}, (1280, 704), True),
        ("aspect", {"aspect_ratio": "16:9"}, (1344, 768), True),
        ("aspect", {"aspect_ratio": "9:16"}, (1280, 720), False),
        ("at_least", {"aspect_ratio": "1:1", "resolution": "1K"}, (1024, 768), False),
    ],
)
def test_a_size_is_checked_as_the_card_says(
    check: ResolutionCheck, settings: dict[str, SettingValue], size: tuple[int, int], *, fits: bool
) -> None:
    ordered = OutputRequirements("image", settings, OutputChecks(resolution=check))
    assert (ordered.fault_of(Media("image/png", *size)) is None) is fits


def test_a_receipt_names_what_is_a_little_other_than_ordered() -> None:
    def output(index: int, seconds: str, height: int = 720) -> Output:
        return Output(
            index=index,
            object_key="outputs/x",
            content_type="video/mp4",
            bytes=1,
            width=1280,
            height=height,
            sha256="",
            duration_seconds=Decimal(seconds),
        )

    outputs = [output(0, "5.04"), output(1, "4.80"), output(2, "5", height=704)]
    assert list(differences({"duration": 5, "size": "1280x720"}, outputs)) == [
        (1, "Ordered: 5 s. Delivered: 4.8 s."),
        (2, "Ordered: 1280 × 720 pixels. Delivered: 1280 × 704 pixels."),
    ]
