"""A folder that is taken away and brought back under those who use it, as a shared file system that goes away does.

A file lies in its place meanwhile, so that nobody can make it anew. Who does so in the moment between loses nothing:
what was written there is put with the rest.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def taken_away(folder: Path) -> Iterator[None]:
    """Have no folder there inside of it, and all that was in it afterwards."""
    kept = folder.with_name(f"{folder.name}-away")
    folder.rename(kept)
    _place_file(folder, kept)
    try:
        yield
    finally:
        folder.unlink()
        _place_back(kept, folder)


def _place_file(folder: Path, kept: Path) -> None:
    while True:
        try:
            os.close(os.open(folder, os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            _collect(folder, kept)
        else:
            return


def _place_back(kept: Path, folder: Path) -> None:
    while True:
        try:
            kept.rename(folder)
        except OSError:
            _collect(folder, kept)
        else:
            return


def _collect(folder: Path, kept: Path) -> None:
    """Move what somebody has just made anew to the rest. What is not finished fails for its writer, who tries again."""
    aside = folder.with_name(f"{folder.name}-aside")
    folder.rename(aside)
    for path in aside.rglob("*"):
        if path.is_file():
            place = kept / path.relative_to(aside)
            place.parent.mkdir(parents=True, exist_ok=True)
            path.rename(place)
    shutil.rmtree(aside)
