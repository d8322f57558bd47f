"""Audio, with PyAV, like videos: the first frame is decoded and every packet is read for the length.

What is heard counts: encoders put some silence before the first sample, and players skip it.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any, BinaryIO, cast

import av
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.packet import Packet

from gateway.errors import MediaUnreadable
from gateway.media.videos import OPTIONS, SHORT_SECONDS, TimeRange, in_seconds, is_cover

_DEMUXERS = {
    "audio/wav": "wav",
    "audio/mpeg": "mp3",
    "audio/ogg": "ogg",
    "audio/flac": "flac",
    "audio/mp4": "mp4",
    "audio/aac": "aac",
    "audio/webm": "matroska",
}
_CODECS = frozenset({"aac", "alac", "flac", "mp3", "mp3float", "opus", "pcm_f32le", "pcm_s16le", "pcm_s24le"}) | {
    "pcm_s32le",
    "pcm_u8",
    "vorbis",
}
_COVERS = frozenset({"mjpeg", "png"})  # in an MP3's tags
_OPTIONS = OPTIONS | {"codec_whitelist": ",".join(sorted(_CODECS | _COVERS))}
# Without an index, their duration is an estimate from the first frames' bit rate, and says nothing about the end.
_ESTIMATED = frozenset({"audio/mpeg", "audio/aac"})
_WAV_HEAD_BYTES = 4096  # the samples follow a few short chunks
_WAV_SIZE_UNKNOWN = 0x7FFFF000  # writers use different ones, all about 2 or 4 GB
_PADDING_SECONDS = Fraction(1, 10)  # 1105 samples and the rest of a frame, at 24 kHz


def length(file: BinaryIO, content_type: str, go_on: Callable[[], None]) -> Decimal:
    """The duration in seconds of audio whose first frame decodes; `go_on` is called between packets.

    MediaUnreadable if it is damaged, truncated, without sound, too long, or has pictures besides a cover.
    """
    streamed = content_type == "audio/wav" and _is_streamed(file)
    try:
        with av.open(
            file, "r", format=_DEMUXERS[content_type], options=_OPTIONS, metadata_errors="ignore"
        ) as container:
            return _read(container, content_type, go_on, streamed=streamed)
    except MemoryError:
        raise MediaUnreadable("needs too much memory to decode") from None
    except MediaUnreadable:
        raise
    except Exception as error:  # damaged files make the readers raise all kinds of errors
        raise MediaUnreadable("cannot be read: it is damaged or truncated") from error


def _read(container: InputContainer, content_type: str, go_on: Callable[[], None], *, streamed: bool) -> Decimal:
    stream = _audio_stream(container)
    seen, sound = TimeRange(), None
    for packet in container.demux(stream):
        go_on()
        if packet.is_corrupt and not streamed:
            raise MediaUnreadable("is truncated")
        if sound is None:
            sound = _sound(packet)
        seen.note(packet)
    if sound is None:
        raise MediaUnreadable("has no sound that can be decoded")
    heard = seen.ends - max(Fraction(0), seen.begins or Fraction(0))
    says = Fraction(0) if stream.duration is None else stream.duration * cast("Fraction", stream.time_base)
    if content_type in _ESTIMATED:
        # The tag of an MP3's encoder says what it padded; an estimate is not as close.
        return in_seconds(says if says < heard <= says + _PADDING_SECONDS else heard)
    if says > seen.ends + SHORT_SECONDS:
        raise MediaUnreadable("is truncated")
    return in_seconds(heard)


def _is_streamed(file: BinaryIO) -> bool:
    """Whether a WAV was sent before its length was known: the size of its samples is a placeholder, no promise."""
    head = file.read(_WAV_HEAD_BYTES)
    file.seek(0)
    at = head.find(b"data")
    size = int.from_bytes(head[at + 4 : at + 8], "little")
    return at >= 0 and (size == 0 or size >= _WAV_SIZE_UNKNOWN)


def _audio_stream(container: InputContainer) -> AudioStream:
    if any(not is_cover(one) for one in container.streams.video):
        raise MediaUnreadable("has a video track in a container of audio")
    stream = next(iter(container.streams.audio), None)
    if stream is None:
        raise MediaUnreadable("has no audio track")
    codec = cast("av.AudioCodecContext | None", stream.codec_context)  # None: unknown to FFmpeg
    if codec is None or codec.name not in _CODECS:
        raise MediaUnreadable("has an audio track in an unsupported codec: use PCM, MP3, AAC, Opus, Vorbis or FLAC")
    codec.thread_count = 1
    return stream


def _sound(packet: Packet[Any]) -> AudioFrame | None:
    """The packet's first frame, if any: some begin with padding."""
    try:
        return cast("AudioFrame | None", next(iter(packet.decode()), None))
    except av.error.InvalidDataError:
        return None
