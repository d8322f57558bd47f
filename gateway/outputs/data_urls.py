"""Inputs inside the request itself, as `data:` URLs (RFC 2397)."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass

from gateway.errors import FieldProblem, RequestRefused
from gateway.media import (
    CONVERTED,
    EXTENSIONS,
    OPENING_BYTES,
    content_type_as,
    converted_by_opening,
    kind_of,
)

_HEAD_MAX = 200  # characters before the comma: a type, and parameters that are ignored
INPUT_BYTES_MAX = 1024 * 1024  # no more than a request's body may have


@dataclass(frozen=True, slots=True)
class InputFile:
    """The bytes of one `data:` input, of a content type on the list."""

    content_type: str
    data: bytes


def parse_data_url(url: str, *, kind: str, path: str, bytes_max: int = INPUT_BYTES_MAX) -> InputFile:
    """Decode a `data:` URL; RequestRefused, with the field's `path`, if it is invalid.

    `kind` is what the input claims to be: `image`, `video` or `audio`.
    """
    head, comma, body = url.partition(",")
    if len(head) > _HEAD_MAX:
        raise _refused(path, "must look like data:image/png;base64,…")
    media_type, *parameters = head.removeprefix("data:").split(";")
    content_type = media_type.strip().lower()
    if not head.startswith("data:") or not comma or not parameters or parameters[-1].strip().lower() != "base64":
        raise _refused(path, "must look like data:image/png;base64,…")
    if len(body) // 4 * 3 > bytes_max + 2:  # base64 writes 3 bytes as 4 characters, at the end up to 2 fewer
        raise _refused(path, f"is larger than {bytes_max:,} bytes; pass an https: URL instead")
    try:
        data = base64.b64decode(body, validate=True)
    except (binascii.Error, ValueError):
        raise _refused(path, "is not valid base64") from None
    if len(data) > bytes_max:
        raise _refused(path, f"is larger than {bytes_max:,} bytes; pass an https: URL instead")
    found = content_type_as(data[:OPENING_BYTES], kind)
    if found is None:
        raise _refused(path, _why_not(data, content_type, kind))
    if kind_of(found) != kind:
        raise _refused(path, f"is {found}, but the input's kind is {kind!r}")
    return InputFile(found, data)


def _why_not(data: bytes, content_type: str, kind: str) -> str:
    """Why bytes of an unsupported type are refused."""
    still = converted_by_opening(data[:OPENING_BYTES])
    if still is not None:
        return f"is {CONVERTED[still]}: send it with POST /v1/uploads, where it is converted"
    if content_type in EXTENSIONS:
        return f"says {content_type}, but its bytes are not"
    known = ", ".join(each for each in EXTENSIONS if each.startswith(f"{kind}/"))
    return f"has the content type {content_type[:40]!r}; supported: {known}"


def _refused(path: str, message: str) -> RequestRefused:
    return RequestRefused(f"{path} {message}", [FieldProblem(path, message)])
