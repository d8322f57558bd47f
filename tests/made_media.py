"""Small images and videos of every format, really encoded."""

from __future__ import annotations

import io
import struct
import zlib
from fractions import Fraction

import av
import numpy as np
from PIL import Image

FPS = 24


def picture(format_name: str = "PNG", *, width: int = 64, height: int = 48, frames: int = 1) -> bytes:
    """An image in one of Pillow's formats, of noise so that it does not compress to nothing."""
    noise = np.random.default_rng(1).integers(0, 255, (frames, height, width, 3), dtype=np.uint8)
    first, *others = [Image.fromarray(one) for one in noise]
    file = io.BytesIO()
    more = {"save_all": True, "append_images": others} if others else {}
    first.save(file, format_name, **more)
    return file.getvalue()


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
