"""What a worker's arguments may be, beyond their types.

The methods trust their callers, and scripts compute with what they get: one that claims -1 jobs would never end, and a
cost below 0 would let none end its generation.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from decimal import Decimal

from gateway.domain import is_generation_id
from gateway.errors import FieldProblem
from gateway.pricing.fields import ID_PATTERN

WHOLE_MAX = 2**53 - 1  # scripts count in doubles
_MICRO_MAX = 10**15  # a billion of a currency: even a thousand outputs of it are counted exactly
_LEAST = {"limit": 1, "claim_ms": 1}
_MOST = {
    "progress_thousandths": 1000,
    "thousandths": 1000,
    "untried": 1000,
    "assumed": _MICRO_MAX,
    "reported": _MICRO_MAX,
}
_NAMES = frozenset({"tool", "provider", "providers"})
_ID = re.compile(ID_PATTERN.strip("^$"), re.ASCII)
_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)


def faults(arguments: Mapping[str, object]) -> Iterator[FieldProblem]:
    """What is wrong with the arguments of a call; what clients have sent, such as metadata, is not looked at."""
    for name, value in arguments.items():
        yield from _faults(name, name, value)


def _faults(path: str, name: str, value: object) -> Iterator[FieldProblem]:
    match value:
        case bool():
            return
        case int() | float() | Decimal():
            least, most = _LEAST.get(name, 0), _MOST.get(name, WHOLE_MAX)
            if not least <= value <= most:  # nor is what is no number
                yield FieldProblem(path, f"must be from {least} to {most}")
        case str():
            if (wanted := _wanted(name, value)) is not None:
                yield FieldProblem(path, f"must be {wanted}")
        case list() | tuple():
            members = getattr(value, "_fields", None)  # of a named tuple
            for index, each in enumerate(value):
                known = name if members is None else members[index]
                yield from _faults(f"{path}.{index if members is None else known}", known, each)
        case _ if is_dataclass(value):
            for field in fields(value):
                yield from _faults(f"{path}.{field.name}", field.name, getattr(value, field.name))


def _wanted(name: str, text: str) -> str | None:
    """What a text should be; None if it may be what it is. Without a provider, its name is empty."""
    if name == "generation" and not is_generation_id(text):
        return "the id of a generation"
    if name in _NAMES and text and not _ID.fullmatch(text):
        return f"a name as in a rate card, {ID_PATTERN}"
    if name == "sha256" and not _SHA256.fullmatch(text):
        return "a SHA-256 in hexadecimal digits"
    return None
