"""Finds the text in a vendor's result: models have a name of their own for it."""

from __future__ import annotations

from collections.abc import Sequence

from workers.providers.files import File
from workers.providers.values import is_address, text

# By how surely it is the result, and not the request's own words.
_NAMES = ("output", "text", "generated_text", "transcription", "caption", "results", "result", "response", "prompt")
_DEPTH_MAX = 4


def texts_in(result: object, outputs: int) -> list[File]:
    """The text of a result, or several if that many were requested; none if it only has URLs of files.

    A list of texts is one text in parts, as language models stream it, unless there is one for each output.
    """
    found = _found(result)
    if isinstance(found, str):
        found = [found]
    if not found or any(is_address(part) for part in found):
        return []
    parts = list(found) if outputs > 1 and len(found) == outputs else ["".join(found)]
    return [File(words=part) for part in parts]


def _found(result: object, depth: int = 0) -> str | Sequence[str] | None:
    if isinstance(result, str):
        return text(result)
    if isinstance(result, list):
        parts = [text(part) for part in result if isinstance(part, str)]
        return parts if parts and len(parts) == len(result) else None
    if not isinstance(result, dict) or depth > _DEPTH_MAX:
        return None
    each = (_found(result[name], depth + 1) for name in _NAMES if name in result)
    return next((found for found in each if found), None)
