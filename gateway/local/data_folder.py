"""Keeps the data folder private to its owner: it contains prompts, emails and keys.

Processes that write there start with a umask (`take`), because Redis and the object store create files by themselves.
And files that an earlier version left readable are closed once, by name: only entries that Farebox itself creates are
touched, because FAREBOX_DATA may be a folder with other contents, even `/` or a home directory.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import structlog

FOLDER_MODE = 0o700
FILE_MODE = 0o600
UMASK = 0o077

_SECRETS = frozenset({"admin-key", "signing-key"})
_FILES = _SECRETS | {"lock"}
_TREES = frozenset({"redis", "outputs"})
_CLOSED = "closed"  # an empty file: everything from earlier versions has been closed
_OURS = _FILES | _TREES | {_CLOSED, "demo", "rate-card", "lost+found"}
_BESIDE = (".sock", ".log", ".toml")  # our sockets, and files that people put beside ours
_OPEN_TO_OTHERS = 0o077
_WRITABLE_BY_OTHERS = 0o022
_ENTRIES_MAX = 1_000_000  # a start waits for this: some 4 s

log = structlog.get_logger(__name__)


def make(folder: Path) -> None:
    """Create the folder, for its owner only, if it is missing; its parents get the umask's permissions."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=FOLDER_MODE)


def take(folder: Path) -> int:
    """Create and close the data folder for a process that writes there; returns its previous umask.

    Everything the process and its children create from now on is for its owner only.
    """
    before = os.umask(UMASK)
    try:
        make(folder)
        _close_folder(folder)
    except OSError as error:  # not writable: fine for a gateway with its secrets in the environment
        log.info("data_folder_unusable", folder=str(folder), error=error.strerror)
        return before
    if not (folder / _CLOSED).exists():
        _close_contents(folder)
    return before


def _close_folder(folder: Path) -> None:
    """Close the folder itself if it is ours alone; else warn that it is open."""
    found = folder.stat()
    if not found.st_mode & _OPEN_TO_OTHERS:
        return
    if found.st_uid == os.geteuid() and _is_for_farebox_only(folder):
        folder.chmod(FOLDER_MODE)
        return
    log.warning(
        "DATA_FOLDER_OPEN",
        folder=str(folder.resolve()),
        mode=f"{stat.S_IMODE(found.st_mode):04o}",
        writable_by_others=bool(found.st_mode & _WRITABLE_BY_OTHERS),
        fix="set FAREBOX_DATA to a dedicated folder owned by the user that runs Farebox, with mode 0700",
    )


def _is_for_farebox_only(folder: Path) -> bool:
    place = folder.resolve()
    if place in {place.parent, _home()}:
        return False
    with os.scandir(place) as entries:
        return all(one.name in _OURS or one.name.endswith(_BESIDE) for one in entries)


def _home() -> Path | None:
    """This user's home; None in a container, whose user has no name and no home."""
    try:
        return Path.home().resolve()
    except RuntimeError:
        return None


def _close_contents(folder: Path) -> None:
    closing = _Closing()
    for name in sorted(_FILES):
        closing.close(folder, name)
    for name in sorted(_TREES):
        if (folder / name).is_dir() and not (folder / name).is_symlink():
            closing.close_tree(folder / name)
    if closing.left_open:
        log.warning("DATA_LEFT_OPEN", folder=str(folder.resolve()), entries=closing.left_open, fix="chmod -R go= there")
    elif closing.seen <= _ENTRIES_MAX:
        with contextlib.suppress(FileExistsError, OSError):
            (folder / _CLOSED).touch(mode=FILE_MODE, exist_ok=False)


class _Closing:
    """Removes others' permissions, entry by entry, and never follows a link."""

    def __init__(self) -> None:
        self.seen = 0
        self.left_open = 0

    def close_tree(self, top: Path) -> None:
        """Close a folder and everything below it."""
        for directory, _, files, descriptor in self._walk(top):
            if os.fstat(descriptor).st_mode & _OPEN_TO_OTHERS:
                self._change(directory, descriptor, FOLDER_MODE)
            for name in files:
                self.close(Path(directory), name, descriptor)

    def close(self, directory: Path, name: str, descriptor: int | None = None) -> None:
        """Close one file; ignores links, other kinds of entries, and missing ones."""
        self.seen += 1
        place: Path | str = name if descriptor is not None else directory / name
        try:
            found = os.stat(place, dir_fd=descriptor, follow_symlinks=False)
            if not stat.S_ISREG(found.st_mode) or not found.st_mode & _OPEN_TO_OTHERS:
                return
            opened = os.open(place, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=descriptor)
        except FileNotFoundError:
            return
        except OSError:
            self.left_open += 1
            return
        try:
            if stat.S_ISREG(os.fstat(opened).st_mode):  # it may have been replaced by now
                self._change(str(directory / name), opened, FILE_MODE)
        finally:
            os.close(opened)

    def _walk(self, top: Path) -> Iterator[tuple[str, list[str], list[str], int]]:
        for step in os.fwalk(top, follow_symlinks=False):
            yield step
            self.seen += 1
            if self.seen > _ENTRIES_MAX:
                return

    def _change(self, path: str, descriptor: int, mode: int) -> None:
        try:
            os.fchmod(descriptor, mode)
        except OSError as error:
            self.left_open += 1
            log.debug("data_left_open", path=path, error=error.strerror)
