"""The scripts' Lua libraries, taken apart into their functions, so that a script is given those that it may reach.

A function of Lua is made anew in each run of a script and costs as much as reading a field, used or not; a script that
frees credits never asks what a month is. What is left out is only what no text that stays names, so all that this
knows of Lua is how our libraries are laid out: a function begins at the start of a line and ends with an `end` at the
start of one, or with its own line. `tests/ledger/test_scripts.py` holds them to it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

LUA = files("gateway.ledger").joinpath("lua")

_INCLUDE = re.compile(r"^--- @include (.+)$", re.MULTILINE)
_LIBRARY = re.compile(r'"([^"]+)"')
_FUNCTION = re.compile(
    r"(?:-- [^\n]*\n)*"
    r"(local )?function ([\w.]+)\("
    r"(?:[^\n]* end|[^\n]*(?:\n[^\n]*)*?\nend)$\n*",
    re.MULTILINE,
)
_REMARK = re.compile(r"^ *--[^\n]*$", re.MULTILINE)
_NAME = re.compile(r"[A-Za-z_]\w*(?:\.\w+)?")


@dataclass(frozen=True, slots=True)
class Piece:
    """A function of a library, or what stands between two: that has no name and always stays."""

    name: str | None
    text: str
    names: frozenset[str]
    """All that it may call: `grants.find`, and functions of its own library as `lib/grants encoded`."""


def compose(text: str) -> str:
    """A script with its libraries in the place of their includes: each once, and of each what the script may reach.

    A library may include another, which then stands before it.
    """
    reached = _reached(text)
    included: set[str] = set()

    def libraries(match: re.Match[str]) -> str:
        return "\n".join(library(name) for name in _named_in(match) if name not in included)

    def library(name: str) -> str:
        included.add(name)
        kept = [piece for piece in taken_apart(name) if piece.name is None or piece.name in reached]
        table = name.rpartition("/")[2]
        # A table that is made for what it will hold; else it is made anew at its 1st, 2nd, 3rd, 5th and 9th function.
        room = ", ".join(f"{piece.name.partition('.')[2]} = 0" for piece in kept if piece.name and "." in piece.name)
        text = "".join(piece.text for piece in kept).replace(f"local {table} = {{}}", f"local {table} = {{{room}}}", 1)
        return _INCLUDE.sub(libraries, text)

    return _INCLUDE.sub(libraries, text)


def _named_in(include: re.Match[str]) -> list[str]:
    """The libraries that an include names."""
    return _LIBRARY.findall(include[1])


@cache
def taken_apart(library: str) -> tuple[Piece, ...]:
    """A library's text as pieces, in their order."""
    text = LUA.joinpath(f"{library}.lua").read_text()
    return tuple(_pieces(library, text))


def _pieces(library: str, text: str) -> Iterator[Piece]:
    position = 0
    for match in _FUNCTION.finditer(text):
        yield Piece(None, text[position : match.start()], _names(library, text[position : match.start()]))
        name = f"{library} {match[2]}" if match[1] else match[2]
        yield Piece(name, match[0], _names(library, match[0]))
        position = match.end()
    yield Piece(None, text[position:], _names(library, text[position:]))


def _names(library: str, text: str) -> frozenset[str]:
    found = _NAME.findall(_REMARK.sub("", text))
    return frozenset(name if "." in name else f"{library} {name}" for name in found)


def _reached(text: str) -> set[str]:
    """The names of all that a script may call, and of more that is no function."""
    left = [piece for library in _included(text) for piece in taken_apart(library)]
    reached = set(_names("", text))
    grows = True
    while grows:
        kept = [piece for piece in left if piece.name is None or piece.name in reached]
        left = [piece for piece in left if piece.name is not None and piece.name not in reached]
        reached.update(*(piece.names for piece in kept))
        grows = bool(kept)
    return reached


def _included(text: str) -> set[str]:
    """The libraries that a script includes, and those that these include."""
    included = {name for match in _INCLUDE.finditer(text) for name in _named_in(match)}
    return included.union(*(_included(LUA.joinpath(f"{name}.lua").read_text()) for name in included))
