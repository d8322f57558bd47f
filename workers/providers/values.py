"""Parses numbers, ids and URLs in providers' responses. All of them are untrusted, so nothing else parses them.

A progress of NaN, a number as text, a list in place of a URL: each is ignored or reported as the provider's fault,
never an exception of ours. JSON itself is parsed here too: Python's parser accepts NaN and Infinity, which are not
JSON, and integers of any length, which no float can represent.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from typing import Any

from yarl import URL

JOB_ID_CHARACTERS_MAX = 500

_DIGITS_MAX = 18  # of an integer: more than any count or id has, and fits 64 bits
_NUMBER_MAX = 1e18
_ROUNDING = 1.01  # slightly above 1 is a rounded 1; more is a percentage, or a count without a known total
_DEPTH_MAX = 32
_NODES_MAX = 20_000
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]{0,30}:", re.IGNORECASE)
_FETCHED = ("https://", "http://", "data:")
_FILE_NAME = re.compile(
    r"[^\s:]+\.(?:png|jpe?g|webp|gif|avif|mp4|m4v|webm|mov|wav|mp3|ogg|opus|flac|m4a|aac)(?:\?\S*)?", re.IGNORECASE
)


def document_in(text: str | bytes) -> Any:
    """Parse JSON; None if it is invalid, or has a number outside a float's range or with more than 18 digits."""
    try:
        return json.loads(text, parse_constant=_no_number, parse_float=_float, parse_int=_integer)
    except (ValueError, RecursionError):
        return None


def fraction(value: object) -> float | None:
    """Progress, 0 to 1; None for anything else: NaN, text, a negative number, a percentage."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _ROUNDING:
        return None
    return min(float(value), 1.0)


def share(value: object, most: object) -> float | None:
    """`value` of `most` as a fraction; None if they do not make one."""
    done, whole = _number(value), _number(most)
    return fraction(done / whole) if done is not None and whole is not None and whole > 0 else None


def job_id(value: object) -> str | None:
    """A vendor's job id, as text; None if it cannot be stored and used in a request."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or not 0 < len(value) <= JOB_ID_CHARACTERS_MAX or not value.isprintable():
        return None
    return value


def text(value: object) -> str:
    """A text without lone surrogates, which JSON can contain but nothing can store; "" if it is not text."""
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else ""


def is_address(value: object) -> bool:
    """Whether it is a URL to fetch or decode: `https:`, `http:` or `data:`."""
    return isinstance(value, str) and value[:8].lower().startswith(_FETCHED)


def address(value: object, base: URL, *, named: bool) -> str | None:
    """A URL in a response from `base`, resolved if it is relative (RFC 3986); None if it is not a URL.

    `named`: it is in a field for URLs. Otherwise a text counts only if it looks like a file's URL.
    """
    if not isinstance(value, str):
        return None
    value = value.strip()
    if is_address(value):
        return value
    if not value or any(character.isspace() for character in value) or not (named or _FILE_NAME.fullmatch(value)):
        return None
    if _SCHEME.match(value):
        return value  # it cannot be fetched; the fetch reports that
    try:
        return str(base.join(URL(value, encoded=value.isascii())))
    except ValueError:
        return None


def nodes(document: object) -> Iterator[tuple[str, object]]:
    """Every value in a document with its name, those in lists with their list's; bounded in depth and number."""
    waiting: list[tuple[str, object, int]] = [("", document, 0)]
    for _ in range(_NODES_MAX):
        if not waiting:
            return
        name, value, depth = waiting.pop()
        yield name, value
        if depth >= _DEPTH_MAX:
            continue
        if isinstance(value, dict):
            waiting += [(key, each, depth + 1) for key, each in reversed(value.items())]
        elif isinstance(value, list):
            waiting += [(name, each, depth + 1) for each in reversed(value)]


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not -_NUMBER_MAX < value < _NUMBER_MAX:
        return None
    return float(value)


def _no_number(_: str) -> None:
    return None


def _float(digits: str) -> float | None:
    number = float(digits)
    return number if math.isfinite(number) else None


def _integer(digits: str) -> int | None:
    return int(digits) if len(digits) <= _DIGITS_MAX else None
