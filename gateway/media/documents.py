"""Files that are neither media nor text, as outputs of a `file` tool: known by their first bytes, complete to the end.

What a format's own index says is checked, because a file that was cut off opens in no program. Nothing is unpacked.
"""

from __future__ import annotations

import zipfile
from typing import BinaryIO

from gateway.errors import MediaUnreadable
from gateway.media.openings import UNKNOWN_TYPE

_TAIL_BYTES = 2048
_GLB_HEAD_BYTES = 12
_PDF, _ZIP, _GLB = b"%PDF-", b"PK\x03\x04", b"glTF"


def is_one(opening: bytes) -> bool:
    """Whether a file that starts like this is of a known format, however much it looks like text."""
    return opening.startswith((_PDF, _ZIP, _GLB))


def content_type(file: BinaryIO) -> str:
    """The type of a file, `application/octet-stream` if unknown; MediaUnreadable if it is empty or truncated."""
    opening = file.read(_GLB_HEAD_BYTES)
    if not opening:
        raise MediaUnreadable("is empty")
    if opening.startswith(_PDF):
        return _complete("application/pdf", whole=_ends_pdf(file))
    if opening.startswith(_ZIP):
        return _complete("application/zip", whole=zipfile.is_zipfile(file))
    if opening.startswith(_GLB):
        return _complete("model/gltf-binary", whole=file.seek(0, 2) >= int.from_bytes(opening[8:12], "little"))
    return UNKNOWN_TYPE


def _complete(found: str, *, whole: bool) -> str:
    if not whole:
        raise MediaUnreadable("is truncated")
    return found


def _ends_pdf(file: BinaryIO) -> bool:
    size = file.seek(0, 2)
    file.seek(max(0, size - _TAIL_BYTES))
    return b"%%EOF" in file.read()
