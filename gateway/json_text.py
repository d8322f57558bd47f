"""Writes JSON. orjson takes a tenth of the time of pydantic's `to_json`, and a create writes seven documents."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import orjson
import pydantic_core


def to_json(value: object, *, sorted_members: bool = False, default: Callable[[Any], Any] | None = None) -> bytes:
    """The value as JSON, without spaces. `default` turns what JSON does not have into what it has.

    A named tuple is an array, as with Python's encoder; orjson would leave it to `default`. What orjson does not write
    (a number above 64 bits) pydantic writes. PydanticSerializationError: neither can, as with a lone surrogate.
    """
    try:
        return orjson.dumps(value, _with_tuples(default), orjson.OPT_SORT_KEYS if sorted_members else None)
    except orjson.JSONEncodeError:
        if sorted_members:
            raise
        return pydantic_core.to_json(value, fallback=default)


@cache
def _with_tuples(default: Callable[[Any], Any] | None) -> Callable[[Any], Any]:
    def turned(value: Any) -> Any:
        if isinstance(value, tuple):
            return tuple(value)
        if default is None:
            raise TypeError(type(value).__name__)
        return default(value)

    return turned
