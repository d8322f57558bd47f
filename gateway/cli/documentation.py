"""Where the documentation is on this machine: a wheel carries its pages, for those who have no clone to read them in.

The wheel has them in one folder, `gateway/manual`, laid out as in a clone: the pages link to each other, and those of
`docs/` to what lies beside the packages. `pyproject.toml` lists them.
"""

from __future__ import annotations

from pathlib import Path


def manual() -> Path:
    """The folder that the README, `docs/` and the other pages are in, at the paths that a clone has them at."""
    package = Path(__file__).parents[1]
    packaged = package / "manual"
    return packaged if packaged.is_dir() else package.parent


def docs_folder() -> Path:
    """The folder with the pages of `docs/`."""
    return manual() / "docs"


def fields_page() -> Path:
    """The page that explains every field of a rate card."""
    return manual() / "gateway" / "pricing" / "README.md"
