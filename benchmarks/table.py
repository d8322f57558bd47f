"""The table that `make bench` prints."""

from __future__ import annotations

import platform
import statistics
from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from benchmarks.loaded import TOOL
from benchmarks.result import Result, Verdict

_STYLES = {Verdict.MET: "green", Verdict.NOISE: "yellow", Verdict.MISSED: "bold red", Verdict.SHOWN: ""}
_SMALL = 100


def table(results: Sequence[Result], *, quick: bool, seconds: float) -> RenderableType:
    """All rows, and below them what the columns mean."""
    title = f"{'QUICK: reported only, ' if quick else ''}{seconds:.0f} s"
    drawn = Table("what", "floor", "figure", "ratio", "noise", "target", "verdict", title=title)
    for result in results:
        low, high = result.noise
        drawn.add_row(
            result.what,
            f"{_number(statistics.median(result.floors))} {result.unit} {result.floor}" if result.floors else "",
            f"{_number(statistics.median(result.figures))} {result.unit}",
            _number(result.median) if result.floors else "",
            f"{_number(low)}–{_number(high)}" if len(result.values) > 1 else "",
            "" if result.target is None else str(result.target),
            Text(result.verdict, style=_STYLES[result.verdict]),
        )
    notes = [Text(f"{result.what}: {result.note}") for result in results if result.note]
    explained = Text(
        "Medians of alternating rounds; the ratio is that of figure and floor of the same round. Noise: the ratio "
        "without its best and its worst round. A row is MISSED when none of the rest meets the target. "
        f"Load: {TOOL}; open loops: benchmarks/load.py. Python {platform.python_version()}."
    )
    return Group(drawn, explained, *notes)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= _SMALL else f"{value:.3g}"
