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
FOREIGN_OPENING_BYTES = 1024  # an SVG may begin with a comment

_NOT_TAKEN = (
    ("BMP", 0, b"BM"),
    ("TIFF", 0, b"II*\0"),
    ("TIFF", 0, b"MM\0*"),
    ("AVI", 8, b"AVI "),
    ("WAV", 8, b"WAVE"),
    ("Matroska", 0, b"\x1aE\xdf\xa3"),
    ("Ogg", 0, b"OggS"),
    ("FLAC", 0, b"fLaC"),
    ("MP3", 0, b"ID3"),
    ("PDF", 0, b"%PDF"),
    ("PSD", 0, b"8BPS"),
    ("JPEG XL", 4, b"JXL "),
    ("a ZIP archive", 0, b"PK\x03\x04"),
)

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


def format_not_taken(opening: bytes) -> str | None:
    """The name of another format that a file is of, by its opening (FOREIGN_OPENING_BYTES of it); None if unknown.

    An empty file, a server's error page, or half of a file is of no format: the next one may be sound.
    """
    if opening[4:8] == b"ftyp" and opening[8:12] in _STILL_BRANDS:
        return "HEIC" if opening[8:10] == b"he" else "AVIF"
    start = opening.lstrip(b"\xef\xbb\xbf \t\r\n")
    if start.startswith(b"<svg") or (start.startswith(b"<?xml") and b"<svg" in start):
        return "SVG"
    return next((name for name, at, mark in _NOT_TAKEN if opening[at : at + len(mark)] == mark), None)


def kind_of(content_type: str) -> MediaKind:
    """`image` or `video`, for a content type on the list."""
    return MediaKind(content_type.partition("/")[0])


def _by_brand(brand: bytes) -> str | None:
    if brand in _STILL_BRANDS:
        return None
    return "video/quicktime" if brand == _QUICKTIME_BRAND else "video/mp4"
