"""HEIC and AVIF, as saved by phones and browsers: decoded once, on upload, and stored as JPEG or PNG.

Few providers read either, and hardly any browser shows HEIC. So the result is a JPEG, or a PNG if it has transparency:
upright, with its colour profile, and without other camera metadata such as the location. Of several images in one file,
or of an animation, it is the first.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import BinaryIO

from PIL import AvifImagePlugin, Image, ImageFile, ImageOps

from gateway.errors import MediaUnreadable
from gateway.media.images import in_pixels_max

KEPT_MAX_BYTES = 50 * 1024 * 1024  # the limit of uploads
_QUALITY = 92  # no visible difference, and an image of 48 million pixels has some 20 MB
_OPAQUE = 255
_ALPHA = frozenset({"RGBA", "LA", "PA"})


def convert(file: BinaryIO, content_type: str, into: BinaryIO) -> tuple[str, int, int]:
    """Write the image into the empty file `into`; returns its content type there, width and height.

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
    except Exception as error:  # damaged files make the readers raise all kinds of errors
        raise MediaUnreadable("cannot be decoded: it is damaged or truncated") from error
    if len(data) > KEPT_MAX_BYTES:
        raise MediaUnreadable(f"is stored as {kept_as}, and is larger than {KEPT_MAX_BYTES:,} bytes in that format")
    into.write(data)
    into.flush()
    return kept_as, upright.width, upright.height


def _opened(file: BinaryIO, content_type: str) -> ImageFile.ImageFile:
    if content_type == "image/avif":
        return AvifImagePlugin.AvifImageFile(file)
    import pillow_heif  # noqa: PLC0415 - 20 ms and 5 MB that only HEIC needs
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
