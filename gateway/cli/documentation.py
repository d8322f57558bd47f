"""Where the pages of `docs/` are on this machine: a wheel carries them, for who has no clone to read them in."""

from __future__ import annotations

from pathlib import Path


def docs_folder() -> Path:
    """The folder with the pages. A wheel has it as `gateway/docs`; a clone has it beside `gateway/`."""
    package = Path(__file__).parent.parent
    packaged = package / "docs"
    return packaged if packaged.is_dir() else package.parent / "docs"
