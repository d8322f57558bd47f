"""Images, by Pillow: decoded whole, every frame of an animated one."""

from __future__ import annotations

from collections.abc import Callable
from typing import BinaryIO

from PIL import ExifTags, GifImagePlugin, Image, ImageFile, JpegImagePlugin, PngImagePlugin, WebPImagePlugin

from gateway.errors import MediaUnreadable

# 8192 × 8192. Pillow holds a pixel in four bytes, so the largest takes 268 MB while it is looked into.
PIXELS_MAX = 67_108_864
SIDE_MAX = 65_535  # as a JPEG may have; more is a line of pixels, which no provider takes
FRAMES_MAX = 1_000
# Of all frames together: a 1080p animation of ten seconds at 30 pictures a second. Two kilobytes of GIF can speak of a
# thousand frames of 67 million pixels, and Pillow reads 50 to 200 million in a second.
FRAMES_PIXELS_MAX = 671_088_640
SCANS_MAX = 100  # of a progressive JPEG, which has about ten; each is a pass over all pixels

_ON_ITS_SIDE = frozenset({5, 6, 7, 8})  # of EXIF's orientations
_BLOCK_BYTES = 1024 * 1024
_SCAN = b"\xff\xda"  # marks a scan, and stands nowhere in one: there 0xff is followed by 0 or a restart

# Made by name: `Image.open` would try others, and has a limit of pixels that is the whole process's.
_READERS: dict[str, Callable[[BinaryIO], ImageFile.ImageFile]] = {
    "image/png": PngImagePlugin.PngImageFile,
    "image/jpeg": JpegImagePlugin.JpegImageFile,
    "image/webp": WebPImagePlugin.WebPImageFile,
    "image/gif": GifImagePlugin.GifImageFile,
}


def size(file: BinaryIO, content_type: str, go_on: Callable[[], None]) -> tuple[int, int]:
    """Width and height of an image that decodes, as it is shown; MediaUnreadable otherwise.

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
    except Exception as error:  # a damaged file leads Pillow's readers into errors of every kind
        raise MediaUnreadable("cannot be decoded: it is damaged or truncated") from error
    return width, height


def _decode(image: ImageFile.ImageFile) -> None:
    """Decode the frame that `image` is at, unless it is too large."""
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
    """Whether its EXIF has it shown on its side, as cameras write it. What of that cannot be read turns nothing."""
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
    """Decode the frames after the first; they are as large as it is, whatever they change of the picture."""
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
    """How many scans a JPEG has, its thumbnail's included; a marker across two blocks is found too."""
    scans, last = 0, b""
    while block := file.read(_BLOCK_BYTES):
        scans += (last + block).count(_SCAN)
        last = block[-1:]
    file.seek(0)
    return scans
