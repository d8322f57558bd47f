"""Where the documentation is on this machine: a wheel includes it, for those without a clone.

The wheel has it in one folder, `gateway/manual`, laid out as in a clone, because pages link to each other and to files
beside the packages. `pyproject.toml` lists them.
"""

from __future__ import annotations

from pathlib import Path


def manual() -> Path:
    """The folder of the README, `docs/` and the other pages, with the paths of a clone."""
    package = Path(__file__).parents[1]
    packaged = package / "manual"
    return packaged if packaged.is_dir() else package.parent


def docs_folder() -> Path:
    """The folder with the pages of `docs/`."""
    return manual() / "docs"


def fields_page() -> Path:
    """The page that explains every field of a rate card."""
    return manual() / "gateway" / "pricing" / "README.md"
