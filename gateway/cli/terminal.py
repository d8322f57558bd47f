"""Prints tables and text with markup, as `say.py` prints texts. Ruff refuses rich's `Console` elsewhere."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console, ConsoleOptions, RenderableType
from rich.markup import escape
from rich.segment import Segment
from rich.table import Table

from gateway.outside.visible import visible, visible_lines

_WIDEST = 10_000


class Terminal(Console):
    """Rich's console, which drops some control characters and passes on the others. Text may have its markup.

    Texts of others go through `as_text`.
    """

    def __init__(self, *, stderr: bool = False, width: int | None = None) -> None:
        super().__init__(highlight=False, stderr=stderr, width=width)

    def print_whole(self, table: Table) -> None:
        """Print a table as wide as it is: an id that is broken over lines, or cut, cannot be copied or searched for."""
        wanted = self.measure(table, options=self.options.update(width=_WIDEST)).maximum
        Terminal(stderr=self.stderr, width=max(self.width, wanted)).print(table)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """What is to be written, made visible. Rich's own control sequences are no text."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(visible_lines(segment.text), segment.style)


def as_text(text: str) -> str:
    """A text of others for a `Terminal`: on one line, and its brackets are no markup."""
    return escape(visible(text))
