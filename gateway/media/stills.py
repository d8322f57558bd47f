"""HEIC and AVIF, as phones and browsers save pictures: read once, when they are taken in, and kept as JPEG or PNG.

Few providers read either, and none of the console's browsers HEIC. So what is kept is a JPEG, or a PNG if something in
it is transparent: upright, with its colour profile, and without the rest of what a camera writes, such as the place.
Of several pictures in one file, or of an animated one, it is the first.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import BinaryIO

from PIL import AvifImagePlugin, Image, ImageFile, ImageOps

from gateway.errors import MediaUnreadable
from gateway.media.images import in_pixels_max

KEPT_MAX_BYTES = 50 * 1024 * 1024  # as much as an upload may have
_QUALITY = 92  # nobody sees the difference, and a picture of 48 million pixels has some 20 MB
_OPAQUE = 255
_ALPHA = frozenset({"RGBA", "LA", "PA"})


def convert(file: BinaryIO, content_type: str, into: BinaryIO) -> tuple[str, int, int]:
    """Write the picture into the empty file `into`; the content type that it has there, its width and its height.

    MediaUnreadable if it does not decode or is too large.
    """
    try:
        with _opened(file, content_type) as image:
            in_pixels_max(image.size)
            image.load()
            upright = ImageOps.exif_transpose(image)
        kept_as, data = _encoded(upright)
    except MemoryError:
        raise MediaUnreadable("needs too much memory to decode") from None
    except MediaUnreadable:
        raise
    except Exception as error:  # a damaged file leads its readers into errors of every kind
        raise MediaUnreadable("cannot be decoded: it is damaged or truncated") from error
    if len(data) > KEPT_MAX_BYTES:
        raise MediaUnreadable(f"is stored as {kept_as}, and is larger than {KEPT_MAX_BYTES:,} bytes in that format")
    into.write(data)
    into.flush()
    return kept_as, upright.width, upright.height


def _opened(file: BinaryIO, content_type: str) -> ImageFile.ImageFile:
    if content_type == "image/avif":
        return AvifImagePlugin.AvifImageFile(file)
    import pillow_heif  # noqa: PLC0415 - 20 ms and 5 MB that only a HEIC needs
    from pillow_heif import as_plugin  # noqa: PLC0415 - as above

    pillow_heif.options.DECODE_THREADS = 1
    pillow_heif.options.THUMBNAILS = pillow_heif.options.DEPTH_IMAGES = pillow_heif.options.AUX_IMAGES = False
    opened: Callable[[BinaryIO], ImageFile.ImageFile] = as_plugin.HeifImageFile
    return opened(file)


def _encoded(image: Image.Image) -> tuple[str, bytes]:
    profile = image.info.get("icc_profile")
    data = io.BytesIO()
    if image.mode in _ALPHA and image.getchannel("A").getextrema()[0] != _OPAQUE:
        image.save(data, "PNG", icc_profile=profile, exif=b"", compress_level=4)
        return "image/png", data.getvalue()
    plain = image if image.mode == "L" else image.convert("RGB")
    plain.save(data, "JPEG", icc_profile=profile, exif=b"", quality=_QUALITY)
    return "image/jpeg", data.getvalue()
