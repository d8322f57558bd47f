"""Real files of every format, whole and damaged."""

from __future__ import annotations

import contextlib
import io
import random
import subprocess
import sys
from decimal import Decimal

import pytest

from gateway.errors import MediaUnreadable
from gateway.kinds import MediaKind, kind_asked
from gateway.media import Media, content_type_by_opening, images, inspect, inspection, videos
from tests.cases import cases
from tests.made_media import film, picture, png_that_says

WHOLE = {
    "image/png": picture("PNG"),
    "image/jpeg": picture("JPEG"),
    "image/webp": picture("WEBP"),
    "image/gif": picture("GIF"),
}
FILMS = {
    "video/mp4": film(),
    "video/quicktime": film("mov"),
    "video/webm": film("webm", "libvpx-vp9"),
}
INDEX_FIRST = film(index_first=True)


@pytest.mark.parametrize("content_type", WHOLE)
def test_an_image_is_what_its_bytes_are(content_type: str) -> None:
    assert inspect(WHOLE[content_type]) == Media(content_type, 64, 48, None)
    assert inspect(WHOLE[content_type]).kind is MediaKind.IMAGE


@pytest.mark.parametrize("content_type", FILMS)
def test_a_video_is_what_its_bytes_are_and_as_long_as_its_packets(content_type: str) -> None:
    seen = inspect(FILMS[content_type])
    assert (seen.content_type, seen.width, seen.height, seen.kind) == (content_type, 64, 48, MediaKind.VIDEO)
    assert seen.duration_seconds is not None
    assert Decimal("0.99") <= seen.duration_seconds <= Decimal("1.01")


@pytest.mark.parametrize("made", [film(index_first=True), film(fragmented=True), film(codec="mpeg4")])
def test_an_mp4_may_be_laid_out_in_any_way(made: bytes) -> None:
    assert inspect(made).content_type == "video/mp4"


@pytest.mark.parametrize("format_name", ["PNG", "WEBP", "GIF"])
def test_an_animated_image_is_an_image(format_name: str) -> None:
    assert inspect(picture(format_name, frames=5)).kind is MediaKind.IMAGE


def test_a_file_is_read_from_its_beginning_and_left_open() -> None:
    for data in (WHOLE["image/png"], FILMS["video/mp4"]):
        file = io.BytesIO(data)
        file.seek(7)
        assert inspect(file) == inspect(data)
        assert not file.closed


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"only words",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"#EXTM3U\nhttp://127.0.0.1/secret",
        b"\x00\x00\x00 ftypavif\x00\x00\x00\x00",
        b"\x1aE\xdf\xa3\xa3B\x86\x81\x01B\xf7\x81\x01B\xf2\x81\x04B\xf3\x81\x08B\x82\x88matroska",
        picture("BMP"),
    ],
)
def test_what_is_on_no_list_is_not_even_tried(data: bytes) -> None:
    assert content_type_by_opening(data) is None
    with pytest.raises(MediaUnreadable, match="not one of image/png, image/jpeg"):
        inspect(data)


@pytest.mark.parametrize("content_type", WHOLE)
def test_an_image_that_was_cut_short_is_refused(content_type: str) -> None:
    whole = WHOLE[content_type]
    for kept in (20, len(whole) // 2, len(whole) * 9 // 10):
        with pytest.raises(MediaUnreadable, match="cannot be decoded"):
            inspect(whole[:kept])


@pytest.mark.parametrize("format_name", ["PNG", "WEBP", "GIF"])
def test_an_animated_image_that_was_cut_short_is_refused(format_name: str) -> None:
    whole = picture(format_name, frames=5)
    with pytest.raises(MediaUnreadable):
        inspect(whole[: len(whole) * 9 // 10])


@pytest.mark.parametrize("whole", [*FILMS.values(), INDEX_FIRST, film(fragmented=True)])
def test_a_video_that_was_cut_short_is_refused(whole: bytes) -> None:
    for kept in (64, 500, len(whole) // 3, len(whole) // 2):
        with pytest.raises(MediaUnreadable, match=r"truncated|no frame|no video track"):
            inspect(whole[:kept])


def test_an_mp4_that_lacks_its_last_bytes_is_refused() -> None:
    with pytest.raises(MediaUnreadable, match="is truncated"):
        inspect(INDEX_FIRST[:-10])


def test_a_video_whose_pictures_are_garbage_is_refused() -> None:
    begins = INDEX_FIRST.index(b"mdat") + 4
    with pytest.raises(MediaUnreadable, match="no frame that can be decoded"):
        inspect(INDEX_FIRST[:begins] + bytes(len(INDEX_FIRST) - begins))


def test_a_file_with_nothing_behind_its_opening_is_refused() -> None:
    for whole in (*WHOLE.values(), *FILMS.values()):
        with pytest.raises(MediaUnreadable):
            inspect(whole[:64] + bytes(1000))


@pytest.mark.parametrize(("width", "height"), [(30_000, 30_000), (8192, 8193), (67_108_865, 1)])
def test_a_bomb_of_pixels_is_refused_before_it_is_unpacked(width: int, height: int) -> None:
    with pytest.raises(MediaUnreadable, match=f"has {width:,} × {height:,} pixels; the limit is 67,108,864"):
        inspect(png_that_says(width, height))


def test_a_bomb_of_frames_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "FRAMES_MAX", 4)
    assert inspect(picture("GIF", frames=4)).width == 64
    with pytest.raises(MediaUnreadable, match="has more than 4 frames"):
        inspect(picture("GIF", frames=5))


@pytest.mark.parametrize("format_name", ["GIF", "PNG", "WEBP"])
def test_a_bomb_of_large_frames_is_refused(monkeypatch: pytest.MonkeyPatch, format_name: str) -> None:
    """Each frame within the limit, and few enough of them: a thousand of 67 million pixels were decoded for minutes."""
    monkeypatch.setattr(images, "FRAMES_PIXELS_MAX", 4 * 64 * 48)
    assert inspect(picture(format_name, frames=4)).width == 64
    with pytest.raises(MediaUnreadable, match="has more than 12,288 pixels across its frames"):
        inspect(picture(format_name, frames=5))


def test_a_bomb_of_scans_is_refused() -> None:
    scan = b"\xff\xda\x00\x08\x01\x01\x00\x00\x3f\x00" + bytes(10)
    with pytest.raises(MediaUnreadable, match="has more than 100 scans"):
        inspect(WHOLE["image/jpeg"][:-2] + scan * 100)


def test_scans_are_counted_across_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "_BLOCK_BYTES", 1)
    assert inspect(WHOLE["image/jpeg"]).width == 64
    with pytest.raises(MediaUnreadable, match="scans"):
        inspect(WHOLE["image/jpeg"][:-2] + b"\xff\xda" * 100)


def test_a_video_of_too_many_pixels_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(videos, "PIXELS_MAX", 64 * 48 - 1)
    with pytest.raises(MediaUnreadable, match="has 64 × 48 pixels; the limit is 3,071"):
        inspect(FILMS["video/mp4"])


def test_a_video_longer_than_a_day_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(videos, "SECONDS_MAX", Decimal("0.5"))
    with pytest.raises(MediaUnreadable, match="claims to last longer than a day"):
        inspect(FILMS["video/mp4"])


def test_a_codec_that_is_not_on_the_list_is_refused() -> None:
    with pytest.raises(MediaUnreadable, match="in an unsupported codec"):
        inspect(film("mov", "mpeg2video"))


def test_an_inspection_times_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inspection, "INSPECT_SECONDS", -1.0)
    for data in (picture("GIF", frames=2), FILMS["video/mp4"]):
        with pytest.raises(MediaUnreadable, match="takes too long to decode"):
            inspect(data)


@pytest.mark.parametrize(
    ("tool", "settings", "output", "kind"),
    [
        ("image", {}, None, MediaKind.IMAGE),
        ("video", {}, None, MediaKind.VIDEO),
        ("image", {"duration": 5}, None, MediaKind.VIDEO),
        ("portrait", {"duration": 5}, None, MediaKind.VIDEO),
        ("portrait", {}, None, None),
        ("audio", {"duration": 5}, None, MediaKind.AUDIO),
        ("text", {}, None, MediaKind.TEXT),
        ("music", {"duration": 5}, MediaKind.AUDIO, MediaKind.AUDIO),
        ("video", {"duration": 5}, MediaKind.FILE, MediaKind.FILE),
    ],
)
def test_a_tool_or_a_duration_says_which_kind_is_asked_for(
    tool: str, settings: dict[str, int], output: MediaKind | None, kind: MediaKind | None
) -> None:
    assert kind_asked(tool, settings, output) is kind


def test_a_gateway_starts_without_pillow_pyav_and_numpy() -> None:
    """They take a third of a second to import, and a gateway that gets no uploads never needs them."""
    code = "import sys, gateway.app, gateway.media; print(sorted({'av', 'PIL', 'numpy'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"


@cases("seed", range(20))
def test_whatever_is_wrong_with_a_file_is_said_in_our_words(seed: int) -> None:
    """Bytes changed, left out and put in, as a broken disk or somebody's fuzzer would."""
    chance = random.Random(seed)
    wholes = [*WHOLE.values(), *FILMS.values(), INDEX_FIRST, picture("GIF", frames=3), picture("PNG", frames=3)]
    for _ in range(50):
        data = bytearray(chance.choice(wholes))
        for _ in range(chance.choice((1, 3, 20))):
            at = chance.randrange(16, chance.choice((100, 1000, len(data))))
            data[at : at + chance.choice((1, 1, 9))] = chance.randbytes(chance.choice((0, 1, 1, 5)))
        with contextlib.suppress(MediaUnreadable):
            inspect(bytes(data))
