"""Sanitizes providers' messages for the log: short, and without customers' data or our secrets.

Vendors often repeat what they were sent: the prompt, an input's URL, half of the key. So a text that contains twelve
consecutive characters of the prompt is dropped, and anything that looks like a secret or a file is cut from the others.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

_LENGTH_MAX = 300
_DEPTH_MAX = 8  # of nested errors
_SAME_CHARACTERS = 12  # consecutive: shorter matches are common by chance, longer ones would miss half a sentence
_LEFT_OUT = "(message left out: it repeats the request)"
_CUT = (
    (re.compile(r"data:\S*", re.IGNORECASE), "data:…"),
    (re.compile(r"(https?://[^\s/?#'\"]*)\S*", re.IGNORECASE), r"\1/…"),
    (re.compile(r"\b(bearer|key|token)(\s+|[=:]\s*)\S+", re.IGNORECASE), r"\1 …"),
    (re.compile(r"[A-Za-z0-9+/_=*-]{32,}"), "…"),
    (re.compile(r"[\x00-\x1f\x7f]+"), " "),
)


def presentable(text: str, *, key: str | None = None, private: str = "") -> str:
    """`text` made safe for operators. `private` is the prompt, `key` our API key."""
    text = " ".join(text[: 10 * _LENGTH_MAX].encode("utf-8", "replace").decode().split())
    if key:
        text = text.replace(key, "…")
    if _repeats(text, " ".join(private.split())):
        return _LEFT_OUT
    for pattern, instead in _CUT:
        text = pattern.sub(instead, text)
    return text if len(text) <= _LENGTH_MAX else text[: _LENGTH_MAX - 1] + "…"


def words_of(document: object, *, key: str | None = None, private: str = "") -> str:
    """The codes and messages in a JSON error response, in the usual vendors' formats, made safe to show."""
    parts = dict.fromkeys(presentable(part, key=key, private=private) for part in _words(document) if part)
    text = "; ".join(parts)
    return text if len(text) <= _LENGTH_MAX else text[: _LENGTH_MAX - 1] + "…"


def _words(document: object, depth: int = 0) -> Iterator[str]:
    if isinstance(document, str):
        yield document
    if not isinstance(document, dict) or depth > _DEPTH_MAX:
        return
    for name in ("code", "type", "error_type", "status", "title", "message", "msg", "reason"):
        yield _plain(document.get(name))
    for name in ("error", "detail", "details"):
        inner = document.get(name)
        for one in inner[:3] if isinstance(inner, list) else [inner]:
            yield from _words(one, depth + 1)


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _repeats(text: str, private: str) -> bool:
    """Whether `text` contains a run of characters of `private`, ignoring case."""
    text, private = text.casefold(), private.casefold()
    if len(private) <= _SAME_CHARACTERS:
        return bool(private) and re.search(rf"\b{re.escape(private)}\b", text) is not None
    runs = {text[at : at + _SAME_CHARACTERS] for at in range(len(text) - _SAME_CHARACTERS + 1)}
    return any(private[at : at + _SAME_CHARACTERS] in runs for at in range(len(private) - _SAME_CHARACTERS + 1))
