"""Audio, text and other files: what they are, and how long."""

from __future__ import annotations

import io
import zipfile
from decimal import Decimal

import pytest

from gateway.errors import MediaNotTaken, MediaUnreadable
from gateway.kinds import MediaKind
from gateway.media import Media, inspect
from tests.cases import cases
from tests.made_media import film, picture, tone

SOUNDS = {
    "audio/wav": tone(),
    "audio/mpeg": tone("mp3", "libmp3lame"),
    "audio/ogg": tone("ogg", "libopus"),
    "audio/flac": tone("flac", "flac"),
    "audio/mp4": tone("ipod", "aac"),
    "audio/webm": tone("webm", "libopus"),
}
TEXT, FILE = MediaKind.TEXT, MediaKind.FILE


@pytest.mark.parametrize("content_type", SOUNDS)
def test_a_sound_lasts_as_long_as_it_is_heard_whatever_its_encoder_pads(content_type: str) -> None:
    seen = inspect(SOUNDS[content_type])
    assert (seen.content_type, seen.kind, seen.width, seen.height) == (content_type, MediaKind.AUDIO, None, None)
    assert seen.duration_seconds is not None
    assert abs(seen.duration_seconds - 2) <= Decimal("0.001")


def test_aac_without_a_container_says_nothing_of_its_padding() -> None:
    seen = inspect(tone("adts", "aac"))
    assert seen.content_type == "audio/aac"
    assert seen.duration_seconds is not None
    assert 2 <= seen.duration_seconds < Decimal("2.1")


def test_an_mp4_that_only_sounds_is_audio() -> None:
    assert inspect(tone("mp4", "aac")).content_type == "audio/mp4"


def test_a_wav_whose_length_was_not_known_when_it_was_begun_is_whole() -> None:
    """So speech arrives from servers that send it as it is spoken."""
    begun = bytearray(tone())
    at = begun.find(b"data")
    begun[at + 4 : at + 8] = b"\xff" * 4
    assert inspect(bytes(begun)).duration_seconds == 2


@pytest.mark.parametrize("content_type", ["audio/wav", "audio/flac", "audio/mp4"])
def test_a_sound_that_was_cut_short_is_refused_where_it_can_be_told(content_type: str) -> None:
    whole = SOUNDS[content_type]
    with pytest.raises(MediaUnreadable, match="truncated"):
        inspect(whole[: len(whole) // 2])


def test_any_text_is_text_and_its_characters_are_code_points() -> None:
    assert inspect("héllo 👍".encode(), TEXT) == Media("text/plain", characters=7)
    assert inspect(b"<svg onload=alert(1)>", TEXT) == Media("text/plain", characters=21)
    assert inspect(picture(), TEXT).content_type == "image/png", "so that the answer can say what came instead"
    with pytest.raises(MediaUnreadable, match="is not one of image/png"):
        inspect(b"words")


def test_a_file_has_the_type_that_its_bytes_show() -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("a.txt", "words")
    whole = packed.getvalue()
    assert inspect(whole, FILE) == Media("application/zip")
    assert inspect(b"%PDF-1.4\n%%EOF\n", FILE) == Media("application/pdf")
    assert inspect(b"glTF\2\0\0\0\x0c\0\0\0", FILE) == Media("model/gltf-binary")
    assert inspect(b"a,b\n1,2\n", FILE) == Media("text/plain", characters=8)
    assert inspect(b"BM\0\0", FILE) == Media("application/octet-stream")
    assert inspect(film(), FILE).content_type == "video/mp4"
    with pytest.raises(MediaNotTaken, match="is BMP"):
        inspect(b"BM\0\0")


@cases(
    ("data", "why"),
    [
        (b"%PDF-1.4\n", "truncated"),
        (b"PK\x03\x04" + bytes(20), "truncated"),
        (b"glTF\2\0\0\0\xff\0\0\0", "truncated"),
        (picture()[:-200], "cannot be decoded"),
        (b"", "is empty"),
    ],
)
def test_a_file_that_is_not_whole_is_refused(data: bytes, why: str) -> None:
    with pytest.raises(MediaUnreadable, match=why):
        inspect(data, FILE)
