"""Prints tables and text with markup, escaped like in `say.py`. Ruff forbids rich's `Console` elsewhere."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console, ConsoleOptions, RenderableType
from rich.markup import escape
from rich.segment import Segment
from rich.table import Table

from gateway.outside.visible import visible, visible_lines

_WIDEST = 10_000


class Terminal(Console):
    """Rich's console, which by itself drops only some control characters. Text may have its markup.

    Text from outside must go through `as_text`.
    """

    def __init__(self, *, stderr: bool = False, width: int | None = None) -> None:
        super().__init__(highlight=False, stderr=stderr, width=width)

    def print_whole(self, table: Table) -> None:
        """Print a table at its full width: a wrapped or cut id cannot be copied or searched for."""
        wanted = self.measure(table, options=self.options.update(width=_WIDEST)).maximum
        Terminal(stderr=self.stderr, width=max(self.width, wanted)).print(table)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Escape control characters. Rich's own control sequences are kept."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(visible_lines(segment.text), segment.style)


def as_text(text: str) -> str:
    """Text from outside for a `Terminal`: on one line, with brackets escaped."""
    return escape(visible(text))
