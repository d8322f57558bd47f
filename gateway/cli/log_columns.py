"""Merges the logs of several processes: each line is prefixed with its process's name."""

from __future__ import annotations

import json
import sys
from collections import deque
from collections.abc import Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from gateway.outside.visible import visible_json, visible_lines

if TYPE_CHECKING:
    from collections.abc import Iterator

_COLOURS = ("cyan", "yellow", "green", "magenta", "blue", "bright_cyan", "bright_yellow", "bright_green")
_HELD_LINES_MAX = 2000


class LogColumns:
    """Writes lines to standard output, as columns or, for machines, as one JSON object each."""

    def __init__(self, names: Sequence[str], *, as_json: bool) -> None:
        self._width = max(len(name) for name in names)
        self._colours = {name: _COLOURS[index % len(_COLOURS)] for index, name in enumerate(names)}
        self._as_json = as_json
        self._held: deque[tuple[str, str]] | None = None

    def show(self, name: str, line: str) -> None:
        """Write a line of process `name`."""
        if self._held is not None:
            self._held.append((name, line))
        elif self._as_json:
            self._write(visible_json(_named(name, line)))
        else:
            column = click.style(f"{name:<{self._width}} │", fg=self._colours.get(name))
            self._write(f"{column} {visible_lines(line)}")

    def say(self, text: str) -> None:
        """Write a block of text for the person at the terminal, without a column."""
        if self._as_json:
            self.show("farebox", text)
        else:
            self._write(f"\n{visible_lines(text)}\n")

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold lines back while something else draws on the terminal; the last 2000 are shown afterwards."""
        self._held = deque(maxlen=_HELD_LINES_MAX)
        try:
            yield
        finally:
            lines, self._held = self._held, None
            for name, line in lines:
                self.show(name, line)

    @staticmethod
    def _write(text: str) -> None:
        click.echo(text)
        sys.stdout.flush()


def _named(name: str, line: str) -> str:
    """The line as a JSON object with its process."""
    try:
        said = json.loads(line)
    except ValueError:
        said = None
    members = {"process": name, **said} if isinstance(said, dict) else {"process": name, "event": line}
    return json.dumps(members, separators=(",", ":"), ensure_ascii=False)
