"""Images, with Pillow: decoded completely, every frame of an animated one."""

from __future__ import annotations

from collections.abc import Callable
from typing import BinaryIO

from PIL import ExifTags, GifImagePlugin, Image, ImageFile, JpegImagePlugin, PngImagePlugin, WebPImagePlugin

from gateway.errors import MediaUnreadable

# 8192 × 8192. Pillow holds a pixel in four bytes, so the largest takes 268 MB during inspection.
PIXELS_MAX = 67_108_864
SIDE_MAX = 65_535  # JPEG's limit; a longer side is a line of pixels that no provider accepts
FRAMES_MAX = 1_000
# All frames together: a 1080p animation of ten seconds at 30 frames per second. Two kilobytes of GIF can claim a
# thousand frames of 67 million pixels, and Pillow decodes 50 to 200 million per second.
FRAMES_PIXELS_MAX = 671_088_640
SCANS_MAX = 100  # of a progressive JPEG, which has about ten; each is a pass over all pixels

_ON_ITS_SIDE = frozenset({5, 6, 7, 8})  # of EXIF's orientations
_BLOCK_BYTES = 1024 * 1024
_SCAN = b"\xff\xda"  # starts a scan, and never occurs inside one: there 0xff is followed by 0 or a restart marker

# Opened by format: `Image.open` would try others, and its pixel limit is process-wide.
_READERS: dict[str, Callable[[BinaryIO], ImageFile.ImageFile]] = {
    "image/png": PngImagePlugin.PngImageFile,
    "image/jpeg": JpegImagePlugin.JpegImageFile,
    "image/webp": WebPImagePlugin.WebPImageFile,
    "image/gif": GifImagePlugin.GifImageFile,
}


def size(file: BinaryIO, content_type: str, go_on: Callable[[], None]) -> tuple[int, int]:
    """Width and height of an image as displayed; MediaUnreadable if it does not decode.

    `go_on` is called between frames.
    """
    if content_type == "image/jpeg" and _scans(file) > SCANS_MAX:
        raise MediaUnreadable(f"has more than {SCANS_MAX} scans")
    try:
        with _READERS[content_type](file) as image:
            width, height = image.size
            _decode(image)
            if _is_turned(image):
                width, height = height, width
            if content_type != "image/jpeg":
                _decode_others(image, go_on)
    except MemoryError:
        raise MediaUnreadable("needs too much memory to decode") from None
    except MediaUnreadable:
        raise
    except Exception as error:  # damaged files make Pillow's readers raise all kinds of errors
        raise MediaUnreadable("cannot be decoded: it is damaged or truncated") from error
    return width, height


def _decode(image: ImageFile.ImageFile) -> None:
    """Decode the current frame of `image`, unless it is too large."""
    in_pixels_max(image.size)
    image.load()


def in_pixels_max(size: tuple[int, int]) -> None:
    """MediaUnreadable if an image of this width and height is too large."""
    width, height = size
    if width * height > PIXELS_MAX:
        raise MediaUnreadable(f"has {width:,} × {height:,} pixels; the limit is {PIXELS_MAX:,}")
    if max(size) > SIDE_MAX:
        raise MediaUnreadable(f"has {width:,} × {height:,} pixels; the limit is {SIDE_MAX:,} per side")


def _is_turned(image: ImageFile.ImageFile) -> bool:
    """Whether EXIF rotates it by 90 degrees, as cameras record it. Unreadable EXIF rotates nothing."""
    written = image.info.get("exif")
    if not isinstance(written, bytes):
        return False
    exif = Image.Exif()
    try:
        exif.load(written)
        return exif.get(ExifTags.Base.Orientation) in _ON_ITS_SIDE
    except Exception:  # noqa: BLE001 - damaged EXIF leads its reader into errors of every kind, and no browser minds it
        return False


def _decode_others(image: ImageFile.ImageFile, go_on: Callable[[], None]) -> None:
    """Decode the frames after the first; each is as large, however little of the image it changes."""
    pixels = image.width * image.height
    for frame in range(1, FRAMES_MAX + 1):
        go_on()
        try:
            image.seek(frame)
        except EOFError:
            return
        if pixels * (frame + 1) > FRAMES_PIXELS_MAX:
            raise MediaUnreadable(f"has more than {FRAMES_PIXELS_MAX:,} pixels across its frames")
        _decode(image)
    raise MediaUnreadable(f"has more than {FRAMES_MAX:,} frames")


def _scans(file: BinaryIO) -> int:
    """The number of scans in a JPEG, including its thumbnail's; markers across two blocks count too."""
    scans, last = 0, b""
    while block := file.read(_BLOCK_BYTES):
        scans += (last + block).count(_SCAN)
        last = block[-1:]
    file.seek(0)
    return scans
