"""Text: UTF-8, without zero bytes, which every binary format has."""

from __future__ import annotations

from typing import BinaryIO

from gateway.errors import MediaUnreadable

BYTES_MAX = 8 * 1024 * 1024  # a long book has two


def characters(file: BinaryIO) -> int:
    """The number of Unicode code points, as for prompts; MediaUnreadable if it is not text, is empty, or too long."""
    data = file.read(BYTES_MAX + 1)
    if len(data) > BYTES_MAX:
        raise MediaUnreadable(f"is longer than {BYTES_MAX:,} bytes of text")
    try:
        text = data.decode()
    except UnicodeDecodeError:
        raise MediaUnreadable("is not UTF-8 text") from None
    if "\0" in text:
        raise MediaUnreadable("is not text: it has a zero byte")
    if not text.strip():
        raise MediaUnreadable("is an empty text")
    return len(text)
