"""JSON from outside, taken only where there is one way to read it.

RFC 8259 leaves open what a member given twice means, and what becomes of a number that no double can hold. Readers
differ: a proxy checks the first `credits`, and we would have booked the second; `1e-400` was written as more than
nothing, and would have been read as 0. So both are refused, wherever they stand.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydantic_core import from_json

DEPTH_MAX = 200  # pydantic-core's own, which it does not let one change
_LOOKED_FOR = 1_000  # members among which the one that is given twice is looked for, to be named
_BEFORE_A_VALUE = (b",", b"[", b"{")


class NotJson(ValueError):
    """It is not JSON, or can be read in two ways; the message completes "the body …"."""


class NotHeld(float):
    """A number that no double holds: NaN, infinity, and what is too large or too small. As a float it is NaN or so."""


@dataclass(frozen=True, slots=True)
class Document:
    """What was read. `numbers_held`: no number in it is `NotHeld`. `too_many`: it has more values than asked for."""

    value: Any
    numbers_held: bool
    too_many: bool


class TooManyValues(ValueError):
    """It has more values than the caller wants to have looked at."""


@dataclass(slots=True)
class _Reading:
    """Of one document: numbers that are not held are marked, so that a caller can say where they stand.

    What is called for each object or fraction is called at most `left` times.
    """

    left: float
    numbers_held: bool = True

    def members(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        self.left -= 1
        if self.left < 0:
            raise TooManyValues
        members = dict(pairs)
        if len(members) < len(pairs):
            twice, times = Counter(name for name, _ in pairs[:_LOOKED_FOR]).most_common(1)[0]
            raise NotJson(f"repeats {f'the member {twice[:80]!r}' if times > 1 else 'a member'}")
        return members

    def number(self, text: str) -> float:
        self.left -= 1
        if self.left < 0:
            raise TooManyValues
        number = float(text)
        if math.isinf(number) or (number == 0 and text.lower().partition("e")[0].strip("-0.")):
            return self.not_held(text)
        return number

    def not_held(self, text: str) -> float:
        self.numbers_held = False
        return NotHeld(text)


def read_document(raw: bytes, *, most: float = math.inf) -> Document:
    """The document, with its odd numbers marked; NotJson.

    TooManyValues if it has more than `most` objects or fractions: then it is not read to its end.
    """
    reading = _Reading(most)
    decoder = json.JSONDecoder(
        object_pairs_hook=reading.members, parse_float=reading.number, parse_constant=reading.not_held
    )
    try:
        value = decoder.decode(raw.decode())
        if b"\\u" in raw or raw.count(b"[") + raw.count(b"{") > DEPTH_MAX:
            # It takes no half of a surrogate pair, which is no character, and has no way into UTF-8; and it has a
            # limit of depth, which lets everybody after it go down without counting.
            from_json(raw)
    except (NotJson, TooManyValues):
        raise
    except (ValueError, RecursionError):
        raise NotJson(f"is not JSON: {_fault(raw)}") from None
    # Most documents are told by their bytes.
    too_many = sum(map(raw.count, _BEFORE_A_VALUE)) > most and _has_more_values(value, most)
    return Document(value, reading.numbers_held, too_many)


def read_json(raw: bytes) -> Any:
    """The document; NotJson also if a number in it is not held."""
    document = read_document(raw)
    if not document.numbers_held:
        raise NotJson("has a number that is not finite or is out of range")
    return document.value


def not_held(value: Any) -> Iterator[str]:
    """Where the numbers stand that are not held: `settings.strength`, `items.0.per_day`."""
    return (".".join(map(str, path)) for path, one in _walk(value) if isinstance(one, NotHeld))


def _has_more_values(value: Any, most: float) -> bool:
    """Whether there are more than `most` members of objects and items of lists in it, at every depth."""
    left, open_ = most, [value]
    while open_:
        container = open_.pop()
        left -= len(container) if isinstance(container, dict | list) else 0
        if left < 0:
            return True
        open_.extend(inner for _, inner in _steps(container) if isinstance(inner, dict | list))
    return False


def _walk(value: Any) -> Iterator[tuple[list[str | int], Any]]:
    """Each value and its path, which is good until the next one; nothing is looked at before it is asked for."""
    path: list[str | int] = []
    yield path, value
    open_ = [_steps(value)]
    while open_:
        for step, inner in open_[-1]:
            path.append(step)
            yield path, inner
            if isinstance(inner, dict | list):
                open_.append(_steps(inner))
                break
            path.pop()
        else:
            open_.pop()
            del path[-1:]


def _steps(value: Any) -> Iterator[tuple[str | int, Any]]:
    if isinstance(value, dict):
        return iter(value.items())
    return iter(enumerate(value)) if isinstance(value, list) else iter(())


def _fault(raw: bytes) -> str:
    """What is wrong, in the words of the parser that reads the shapes."""
    try:
        from_json(raw)
    except ValueError as error:
        return str(error)
    return "it is nested too deeply"
