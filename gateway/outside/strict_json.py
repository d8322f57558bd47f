"""Parses JSON from outside, and rejects what parsers may interpret differently.

RFC 8259 leaves open what duplicate members mean, and what happens to numbers outside a double's range. Parsers differ:
a proxy may check the first `credits` while we would book the second; `1e-400` is greater than zero, but would be read
as 0. So both are rejected, at any depth.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any

import jiter
import pydantic_core

DEPTH_MAX = 200  # pydantic-core's own limit, which cannot be changed
_BEFORE_A_VALUE = (b",", b"[", b"{")
_FRACTION = re.compile(rb"[0-9][.eE]|NaN|Infinity")  # matches every document with a number that is parsed as a float
_TWICE = re.compile(r'Detected duplicate key "(.*)" at line \d+ column \d+')
_ESCAPED = re.compile(r"\\(?:u\{([0-9a-f]+)\}|(.))")  # Rust's escapes in a quoted string
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "0": "\0"}


class NotJson(ValueError):
    """It is not JSON, or ambiguous; the message completes "the body …"."""


class NotHeld(float):
    """A number that a double cannot represent: NaN, infinity, or one out of range. As a float it is NaN or similar."""


class NumbersNotHeld(NotJson):
    """It has numbers that a double cannot represent, which are marked in `document`."""

    def __init__(self, document: Any) -> None:
        """Keep the document."""
        super().__init__("has a number that is not finite or is out of range")
        self.document = document


class TooManyValues(NotJson):
    """It has more values than allowed; `document` has all of them."""

    def __init__(self, document: Any) -> None:
        """Keep the document."""
        super().__init__("has too many values")
        self.document = document


def read_json(raw: bytes, *, most: float = math.inf, any_numbers: bool = False) -> Any:
    """The document; NotJson. `most`: how many values it may have. `any_numbers`: its numbers are not used."""
    try:
        document = jiter.from_json(raw, catch_duplicate_keys=True, float_mode="lossless-float")
        if raw.count(b"[") + raw.count(b"{") > DEPTH_MAX:
            pydantic_core.from_json(raw)  # it limits the depth, so that later code can recurse without counting
    except ValueError as error:
        raise NotJson(_fault(raw, str(error))) from None
    # For most documents, their bytes already tell.
    if sum(map(raw.count, _BEFORE_A_VALUE)) > most and _has_more_values(document, most):
        raise TooManyValues(document)
    if not any_numbers and _FRACTION.search(raw):
        document = _with_floats(document)
        if next(not_held(document), None) is not None:
            raise NumbersNotHeld(document)
    return document


def not_held(value: Any) -> Iterator[str]:
    """The paths of numbers that a double cannot represent: `settings.strength`, `items.0.per_day`."""
    return (".".join(map(str, path)) for path, one in _walk(value) if isinstance(one, NotHeld))


def _has_more_values(value: Any, most: float) -> bool:
    """Whether it has more than `most` object members and list items, over all depths."""
    left, open_ = most, [value]
    while open_:
        container = open_.pop()
        left -= len(container) if isinstance(container, dict | list) else 0
        if left < 0:
            return True
        open_.extend(inner for _, inner in _steps(container) if isinstance(inner, dict | list))
    return False


def _with_floats(document: Any) -> Any:
    """The document with its fractions as floats; those that a float cannot represent are marked."""
    all_of_it = [document]
    open_: list[Any] = [all_of_it]
    while open_:
        container = open_.pop()
        for step, inner in _steps(container):
            if isinstance(inner, jiter.LosslessFloat):
                container[step] = _float(str(inner))
            elif isinstance(inner, dict | list):
                open_.append(inner)
    return all_of_it[0]


def _float(text: str) -> float:
    number = float(text)
    lost = number == 0 and text.lower().partition("e")[0].strip("-0.")
    return number if math.isfinite(number) and not lost else NotHeld(text)


def _walk(value: Any) -> Iterator[tuple[list[str | int], Any]]:
    """Each value and its path, lazily; a path is valid until the next value."""
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


def _fault(raw: bytes, said: str) -> str:
    """The error message of the parser used for request bodies, unless it finds no error."""
    try:
        pydantic_core.from_json(raw)
    except ValueError as error:
        return f"is not JSON: {error}"
    twice = _TWICE.fullmatch(said)
    if twice is None:
        return "is not JSON: it is nested too deeply"
    name = _ESCAPED.sub(lambda one: chr(int(one[1], 16)) if one[1] else _ESCAPES.get(one[2], one[2]), twice[1])
    return f"repeats the member {name[:80]!r}"
