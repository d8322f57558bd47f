"""Where each table and field of a rate card stands in its file, so that a refusal can say the line.

`tomllib` reads the values and forgets the places. Headings and keys are found again by their lines, and each is read by
`tomllib` itself, so that quotes and dots mean what they mean in TOML. Only a refused card is looked at.
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
        """The line of a place in the card, or of the innermost table around it; None for the file as a whole."""
        for depth in range(len(location), 0, -1):
            around = location[:depth]
            if around in self._lines:
                return self._lines[around]
            # A table that is only written by the tables in it stands where the first of them does.
            inside = (line for known, line in self._lines.items() if known[:depth] == around)
            if (first := min(inside, default=None)) is not None:
                return first
        return None

    def _table(self, name: str, *, repeated: bool) -> Location:
        """A heading's location: of a list of tables, `[[…]]`, with the number of this one."""
        *around, last = _parts(name)
        table: Location = ()
        for part in around:
            table = self._newest((*table, part))
        table = (*table, last)
        if not repeated:
            return table
        return next((*table, index) for index in count() if (*table, index) not in self._lines)

    def _newest(self, table: Location) -> Location:
        """The table itself, or of a list of tables the one that was begun last."""
        index = next(index for index in count() if (*table, index) not in self._lines)
        return table if index == 0 else (*table, index - 1)


def _parts(name: str) -> Iterator[str]:
    """A dotted key taken apart: `models."wan-2.2".rates`. What is no key, such as a line of a long text, has none."""
    try:
        inner = tomllib.loads(f"{name} = 0")
    except tomllib.TOMLDecodeError:
        return
    while isinstance(inner, dict):
        ((part, inner),) = inner.items()
        yield part
