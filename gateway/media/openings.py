"""Detects a file's format from its first bytes. The rest of the file is not checked here.

Only the bytes decide: a file's name and `Content-Type` are just labels.
"""

from __future__ import annotations

from collections.abc import Iterator

from gateway.kinds import MediaKind

EXTENSIONS = {
    "image/png": "png",
    "image/jpeg": "jpg",
    "image/webp": "webp",
    "image/gif": "gif",
    "video/mp4": "mp4",
    "video/webm": "webm",
    "video/quicktime": "mov",
    "audio/wav": "wav",
    "audio/mpeg": "mp3",
    "audio/ogg": "ogg",
    "audio/flac": "flac",
    "audio/mp4": "m4a",
    "audio/aac": "aac",
    "audio/webm": "weba",
}
"""The content types of inputs and of most outputs, with their file extensions. Browsers execute none of them."""

TEXT_TYPE = "text/plain"
UNKNOWN_TYPE = "application/octet-stream"
STORED_EXTENSIONS = EXTENSIONS | {
    TEXT_TYPE: "txt",
    "application/pdf": "pdf",
    "application/zip": "zip",
    "model/gltf-binary": "glb",
    UNKNOWN_TYPE: "bin",
}
"""All content types that Farebox stores and serves: also those of outputs that are text or files."""

SOUND_ONLY = {"video/mp4": "audio/mp4", "video/webm": "audio/webm"}
"""Containers of videos that may contain audio alone, and what they then are."""

CONVERTED = {"image/heic": "HEIC", "image/avif": "AVIF"}
"""Images that are accepted as uploads and stored as JPEG or PNG: phones send them, and few providers accept them."""

OPENING_BYTES = 1024  # an SVG may start with a comment, an MP4 with empty space

NOT_TAKEN = (
    ("BMP", 0, b"BM"),
    ("TIFF", 0, b"II*\0"),
    ("TIFF", 0, b"MM\0*"),
    ("AVI", 8, b"AVI "),
    ("AIFF", 8, b"AIFF"),
    ("AIFF", 8, b"AIFC"),
    ("AMR", 0, b"#!AMR"),
    ("MIDI", 0, b"MThd"),
    ("Windows Media", 0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11"),
    ("Matroska", 0, b"\x1aE\xdf\xa3"),
    ("PDF", 0, b"%PDF"),
    ("PSD", 0, b"8BPS"),
    ("JPEG XL", 4, b"JXL "),
    ("JPEG XL", 0, b"\xff\x0a"),
    ("JPEG 2000", 4, b"jP  "),
    ("a ZIP archive", 0, b"PK\x03\x04"),
)

# The offset and bytes that identify each format; WebP's name follows four bytes of length.
_OPENINGS = {
    "image/png": (0, b"\x89PNG\r\n\x1a\n"),
    "image/jpeg": (0, b"\xff\xd8\xff"),
    "image/webp": (8, b"WEBP"),
    "image/gif": (0, b"GIF8"),
    "video/webm": (0, b"\x1aE\xdf\xa3"),
    "audio/wav": (8, b"WAVE"),
    "audio/ogg": (0, b"OggS"),
    "audio/flac": (0, b"fLaC"),
    "audio/mpeg": (0, b"ID3"),
}
# The first two bytes of an MPEG audio frame, by its version and protection: layer III (MP3), and ADTS (AAC).
_FRAMES = {
    "audio/mpeg": frozenset(b"\xff" + bytes([second]) for second in (0xE2, 0xE3, 0xF2, 0xF3, 0xFA, 0xFB)),
    "audio/aac": frozenset(b"\xff" + bytes([second]) for second in (0xF0, 0xF1, 0xF8, 0xF9)),
}
_WEBM = b"webm"  # all Matroska files start alike; the document type is in the first element
_WEBM_WITHIN = 64
_QUICKTIME_BRAND = b"qt  "
_AUDIO_BRANDS = frozenset({b"M4A ", b"M4B "})
_SOME_BRAND = b"isom"  # for a file that starts with more empty space than the opening has
_SPACE = frozenset({b"free", b"skip", b"wide"})  # empty boxes, which may precede all others
_MOVIE = frozenset({b"moov", b"mdat"})  # QuickTime files from before 2001 have no `ftyp`
_HEIC_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx"})
_AVIF_BRANDS = frozenset({b"avif", b"avis"})
_STILL_BRANDS = frozenset({b"mif1", b"mif2", b"msf1", b"miaf"})  # an image; the other brands name its codec
_BOX_HEAD_BYTES = 8
_KINDS = frozenset({MediaKind.IMAGE, MediaKind.VIDEO, MediaKind.AUDIO, MediaKind.TEXT})


def content_type_by_opening(opening: bytes) -> str | None:
    """The content type of a file that starts with `opening` (OPENING_BYTES of it); None if not supported."""
    for content_type, (offset, mark) in _OPENINGS.items():
        if opening[offset : offset + len(mark)] == mark:
            return content_type if content_type != "video/webm" or _WEBM in opening[:_WEBM_WITHIN] else None
    brands = _brands(opening)
    if brands is None:
        return next((content_type for content_type, starts in _FRAMES.items() if opening[:2] in starts), None)
    if _still(brands) is not None:
        return None
    if brands[0] in _AUDIO_BRANDS:
        return "audio/mp4"
    return "video/quicktime" if brands[0] == _QUICKTIME_BRAND else "video/mp4"


def content_type_as(opening: bytes, kind: str) -> str | None:
    """As `content_type_by_opening`, for a file that is said to be of this kind.

    Whether an MP4 or WebM has pictures cannot be told from its start, so one that is said to be audio is audio.
    """
    content_type = content_type_by_opening(opening)
    return SOUND_ONLY.get(content_type, content_type) if content_type and kind == MediaKind.AUDIO else content_type


def converted_by_opening(opening: bytes) -> str | None:
    """The content type of an image that is converted on upload; None for every other file."""
    brands = _brands(opening)
    still = None if brands is None else _still(brands)
    return still if still in CONVERTED else None


def format_not_taken(opening: bytes) -> str | None:
    """The name of an unsupported format, from the opening (OPENING_BYTES); None if unknown.

    An empty file, a server's error page or a fragment has no format: a retry may succeed.
    """
    brands = _brands(opening)
    if brands is not None and (still := _still(brands)) is not None:
        return CONVERTED.get(still, "HEIF")
    start = opening.lstrip(b"\xef\xbb\xbf \t\r\n")
    if start.startswith(b"<svg") or (start.startswith((b"<?xml", b"<!--", b"<!DOCTYPE svg")) and b"<svg" in start):
        return "SVG"
    return next((name for name, at, mark in NOT_TAKEN if opening[at : at + len(mark)] == mark), None)


def kind_of(content_type: str) -> MediaKind:
    """The kind of thing with a content type on the list."""
    kind = content_type.partition("/")[0]
    return MediaKind(kind) if kind in _KINDS else MediaKind.FILE


def _brands(opening: bytes) -> tuple[bytes, ...] | None:
    """The brands of an MP4-like file, the major one first; None for other files."""
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
        if size < _BOX_HEAD_BYTES:  # up to the end of the file, or the size is in the next eight bytes
            return
        at += size


def _still(brands: tuple[bytes, ...]) -> str | None:
    """The image type according to the brands; None for a video."""
    if brands[0] in _HEIC_BRANDS:
        return "image/heic"
    if brands[0] in _AVIF_BRANDS:
        return "image/avif"
    if brands[0] not in _STILL_BRANDS:
        return None
    if _AVIF_BRANDS.intersection(brands):
        return "image/avif"
    return "image/heic" if _HEIC_BRANDS.intersection(brands) else "image/heif"
