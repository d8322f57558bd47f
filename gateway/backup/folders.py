"""Creates folders atomically, with files that are fsynced."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

from gateway.backup.manifest import ManifestFile, Progress
from gateway.errors import BackupFailed
from gateway.local import data_folder

_CHUNK_BYTES = 1 << 20


@contextlib.contextmanager
def made_whole(place: Path) -> Iterator[Path]:
    """A temporary folder to fill, renamed to `place` at the end; on an error or Ctrl-C it is removed.

    BackupFailed if `place` already exists, unless it is an empty folder.
    """
    check_free(place)
    place.parent.mkdir(parents=True, exist_ok=True)
    half = place.with_name(f".{place.name}.half-made-{secrets.token_hex(4)}")
    half.mkdir(mode=data_folder.FOLDER_MODE)
    try:
        yield half
        _sync(half)
        try:
            half.rename(place)  # replaces an empty folder; fails on any other
        except OSError as error:
            raise BackupFailed(f"{place}: {error.strerror}; nothing was changed") from None
        _sync(place.parent)
    finally:
        shutil.rmtree(half, ignore_errors=True)


def check_free(place: Path) -> None:
    """BackupFailed if `place` already exists."""
    if place.is_symlink() or (place.exists() and (not place.is_dir() or any(place.iterdir()))):
        raise BackupFailed(f"{place} already exists and is not overwritten: choose another folder, or move it away")


def write_file(path: Path, contents: bytes) -> None:
    """Write a file for its owner only, and fsync it."""
    make_folders(path.parent)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, data_folder.FILE_MODE), "wb") as file:
        file.write(contents)
        file.flush()
        os.fsync(file.fileno())


def copy_file(source: Path, path: Path, name: str, progress: Progress) -> ManifestFile:
    """Copy a file, for its owner only; returns its entry, as `name`."""
    make_folders(path.parent)
    size, digest = 0, hashlib.sha256()
    with source.open("rb") as read, os.fdopen(_new(path), "wb") as written:
        while piece := read.read(_CHUNK_BYTES):
            written.write(piece)
            digest.update(piece)
            size += len(piece)
            progress(len(piece))
        written.flush()
        os.fsync(written.fileno())
    return ManifestFile(name, size, digest.hexdigest())


def make_folders(folder: Path) -> None:
    """Create a folder and its parents, for their owner only."""
    if not folder.is_dir():
        make_folders(folder.parent)
        data_folder.make(folder)


def _new(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, data_folder.FILE_MODE)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
