"""docs/formats.md says of each format what becomes of it, as the code has it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gateway.media import CONVERTED, content_type_by_opening, converted_by_opening, images, openings, stills

PAGE = (Path(__file__).parents[2] / "docs" / "formats.md").read_text()
ROWS = {
    row[0]: row[1:]
    for row in ([cell.strip() for cell in line.strip("|").split("|")] for line in PAGE.splitlines() if line[:2] == "| ")
}
OPENINGS = {
    "PNG": b"\x89PNG\r\n\x1a\n",
    "JPEG": b"\xff\xd8\xff\xe0",
    "WebP": b"RIFF\0\0\0\0WEBP",
    "GIF": b"GIF89a",
    "MP4": b"\0\0\0\x18ftypisom",
    "M4V": b"\0\0\0\x18ftypM4V ",
    "3GP": b"\0\0\0\x18ftyp3gp4",
    "QuickTime": b"\0\0\0\x14ftypqt  ",
    "WebM": b"\x1aE\xdf\xa3\x9fB\x82\x84webm",
    "WAV": b"RIFF\0\0\0\0WAVE",
    "MP3": b"\xff\xfb\x90\x64",
    "OGG": b"OggS",
    "FLAC": b"fLaC",
    "M4A": b"\0\0\0\x18ftypM4A ",
    "AAC": b"\xff\xf1\x50\x80",
}


def _row_of(name: str) -> list[str]:
    (row,) = (cells for formats, cells in ROWS.items() if re.search(rf"\b{re.escape(name)}\b(?! XL| 2000)", formats))
    return row


@pytest.mark.parametrize("name", OPENINGS)
def test_what_the_page_takes_as_it_is_is_taken(name: str) -> None:
    assert content_type_by_opening(OPENINGS[name]) is not None
    assert set(_row_of(name)) == {"as it is"}


@pytest.mark.parametrize("content_type", CONVERTED)
def test_what_the_page_says_is_converted_is(content_type: str) -> None:
    brand = content_type.removeprefix("image/").encode()
    assert converted_by_opening(b"\0\0\0\x18ftyp" + brand) == content_type
    assert _row_of(CONVERTED[content_type])[0] == "kept as JPEG or PNG"


def test_the_page_names_every_format_that_is_known_and_not_taken() -> None:
    for name in {name for name, _, _ in openings.NOT_TAKEN} - {"a ZIP archive"}:
        assert _row_of(name)[0] == "refused"


def test_the_page_says_how_large_a_side_and_a_converted_picture_may_be() -> None:
    assert f"Each side is limited to {images.SIDE_MAX:,} pixels." in PAGE
    assert f"is limited to {stills.KEPT_MAX_BYTES // 1024 // 1024} MiB as well" in PAGE
