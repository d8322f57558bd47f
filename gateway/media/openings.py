"""By its first bytes, which format a file is of. Nothing here says that the rest of it is sound.

The bytes decide, and nothing else does: a file's name and the `Content-Type` that it is sent with are what somebody
called it.
"""

from __future__ import annotations

from collections.abc import Iterator

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
"""The content types that Farebox stores and serves, each with its files' extension. No browser runs one."""

CONVERTED = {"image/heic": "HEIC", "image/avif": "AVIF"}
"""Pictures that are taken in as uploads and kept as a JPEG or PNG: phones send them, and few providers take them."""

OPENING_BYTES = 1024  # an SVG may begin with a comment, an MP4 with empty space

NOT_TAKEN = (
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
    ("JPEG XL", 0, b"\xff\x0a"),
    ("JPEG 2000", 4, b"jP  "),
    ("a ZIP archive", 0, b"PK\x03\x04"),
)

# Where in a file, and how, its format shows; WebP's own name follows four bytes of length.
_OPENINGS = {
    "image/png": (0, b"\x89PNG\r\n\x1a\n"),
    "image/jpeg": (0, b"\xff\xd8\xff"),
    "image/webp": (8, b"WEBP"),
    "image/gif": (0, b"GIF8"),
    "video/webm": (0, b"\x1aE\xdf\xa3"),
}
_WEBM = b"webm"  # all of Matroska begins alike; the name of its kind stands in the first element
_WEBM_WITHIN = 64
_QUICKTIME_BRAND = b"qt  "
_SOME_BRAND = b"isom"  # of a file that begins with more empty space than its opening has
_SPACE = frozenset({b"free", b"skip", b"wide"})  # boxes of nothing, which may stand before all others
_MOVIE = frozenset({b"moov", b"mdat"})  # a QuickTime file of before 2001 has no `ftyp`
_HEIC_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx"})
_AVIF_BRANDS = frozenset({b"avif", b"avis"})
_STILL_BRANDS = frozenset({b"mif1", b"mif2", b"msf1", b"miaf"})  # a picture, whose codec the other brands say
_BOX_HEAD_BYTES = 8


def content_type_by_opening(opening: bytes) -> str | None:
    """The content type of a file that begins with `opening` (OPENING_BYTES of it); None if it is not on the list."""
    for content_type, (offset, mark) in _OPENINGS.items():
        if opening[offset : offset + len(mark)] == mark:
            return content_type if content_type != "video/webm" or _WEBM in opening[:_WEBM_WITHIN] else None
    brands = _brands(opening)
    if brands is None or _still(brands) is not None:
        return None
    return "video/quicktime" if brands[0] == _QUICKTIME_BRAND else "video/mp4"


def converted_by_opening(opening: bytes) -> str | None:
    """The content type of a picture that is converted when it is taken in; None for every other file."""
    brands = _brands(opening)
    still = None if brands is None else _still(brands)
    return still if still in CONVERTED else None


def format_not_taken(opening: bytes) -> str | None:
    """The name of another format that a file is of, by its opening (OPENING_BYTES of it); None if unknown.

    An empty file, a server's error page, or half of a file is of no format: the next one may be sound.
    """
    brands = _brands(opening)
    if brands is not None and (still := _still(brands)) is not None:
        return CONVERTED.get(still, "HEIF")
    start = opening.lstrip(b"\xef\xbb\xbf \t\r\n")
    if start.startswith(b"<svg") or (start.startswith((b"<?xml", b"<!--", b"<!DOCTYPE svg")) and b"<svg" in start):
        return "SVG"
    return next((name for name, at, mark in NOT_TAKEN if opening[at : at + len(mark)] == mark), None)


def kind_of(content_type: str) -> MediaKind:
    """`image` or `video`, for a content type on the list."""
    return MediaKind(content_type.partition("/")[0])


def _brands(opening: bytes) -> tuple[bytes, ...] | None:
    """The brands of a file of MP4's boxes, the major one first; None if it is none."""
    space = False
    for name, body in _boxes(opening):
        if name == b"ftyp":
            return (body[:4], *(body[at : at + 4] for at in range(8, len(body) - 3, 4)))
        if name in _MOVIE:
            return (_QUICKTIME_BRAND,)
        if name not in _SPACE:
            return None
        space = True
    return (_SOME_BRAND,) if space else None


def _boxes(opening: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 0
    while at + _BOX_HEAD_BYTES <= len(opening):
        size = int.from_bytes(opening[at : at + 4], "big")
        yield opening[at + 4 : at + _BOX_HEAD_BYTES], opening[at + _BOX_HEAD_BYTES : at + max(size, _BOX_HEAD_BYTES)]
        if size < _BOX_HEAD_BYTES:  # to the end of the file, or its size stands in eight bytes more
            return
        at += size


def _still(brands: tuple[bytes, ...]) -> str | None:
    """Which kind of picture the brands say; None for a video."""
    if brands[0] in _HEIC_BRANDS:
        return "image/heic"
    if brands[0] in _AVIF_BRANDS:
        return "image/avif"
    if brands[0] not in _STILL_BRANDS:
        return None
    if _AVIF_BRANDS.intersection(brands):
        return "image/avif"
    return "image/heic" if _HEIC_BRANDS.intersection(brands) else "image/heif"
