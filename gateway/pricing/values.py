"""Values of settings, in one canonical form each, so that equal values have the same price.

A value is text, a number or a flag. A flag is never a number (`true` is not 1, although `True == 1` in Python), and
text is never a number (`"5"` is not 5). Numbers are exact: whole ones are `int`, the others `Decimal`.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from decimal import Decimal
from enum import StrEnum

from gateway.domain import SettingValue

NUMBER_MAX = 2**53 - 1  # the largest that JSON readers and Lua represent exactly
DECIMALS_MAX = 9
_DIGITS_MAX = 16  # of 2^53; checked before any arithmetic, because int(Decimal("1e999999")) takes minutes
TEXT_MAX = 200
_LISTED_MAX = 20


class ValueKind(StrEnum):
    """The type of a value, as named in messages."""

    TEXT = "text"
    NUMBER = "a number"
    FLAG = "true or false"


def kind_of(value: SettingValue) -> ValueKind:
    """The type of a value: text, number or flag."""
    if isinstance(value, bool):
        return ValueKind.FLAG
    return ValueKind.TEXT if isinstance(value, str) else ValueKind.NUMBER


def listed(value: SettingValue, values: Iterable[SettingValue]) -> bool:
    """Whether a value is in a list, where `true` is not 1."""
    return any(value == other and kind_of(value) is kind_of(other) for other in values)


def canonical(value: object) -> SettingValue:
    """The canonical form: 5.0 becomes 5, the float 0.1 becomes Decimal("0.1"). ValueError if there is none."""
    if isinstance(value, float):
        value = Decimal(repr(value))
    if isinstance(value, Decimal):
        return _canonical_decimal(value)
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        return _within_bounds(value)
    if isinstance(value, str):
        if len(value) > TEXT_MAX:
            msg = f"is longer than {TEXT_MAX} characters"
            raise ValueError(msg)
        return value
    msg = "must be text, a number, true or false"
    raise ValueError(msg)


def _canonical_decimal(value: Decimal) -> int | Decimal:
    if not value.is_finite():
        msg = "must be a finite number"
        raise ValueError(msg)
    if value.is_zero():
        return 0
    if value.adjusted() >= _DIGITS_MAX:
        msg = "is too large a number"
        raise ValueError(msg)
    exponent = value.as_tuple().exponent
    if not isinstance(exponent, int) or exponent < -DECIMALS_MAX:
        value = value.normalize()
        exponent = value.as_tuple().exponent
        if not isinstance(exponent, int) or exponent < -DECIMALS_MAX:
            msg = f"has more than {DECIMALS_MAX} decimals"
            raise ValueError(msg)
    if value == value.to_integral_value():
        return _within_bounds(int(value))
    return value.normalize()


def _within_bounds(value: int) -> int:
    if abs(value) > NUMBER_MAX:
        msg = "is too large a number"
        raise ValueError(msg)
    return value


def plain(number: Decimal) -> Decimal:
    """A decimal without trailing zeros and without an exponent: 73.500 becomes 73.5, 1E+2 becomes 100."""
    if number == number.to_integral_value():
        return Decimal(int(number))
    return number.normalize()


def show(value: SettingValue) -> str:
    """A value as written in TOML and JSON: "2K" in quotes, 5, true."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return f"{value:f}" if isinstance(value, Decimal) else str(value)


def show_facts(facts: Iterable[tuple[str, SettingValue]]) -> str:
    """A combination of settings as written in TOML: `resolution = "4K", audio = true`."""
    return ", ".join(f"{name} = {show(value)}" for name, value in facts)


def one_of(words: Iterable[str]) -> str:
    """Alternatives for a sentence: `a`, `a or b`, `a, b or c`. A long list is cut, with the number left out."""
    named = list(words)
    if len(named) > _LISTED_MAX:
        return ", ".join(named[:_LISTED_MAX]) + f" or one of {len(named) - _LISTED_MAX} more"
    return " or ".join(part for part in (", ".join(named[:-1]), *named[-1:]) if part)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`; did you mean "video"?` if one of the known words is close, else ""."""
    by_lower_case = {name.lower(): name for name in sorted(known)}
    close = difflib.get_close_matches(word[:100].lower(), by_lower_case, n=1)
    return f'; did you mean "{by_lower_case[close[0]]}"?' if close else ""
