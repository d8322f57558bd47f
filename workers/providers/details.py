"""What of a provider's own words may stand in the operator's log: short, and nothing of a customer's or of ours.

Vendors like to repeat what they were sent: the prompt, an input's URL, half of the key. So a text that has twelve
characters in a row of the prompt is left out whole, and what looks like a secret or a file is cut from every other.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

_LENGTH_MAX = 300
_DEPTH_MAX = 8  # of errors within errors
_SAME_CHARACTERS = 12  # in a row: fewer are in any two texts, and more would let half a sentence pass
_LEFT_OUT = "(message left out: it repeats the request)"
_CUT = (
    (re.compile(r"data:\S*", re.IGNORECASE), "data:…"),
    (re.compile(r"(https?://[^\s/?#'\"]*)\S*", re.IGNORECASE), r"\1/…"),
    (re.compile(r"\b(bearer|key|token)(\s+|[=:]\s*)\S+", re.IGNORECASE), r"\1 …"),
    (re.compile(r"[A-Za-z0-9+/_=*-]{32,}"), "…"),
    (re.compile(r"[\x00-\x1f\x7f]+"), " "),
)


def presentable(text: str, *, key: str | None = None, private: str = "") -> str:
    """`text` as an operator may read it. `private` is the prompt; `key` what we sign our calls with."""
    text = " ".join(text[: 10 * _LENGTH_MAX].encode("utf-8", "replace").decode().split())
    if key:
        text = text.replace(key, "…")
    if _repeats(text, " ".join(private.split())):
        return _LEFT_OUT
    for pattern, instead in _CUT:
        text = pattern.sub(instead, text)
    return text if len(text) <= _LENGTH_MAX else text[: _LENGTH_MAX - 1] + "…"


def words_of(document: object, *, key: str | None = None, private: str = "") -> str:
    """The codes and messages in a JSON answer that is an error, as the usual vendors write them, made presentable."""
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
    """Whether `text` has a run of `private` in it, whatever the case of its letters."""
    text, private = text.casefold(), private.casefold()
    if len(private) <= _SAME_CHARACTERS:
        return bool(private) and re.search(rf"\b{re.escape(private)}\b", text) is not None
    runs = {text[at : at + _SAME_CHARACTERS] for at in range(len(text) - _SAME_CHARACTERS + 1)}
    return any(private[at : at + _SAME_CHARACTERS] in runs for at in range(len(private) - _SAME_CHARACTERS + 1))
