"""How much is done of what could be repeated for hours: a short form, or with `make test LONG=1` all of it.

The short form runs each of these checks over fewer examples. Beside a test marked `long` there is a shorter one.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TypeVar

T = TypeVar("T")

LONG = os.environ.get("LONG", "") not in {"", "0"}


def some_of(values: Iterable[T], number: int, of: int = 3) -> list[T]:
    """All; in the short form each so-many-th, and others for the next number: for a walk over routes or fields."""
    return list(values)[slice(None) if LONG else slice(number % of, None, of)]
