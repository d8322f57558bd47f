"""The results as a page, `build/bench/index.html`, and its plots as files beside it: what a report can be made of."""

from __future__ import annotations

import html
import io
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console, RenderableType

from benchmarks.plot import Plot

FOLDER = Path("build/bench")
_STYLE = (
    "body{font:15px/1.5 system-ui;max-width:75rem;margin:2rem auto;padding:0 1rem}pre{overflow-x:auto}img{width:48%}"
)


def write(table: RenderableType, plots: Sequence[Plot]) -> Path:
    """Write the page; its path."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for plot in plots:
        (FOLDER / plot.name).write_text(plot.svg())
    drawn = io.StringIO()
    Console(file=drawn, width=150).print(table)
    about = f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, Python {platform.python_version()}, {platform.machine()}"
    images = "".join(f'<img src="{html.escape(plot.name)}" alt="{html.escape(plot.title)}">' for plot in plots)
    page = FOLDER / "index.html"
    page.write_text(
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Farebox benchmarks</title><style>{_STYLE}</style>'
        f"<h1>Farebox benchmarks</h1><p>{about}</p><pre>{html.escape(drawn.getvalue())}</pre>{images}</html>\n"
    )
    return page
