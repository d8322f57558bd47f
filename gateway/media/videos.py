"""Videos, with PyAV: the first frame is decoded and every packet is read, so that a truncated file is noticed.

`sounds` reads audio in the same way, with what is shared here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any, BinaryIO, cast

import av
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from gateway.errors import MediaUnreadable

PIXELS_MAX = 8192 * 4320  # 8K in either orientation; a decoder holds at most about twenty frames
SECONDS_MAX = 24 * 3600  # longer means a damaged number
# By how much the last packet may end before the claimed duration: rounding, and padding of an audio track.
SHORT_SECONDS = Fraction(3, 10)
STREAMS_MAX = 32
PIXEL_RATIO_MAX = 4  # anamorphic films have 2, DVDs less
_QUARTER_TURN, _HALF_TURN = 90, 180

_DEMUXERS = {"video/mp4": "mp4", "video/quicktime": "mov", "video/webm": "matroska"}
_CODECS = frozenset({"h264", "hevc", "av1", "libdav1d", "libaom-av1", "vp8", "vp9", "mpeg4", "mjpeg", "prores"})
_AUDIO_CODECS = frozenset(
    {"aac", "mp3", "opus", "vorbis", "flac", "alac", "ac3", "pcm_s16le", "pcm_s16be", "pcm_s24le"}
)
OPTIONS = {
    "max_pixels": str(PIXELS_MAX),
    "max_streams": str(STREAMS_MAX),
    "threads": "1",
}
_OPTIONS = OPTIONS | {
    "codec_whitelist": ",".join(sorted(_CODECS | _AUDIO_CODECS))  # FFmpeg decodes a little to detect the streams
}


class SoundOnly(MediaUnreadable):
    """It has an audio track, but no video track: it is audio in a container of videos."""


@dataclass(slots=True)
class TimeRange:
    """The time range of the packets read so far, in seconds."""

    begins: Fraction | None = None
    ends: Fraction = Fraction(0)

    def note(self, packet: Packet[Any]) -> None:
        """Add a packet."""
        at = packet.pts if packet.pts is not None else packet.dts
        if at is None or packet.time_base is None:
            return
        self.begins = at * packet.time_base if self.begins is None else min(self.begins, at * packet.time_base)
        self.ends = max(self.ends, (at + (packet.duration or 0)) * packet.time_base)


def size_and_length(file: BinaryIO, content_type: str, go_on: Callable[[], None]) -> tuple[int, int, Decimal]:
    """Width, height (as displayed) and duration in seconds of a video whose first frame decodes.

    `go_on` is called between packets.

    MediaUnreadable if it is damaged, truncated, without a frame, too large or too long.
    """
    try:
        with av.open(
            file, "r", format=_DEMUXERS[content_type], options=_OPTIONS, metadata_errors="ignore"
        ) as container:
            return _read(container, go_on)
    except MemoryError:
        raise MediaUnreadable("needs too much memory to decode") from None
    except MediaUnreadable:
        raise
    except Exception as error:  # damaged files make the readers raise all kinds of errors
        raise MediaUnreadable("cannot be read: it is damaged or truncated") from error


def _read(container: InputContainer, go_on: Callable[[], None]) -> tuple[int, int, Decimal]:
    stream = _video_stream(container)
    seen, picture = TimeRange(), None
    for packet in container.demux():
        go_on()
        if packet.is_corrupt:
            raise MediaUnreadable("is truncated")
        if packet.stream is stream and picture is None:
            picture = _picture(packet)
        seen.note(packet)
    if picture is None:
        raise MediaUnreadable("has no frame that can be decoded")
    length = _length(container, seen)
    return *_shown(picture, stream.sample_aspect_ratio), length


def _shown(picture: VideoFrame, pixel_ratio: Fraction | None) -> tuple[int, int]:
    """A frame's width and height as displayed: pixels may not be square, and it may be rotated.

    Non-square pixels stretch the side that grows, as in browsers. Implausible ratios are ignored.
    """
    width, height = picture.width, picture.height
    if pixel_ratio is not None and 1 / PIXEL_RATIO_MAX <= pixel_ratio <= PIXEL_RATIO_MAX:
        if pixel_ratio > 1:
            width = round(width * pixel_ratio)
        else:
            height = round(height / pixel_ratio)
    turned = abs(picture.rotation % _HALF_TURN - _QUARTER_TURN) < _QUARTER_TURN / 2
    return (height, width) if turned else (width, height)


def _video_stream(container: InputContainer) -> VideoStream:
    stream = next((one for one in container.streams.video if not is_cover(one)), None)
    if stream is None:
        none = "has no video track"
        raise SoundOnly(none) if container.streams.audio else MediaUnreadable(none)
    codec = cast("av.VideoCodecContext | None", stream.codec_context)  # None: unknown to FFmpeg
    if codec is None or codec.name not in _CODECS:
        raise MediaUnreadable("has a video track in an unsupported codec: use H.264, HEVC, AV1, VP8 or VP9")
    if codec.width * codec.height > PIXELS_MAX:
        raise MediaUnreadable(f"has {codec.width:,} × {codec.height:,} pixels; the limit is {PIXELS_MAX:,}")
    codec.thread_count = 1
    codec.options = {"max_pixels": str(PIXELS_MAX)}  # the track may claim less than its frames have
    return stream


def is_cover(stream: VideoStream) -> bool:
    """Whether a video track is a cover picture."""
    return bool(stream.disposition & av.stream.Disposition.attached_pic)


def _picture(packet: Packet[Any]) -> VideoFrame | None:
    """The packet's first frame, if any: some packets start with frames that cannot be shown yet."""
    try:
        return next(iter(packet.decode()), None)
    except av.error.InvalidDataError:
        return None


def _length(container: InputContainer, seen: TimeRange) -> Decimal:
    """The duration of the packets, in seconds to the millisecond; the file must not claim more."""
    says = Fraction(container.duration or 0, av.time_base)
    if says > seen.ends + SHORT_SECONDS:
        raise MediaUnreadable("is truncated")
    return in_seconds(seen.ends - (seen.begins or 0))


def in_seconds(lasts: Fraction) -> Decimal:
    """A duration to the millisecond; MediaUnreadable if no file lasts as long."""
    if lasts > SECONDS_MAX:
        raise MediaUnreadable("claims to last longer than a day")
    return round(Decimal(lasts.numerator) / lasts.denominator, 3)
