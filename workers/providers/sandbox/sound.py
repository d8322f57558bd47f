"""The sandbox's sound: a slow tune of pure tones, drawn from a seed, as long as ordered.

Speech has no ordered length: then it lasts as long as the prompt would take to say.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from random import Random
from threading import Event
from typing import cast

import av
import numpy as np
from av.audio.stream import AudioStream
from numpy.typing import NDArray

from gateway.domain import SettingValue
from workers.providers.sandbox.shape import number_in
from workers.providers.sandbox.stopped import Stopped

_Samples = NDArray[np.int16]

_RATE = 24_000
_OPUS_RATE = 48_000  # Opus has no 24 kHz outside of its packets
_SECONDS_MAX = Decimal(600)
_CHARACTERS_PER_SECOND = 15
_SECONDS_MIN = Decimal(1)
_SPOKEN_MAX = Decimal(120)
_NOTE_SECONDS = 0.5
_SCALE = (0, 2, 4, 7, 9, 12)  # a pentatonic scale, in semitones: any two of them sound well
_LOUDNESS = 9_000  # of 32,767
_ATTACK = 0.04  # seconds in which a note swells and fades, so that none clicks

# The container and codec of each format.
_ENCODED_AS = {
    "wav": ("wav", "pcm_s16le"),
    "mp3": ("mp3", "libmp3lame"),
    "flac": ("flac", "flac"),
    "opus": ("ogg", "libopus"),
    "ogg": ("ogg", "libopus"),
    "aac": ("adts", "aac"),
    "m4a": ("ipod", "aac"),
}
SOUND_FORMATS = frozenset(_ENCODED_AS)


@dataclass(frozen=True, slots=True)
class Sound:
    """The audio to make."""

    seconds: Decimal
    format: str


def sound(settings: Mapping[str, SettingValue], prompt: str, file_format: str) -> Sound:
    """The length in the setting `duration`, or else that of the prompt when spoken at the setting `speed`."""
    seconds = number_in(settings.get("duration"))
    if seconds is None:
        speed = number_in(settings.get("speed")) or Decimal(1)
        spoken = Decimal(len(prompt)) / _CHARACTERS_PER_SECOND / speed
        seconds = round(min(max(spoken, _SECONDS_MIN), _SPOKEN_MAX), 1)
    return Sound(min(seconds, _SECONDS_MAX), file_format)


def encoded(ordered: Sound, entropy: int, stop: Event, report: Callable[[float], None]) -> bytes:
    """The file's bytes: the same for the same seed, whatever the machine. Stopped soon after `stop` is set."""
    container_format, codec = _ENCODED_AS[ordered.format]
    rate = _OPUS_RATE if codec == "libopus" else _RATE
    length = int(ordered.seconds * rate)
    file, done = io.BytesIO(), 0
    with av.open(file, "w", format=container_format, options={"fflags": "+bitexact"}) as container:
        stream = cast("AudioStream", container.add_stream(codec, rate=rate))
        stream.codec_context.layout = "mono"
        stream.codec_context.thread_count = 1
        resampler = av.AudioResampler(
            format=stream.codec_context.format, layout="mono", rate=rate, frame_size=stream.codec_context.frame_size
        )
        for note in _notes(entropy, rate, length):
            if stop.is_set():
                raise Stopped
            frame = av.AudioFrame.from_ndarray(note.reshape(1, -1), format="s16", layout="mono")
            frame.sample_rate, frame.pts = rate, done
            for part in resampler.resample(frame):
                container.mux(stream.encode(part))
            done += len(note)
            report(done / length)
        for part in resampler.resample(None):
            container.mux(stream.encode(part))
        container.mux(stream.encode(None))
    return file.getvalue()


def _notes(entropy: int, rate: int, length: int) -> Iterator[_Samples]:
    """The samples, note by note."""
    random = Random(entropy)  # noqa: S311 - art, not secrets
    lowest = random.choice((196.0, 220.0, 246.94, 261.63))
    step, at = int(_NOTE_SECONDS * rate), 0
    while at < length:
        count = min(step, length - at)
        pitch = lowest * 2 ** (random.choice(_SCALE) / 12)
        place = np.arange(count, dtype=np.float64)
        edge = np.minimum(1.0, np.minimum(place + 1, count - place) / (_ATTACK * rate))
        yield (np.sin(2 * np.pi * pitch / rate * place) * edge * _LOUDNESS).astype(np.int16)
        at += count
