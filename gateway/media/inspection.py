"""Inspects a file: its real format, whether it decodes, its size or length. Blocking: call it in a thread.

Files are untrusted, so everything is limited: pixels before they are decoded, frames, scans, and the total time. Pillow
and FFmpeg are told which format to expect, so that none of their many other readers sees a byte.
"""

from __future__ import annotations

import io
import time
from dataclasses import dataclass
from decimal import Decimal
from typing import BinaryIO

from gateway.errors import MediaNotTaken, MediaUnreadable
from gateway.kinds import MediaKind
from gateway.media import documents, texts
from gateway.media.openings import (
    CONVERTED,
    EXTENSIONS,
    OPENING_BYTES,
    SOUND_ONLY,
    TEXT_TYPE,
    content_type_by_opening,
    converted_by_opening,
    format_not_taken,
    kind_of,
)

INSPECT_SECONDS = 20.0  # an 8K picture takes one, a video of 50 MB half of one


@dataclass(frozen=True, slots=True)
class Media:
    """A file's properties. Width and height are in pixels as displayed: upright, and with square pixels.

    Images and videos have them; videos and audio have `duration_seconds`, to the millisecond; text has `characters`.
    """

    content_type: str
    width: int | None = None
    height: int | None = None
    duration_seconds: Decimal | None = None
    characters: int | None = None

    @property
    def kind(self) -> MediaKind:
        """What it is."""
        return kind_of(self.content_type)


class Deadline:
    """The time limit of an inspection, checked between frames and packets."""

    def __init__(self, seconds: float) -> None:
        """Count from now."""
        self._ends_at = time.monotonic() + seconds

    def check(self) -> None:
        """MediaUnreadable once the time is up."""
        if time.monotonic() > self._ends_at:
            raise MediaUnreadable("takes too long to decode")


def inspect(file: bytes | BinaryIO, expected: MediaKind | None = None) -> Media:
    """Inspect `file`; MediaUnreadable if its format is not supported, it does not decode completely, or is too large.

    Text is only recognized if `expected`, because it has no format, and other formats only where a file is.
    A file object is read from its start, whatever its position, and left open.
    """
    stream = io.BytesIO(file) if isinstance(file, bytes) else file
    stream.seek(0)
    opening = stream.read(OPENING_BYTES)
    content_type = content_type_by_opening(opening)
    stream.seek(0)
    if expected is MediaKind.TEXT or (expected is MediaKind.FILE and not documents.is_one(opening)):
        try:
            return Media(TEXT_TYPE, characters=texts.characters(stream))
        except MediaUnreadable:
            if content_type is None and expected is MediaKind.TEXT:
                raise
        stream.seek(0)
    if content_type is None and expected is MediaKind.FILE:
        return Media(documents.content_type(stream))
    if content_type is None:
        taken = f"not one of {', '.join(EXTENSIONS)}"
        foreign = format_not_taken(opening)
        raise MediaUnreadable(f"is {taken}") if foreign is None else MediaNotTaken(f"is {foreign}, {taken}")
    return _decoded(stream, content_type, Deadline(INSPECT_SECONDS))


def _decoded(stream: BinaryIO, content_type: str, deadline: Deadline) -> Media:
    kind = kind_of(content_type)
    if kind is MediaKind.IMAGE:
        from gateway.media import images  # noqa: PLC0415 - see the package: Pillow at first use

        return Media(content_type, *images.size(stream, content_type, deadline.check))
    from gateway.media import sounds, videos  # noqa: PLC0415 - see the package: PyAV at first use

    if kind is MediaKind.VIDEO:
        try:
            return Media(content_type, *videos.size_and_length(stream, content_type, deadline.check))
        except videos.SoundOnly:
            if content_type not in SOUND_ONLY:
                raise
        content_type = SOUND_ONLY[content_type]
        stream.seek(0)
    return Media(content_type, duration_seconds=sounds.length(stream, content_type, deadline.check))


def convert(file: BinaryIO, into: BinaryIO) -> Media:
    """Convert an image of a `CONVERTED` type into the empty file `into`; returns the properties of the result.

    MediaUnreadable if it is of another type, does not decode completely, or is too large.
    """
    from gateway.media import stills  # noqa: PLC0415 - see the package: Pillow at first use

    file.seek(0)
    content_type = converted_by_opening(file.read(OPENING_BYTES))
    file.seek(0)
    if content_type is None:
        raise MediaUnreadable(f"is not one of {', '.join(CONVERTED)}")
    return Media(*stills.convert(file, content_type, into))
