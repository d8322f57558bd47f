"""Finds the line of each table and field of a rate card, for error messages.

`tomllib` does not report positions. This scans for headings and keys line by line and parses each with `tomllib`, so
quotes and dots follow TOML's rules. It runs only when a card is rejected.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from itertools import count

Location = tuple[str | int, ...]

_HEADING = re.compile(r"\s*(?P<open>\[{1,2})(?P<name>[^\[\]]+)\]{1,2}\s*(#.*)?", re.ASCII)
_FIELD = re.compile(r"""\s*(?P<name>(?:[A-Za-z0-9_.\s-]|"[^"]*"|'[^']*')+?)\s*=""", re.ASCII)


class Lines:
    """The lines of a TOML text, counted from 1."""

    def __init__(self, text: str) -> None:
        self._lines: dict[Location, int] = {}
        table: Location = ()
        for number, line in enumerate(text.splitlines(), 1):
            if heading := _HEADING.fullmatch(line):
                table = self._table(heading["name"], repeated=heading["open"] == "[[")
                self._lines.setdefault(table, number)
            elif field := _FIELD.match(line):
                self._lines.setdefault((*table, *_parts(field["name"])), number)

    def of(self, location: Location) -> int | None:
        """The line of a location, or of the innermost table around it; None for the file as a whole."""
        for depth in range(len(location), 0, -1):
            around = location[:depth]
            if around in self._lines:
                return self._lines[around]
            # A table without a heading of its own gets the line of its first subtable.
            inside = (line for known, line in self._lines.items() if known[:depth] == around)
            if (first := min(inside, default=None)) is not None:
                return first
        return None

    def _table(self, name: str, *, repeated: bool) -> Location:
        """A heading's location; for a list of tables, `[[…]]`, with the index of this one."""
        *around, last = _parts(name)
        table: Location = ()
        for part in around:
            table = self._newest((*table, part))
        table = (*table, last)
        if not repeated:
            return table
        return next((*table, index) for index in count() if (*table, index) not in self._lines)

    def _newest(self, table: Location) -> Location:
        """The table itself or, in a list of tables, the last one."""
        index = next(index for index in count() if (*table, index) not in self._lines)
        return table if index == 0 else (*table, index - 1)


def _parts(name: str) -> Iterator[str]:
    """The parts of a dotted key: `models."wan-2.2".rates`. Empty if it is not a key, such as a line of a long text."""
    try:
        inner = tomllib.loads(f"{name} = 0")
    except tomllib.TOMLDecodeError:
        return
    while isinstance(inner, dict):
        ((part, inner),) = inner.items()
        yield part
