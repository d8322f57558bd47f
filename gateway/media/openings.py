"""By its first bytes, which format a file is of. Nothing here says that the rest of it is sound."""

from __future__ import annotations

from gateway.domain import MediaKind

EXTENSIONS = {
    "image/png": "png",
    "image/jpeg": "jpg",
    "image/webp": "webp",
    "image/gif": "gif",
    "video/mp4": "mp4",
    "video/webm": "webm",
    "video/quicktime": "mov",
}
"""The content types that Farebox takes, stores and serves, each with its files' extension. No browser runs one."""

OPENING_BYTES = 64

# Where in a file, and how, its format shows; WebP's own name follows four bytes of length.
_OPENINGS = {
    "image/png": (0, b"\x89PNG\r\n\x1a\n"),
    "image/jpeg": (0, b"\xff\xd8\xff"),
    "image/webp": (8, b"WEBP"),
    "image/gif": (0, b"GIF8"),
    "video/mp4": (4, b"ftyp"),
    "video/webm": (0, b"\x1aE\xdf\xa3"),
}
_WEBM = b"webm"  # all of Matroska begins alike; the name of its kind stands in the first element
_QUICKTIME_BRAND = b"qt  "
_STILL_BRANDS = frozenset({b"avif", b"avis", b"heic", b"heix", b"hevc", b"mif1", b"msf1"})  # pictures in MP4's boxes


def content_type_by_opening(opening: bytes) -> str | None:
    """The content type of a file that begins with `opening` (OPENING_BYTES of it); None if it is not on the list."""
    for content_type, (offset, mark) in _OPENINGS.items():
        if opening[offset : offset + len(mark)] != mark:
            continue
        if content_type == "video/mp4":
            return _by_brand(opening[8:12])
        return content_type if content_type != "video/webm" or _WEBM in opening else None
    return None


def kind_of(content_type: str) -> MediaKind:
    """`image` or `video`, for a content type on the list."""
    return MediaKind(content_type.partition("/")[0])


def _by_brand(brand: bytes) -> str | None:
    if brand in _STILL_BRANDS:
        return None
    return "video/quicktime" if brand == _QUICKTIME_BRAND else "video/mp4"
