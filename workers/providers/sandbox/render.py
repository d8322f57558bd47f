"""Renders one output of the sandbox: plain functions for a thread, stopped by an event.

The same job gives the same bytes: PNG and H.264 are encoded on one thread, without a clock, and the seed is the only
randomness.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from threading import Event
from time import gmtime
from typing import Any

import av
import numpy as np
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.video.stream import VideoStream
from PIL import Image

from gateway.domain import SettingValue
from workers.providers.base import Rendered
from workers.providers.sandbox.caption import Caption
from workers.providers.sandbox.scene import Scene
from workers.providers.sandbox.shape import Clip, Size
from workers.providers.sandbox.sound import Sound, encoded
from workers.providers.sandbox.stopped import Stopped
from workers.providers.sandbox.words import written

_DRAWN_SIDE_MAX = 2048  # larger pictures are drawn at this and scaled up: soft shapes lose nothing by it
_AUDIO_RATE = 48_000
_AUDIO_FRAME = 1024  # samples in an AAC packet
# PNG level 6 takes twice as long as 3 for a fifth less; WebP's default of 4 takes five times as long as 0.
_SAVED_AS: dict[str, dict[str, Any]] = {
    "png": {"format": "PNG", "compress_level": 3},
    "jpeg": {"format": "JPEG", "quality": 85},
    "webp": {"format": "WEBP", "quality": 80, "method": 0},
}
IMAGE_FORMATS = frozenset(_SAVED_AS)
# The file of a `file` tool: the picture on a page. Its date is fixed, like all else.
_SAVED_AS["pdf"] = {"format": "PDF", "creationDate": gmtime(0), "modDate": gmtime(0)}
_REPORTS = 50  # progress reports per video: more would only wake the event loop


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderJob:
    """One output to render: an image of `shape`, a clip, audio; or text, without a shape."""

    index: int
    model: str
    prompt: str
    seed: str
    shape: Size | Clip | Sound | None
    image_format: str = "png"
    settings: Mapping[str, SettingValue] = field(default_factory=dict)

    @property
    def entropy(self) -> int:
        """The entropy of the picture: the same for every size of the same model, prompt, seed and index."""
        words = "\x1f".join((self.model, self.prompt, self.seed, str(self.index)))
        return int.from_bytes(hashlib.sha256(words.encode(errors="surrogatepass")).digest()[:8])


def render(job: RenderJob, stop: Event, report: Callable[[float], None]) -> Rendered:
    """Render `job`, calling `report` with 0 to 1; raises Stopped soon after `stop` is set."""
    if stop.is_set():
        raise Stopped
    match job.shape:
        case Clip():
            return _video(job, job.shape, stop, report)
        case Size():
            return _image(job, job.shape, stop)
        case Sound():
            data = encoded(job.shape, job.entropy, stop, report)
        case None:
            data = written(job.model, job.prompt, job.settings, job.entropy).encode(errors="replace")
    return Rendered(index=job.index, data=data, made_here=True)


def _image(job: RenderJob, size: Size, stop: Event) -> Rendered:
    drawn = _drawn(size)
    scene = Scene(drawn.width, drawn.height, job.entropy)
    picture = scene.frame(0)
    if drawn != size:
        picture = picture.resize((size.width, size.height), Image.Resampling.BICUBIC)
    Caption(size.width, size.height, job.model, job.prompt, scene.palette.accent).draw(picture)
    if stop.is_set():
        raise Stopped
    file = io.BytesIO()
    picture.save(file, **_SAVED_AS[job.image_format])
    return Rendered(index=job.index, data=file.getvalue(), made_here=True)


def _video(job: RenderJob, clip: Clip, stop: Event, report: Callable[[float], None]) -> Rendered:
    file = io.BytesIO()
    # The index goes to the front, so that a player can start before it has the whole file. `moov_size` reserves its
    # space in one pass, without a temporary file: at most 24 bytes per packet (size 4, sync 4, chunk 4 + 12), plus 4
    # KiB.
    packets = clip.frames + (int(clip.seconds * _AUDIO_RATE) // _AUDIO_FRAME + 2 if clip.audio else 0)
    options = {"moov_size": str(4096 + 24 * packets), "fflags": "+bitexact"}
    with av.open(file, "w", format="mp4", options=options) as container:
        video = _video_stream(container, clip)
        audio = _audio_stream(container) if clip.audio else None
        for number, picture in enumerate(_pictures(job, clip)):
            if stop.is_set():
                raise Stopped
            _encode_picture(container, video, picture, number, clip)
            if audio is not None:  # along with the pictures, so that the tracks are interleaved in the file
                _encode_silence(container, audio, clip, number)
            if number % max(1, clip.frames // _REPORTS) == 0:
                report((number + 1) / clip.frames)
        container.mux(video.encode())
        if audio is not None:
            container.mux(audio.encode())
    return Rendered(index=job.index, data=file.getvalue(), made_here=True)


def _video_stream(container: OutputContainer, clip: Clip) -> VideoStream:
    # ultrafast: the pictures are smooth, and it is three times as fast as veryfast. One thread per clip: there are as
    # many clips in progress as cores anyway, and the bytes do not depend on the machine.
    options = {"preset": "ultrafast", "crf": "21", "threads": "1"}
    stream = container.add_stream("libx264", rate=clip.fps, options=options)
    stream.width, stream.height, stream.pix_fmt = clip.size.width, clip.size.height, "yuv420p"
    stream.time_base = Fraction(1, clip.fps)
    stream.codec_context.thread_count = 1
    stream.codec_context.gop_size = clip.fps  # a second: fast seeking
    return stream


def _audio_stream(container: OutputContainer) -> AudioStream:
    stream = container.add_stream("aac", rate=_AUDIO_RATE)
    stream.codec_context.layout = "stereo"
    stream.codec_context.format = "fltp"
    return stream


def _pictures(job: RenderJob, clip: Clip) -> Iterator[Image.Image]:
    drawn = _drawn(clip.size)
    scene = Scene(drawn.width, drawn.height, job.entropy, clip.fps)
    caption = Caption(drawn.width, drawn.height, job.model, job.prompt, scene.palette.accent)
    for number in range(clip.frames):
        picture = scene.frame(number)
        caption.draw(picture, (number + 1) / clip.frames)
        yield picture


def _encode_picture(
    container: OutputContainer, stream: VideoStream, picture: Image.Image, number: int, clip: Clip
) -> None:
    frame = av.VideoFrame.from_ndarray(np.asarray(picture), format="rgb24")
    frame = frame.reformat(clip.size.width, clip.size.height, "yuv420p", interpolation="BICUBIC", threads=1)
    frame.pts, frame.time_base = number, Fraction(1, clip.fps)
    container.mux(stream.encode(frame))


def _encode_silence(container: OutputContainer, stream: AudioStream, clip: Clip, number: int) -> None:
    """Encode the silence for frame `number`; the encoder decides on the packets."""
    start, end = (_AUDIO_RATE * frames // clip.fps for frames in (number, number + 1))
    frame = av.AudioFrame.from_ndarray(np.zeros((2, end - start), np.float32), format="fltp", layout="stereo")
    frame.sample_rate, frame.pts, frame.time_base = _AUDIO_RATE, start, Fraction(1, _AUDIO_RATE)
    container.mux(stream.encode(frame))


def _drawn(size: Size) -> Size:
    shrink = min(1.0, _DRAWN_SIDE_MAX / max(size.width, size.height))
    return Size(max(2, round(size.width * shrink)), max(2, round(size.height * shrink)))
