"""The links between pages: each leads to a file that is there, and to a heading of it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

_LINK = re.compile(r"\]\(([^)#\s]*)(?:#([^)\s]+))?\)")
_HEADING = re.compile(r"^#{1,6} (.+)$", re.MULTILINE)
_BLOCK = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def dead_links(folder: Path, pages: list[Path]) -> Iterator[str]:
    """Each link of the pages that leads nowhere in the folder, with its page."""
    for page in pages:
        for target, heading in _LINK.findall(_BLOCK.sub("", page.read_text())):
            if target.partition(":")[0] in {"http", "https", "mailto"}:
                continue
            file = (page.parent / target).resolve() if target else page
            name = f"{page.relative_to(folder)}: {target}#{heading}"
            if not file.is_relative_to(folder.resolve()) or not file.exists():
                yield f"{name}: no such file"
            elif heading and heading not in set(_anchors(file)):
                yield f"{name}: no such heading"


def _anchors(page: Path) -> Iterator[str]:
    """What GitHub calls the headings of a page."""
    for heading in _HEADING.findall(_BLOCK.sub("", page.read_text())):
        yield re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
