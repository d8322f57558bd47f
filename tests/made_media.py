"""Small images, videos and sounds of every format, really encoded."""

from __future__ import annotations

import functools
import io
import struct
import zlib
from fractions import Fraction

import av
import numpy as np
from PIL import Image

FPS = 24


@functools.cache
def picture(format_name: str = "PNG", *, width: int = 64, height: int = 48, frames: int = 1) -> bytes:
    """An image in one of Pillow's formats, of noise so that it does not compress to nothing."""
    noise = np.random.default_rng(1).integers(0, 255, (frames, height, width, 3), dtype=np.uint8)
    first, *others = [Image.fromarray(one) for one in noise]
    file = io.BytesIO()
    more = {"save_all": True, "append_images": others} if others else {}
    first.save(file, format_name, **more)
    return file.getvalue()


@functools.cache
def film(
    container_format: str = "mp4", codec: str = "libx264", *, frames: int = 24, width: int = 64, height: int = 48,
    index_first: bool = False, fragmented: bool = False,
) -> bytes:  # fmt: skip
    """A video of noise, 24 pictures a second. `index_first`: an MP4 whose index is in front of the pictures."""
    options = {"moov_size": "20000"} if index_first else {}
    if fragmented:
        options["movflags"] = "frag_keyframe+empty_moov"
    file = io.BytesIO()
    noise = np.random.default_rng(1)
    with av.open(file, "w", format=container_format, options=options) as container:
        stream = container.add_stream(codec, rate=FPS)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.thread_count = 1
        for number in range(frames):
            pixels = noise.integers(0, 255, (height, width, 3), dtype=np.uint8)
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(format="yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, FPS)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return file.getvalue()


@functools.cache
def tone(container_format: str = "wav", codec: str = "pcm_s16le", *, seconds: float = 2, rate: int = 48_000) -> bytes:
    """A tone of 440 Hz."""
    file = io.BytesIO()
    wave = np.sin(2 * np.pi * 440 / rate * np.arange(int(rate * seconds))) * 8_000
    with av.open(file, "w", format=container_format) as container:
        stream = container.add_stream(codec, rate=rate)
        assert isinstance(stream, av.AudioStream)
        context = stream.codec_context
        context.layout = "mono"
        frame = av.AudioFrame.from_ndarray(wave.astype(np.int16).reshape(1, -1), format="s16", layout="mono")
        frame.sample_rate, frame.pts = rate, 0
        resampler = av.AudioResampler(format=context.format, layout="mono", rate=rate, frame_size=context.frame_size)
        for part in (*resampler.resample(frame), *resampler.resample(None), None):
            container.mux(stream.encode(part))
    return file.getvalue()


def png_that_says(width: int, height: int) -> bytes:
    """A PNG bomb: a few bytes that say they are `width` × `height` pixels, and unpack to as many as they can."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(bytes(1_000_000)))
        + chunk(b"IEND", b"")
    )


def mp4_that_says(samples: int, tracks: int = 1) -> bytes:
    """An MP4 of a few hundred bytes whose tables say that each of its tracks has so many samples."""

    def box(name: bytes, *parts: bytes) -> bytes:
        body = b"".join(parts)
        return struct.pack(">I", len(body) + 8) + name + body

    def table(name: bytes, layout: str, *numbers: int | bytes, rest: bytes = b"") -> bytes:
        return box(name, bytes(4), struct.pack(layout, *numbers), rest)

    def track(number: int) -> bytes:
        format_ = box(b"mp4a", bytes(6), struct.pack(">H8xHHHHI", 1, 2, 16, 0, 0, 48_000 << 16))
        if number == 1:
            format_ = box(b"mp4v", bytes(6), struct.pack(">H16xHH50x", 1, 64, 64))
        tables = box(
            b"stbl",
            table(b"stsd", ">I", 1, rest=format_),
            table(b"stts", ">5I", 2, 1, 2, samples - 1, 1),
            table(b"stsc", ">4I", 1, 1, samples, 1),
            table(b"stsz", ">II", 3, samples),
            table(b"stco", ">II", 1, 48),
        )
        head = table(b"mdhd", ">4IHH", 0, 0, 1000, 1000, 0x55C4, 0)
        kind = table(b"hdlr", ">I4s", 0, b"vide" if number == 1 else b"soun", rest=bytes(14))
        return box(
            b"trak", table(b"tkhd", ">5I60x", 0, 0, number, 0, 1000), box(b"mdia", head, kind, box(b"minf", tables))
        )

    movie = table(b"mvhd", ">4I80x", 0, 0, 1000, 1000)
    all_tracks = b"".join(track(number) for number in range(1, tracks + 1))
    return box(b"ftyp", b"isom", bytes(4), b"isom") + box(b"moov", movie, all_tracks) + box(b"mdat", bytes(64))
