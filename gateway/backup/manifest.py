"""A backup's manifest: its files, and how to verify them."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath

from gateway.errors import BackupFailed

NAME = "manifest.json"
FORMAT = 1
_CHUNK_BYTES = 1 << 20

Progress = Callable[[int], None]
"""Called with the number of further bytes processed."""


@dataclass(frozen=True, slots=True)
class ManifestFile:
    """One file, by its path in the backup."""

    path: str
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """A backup's manifest. `signing_key_mark` is the signing key's fingerprint; `left_out`: what is not included."""

    farebox: str
    made_at: str
    schema_version: int
    redis: str | None
    signing_key_mark: str
    rate_card: str
    rate_card_time_ns: int
    left_out: list[str]
    files: list[ManifestFile] = field(default_factory=list)
    format: int = FORMAT

    @property
    def size(self) -> int:
        """The total size of all files, in bytes."""
        return sum(entry.bytes for entry in self.files)

    @property
    def has_ledger(self) -> bool:
        """Whether it includes the ledger."""
        return self.redis is not None

    def write(self, folder: Path) -> None:
        """Write it into `folder`."""
        with (folder / NAME).open("w") as file:
            file.write(json.dumps(asdict(self), indent=1) + "\n")
            file.flush()
            os.fsync(file.fileno())  # before the folder is renamed: from then on it must be complete

    @classmethod
    def read(cls, folder: Path) -> Manifest:
        """The manifest of the backup in `folder`; BackupFailed if it has none that this version can read."""
        path = folder / NAME
        try:
            known = json.loads(path.read_text())
            if known["format"] != FORMAT:
                raise BackupFailed(
                    f"{path} has format {known['format']}, but this Farebox reads format {FORMAT}: use a newer version"
                )
            files = [ManifestFile(**entry) for entry in known.pop("files")]
            found = cls(**known, files=files)
        except OSError as error:
            raise BackupFailed(f"{folder} is not a backup: {NAME}: {error.strerror or error}") from None
        except (ValueError, TypeError, KeyError) as error:
            raise BackupFailed(f"{path} cannot be read: {type(error).__name__}: {error}") from None
        for entry in files:
            _check_path(entry.path)
        return found


def faults(folder: Path, manifest: Manifest, progress: Progress) -> Iterator[str]:
    """How the files differ from the manifest, one sentence per file."""
    for entry in manifest.files:
        path = folder / entry.path
        try:
            size, digest = digest_of(path, progress)
        except OSError as error:
            yield f"{entry.path}: {error.strerror or error}"
            continue
        if size != entry.bytes:
            yield f"{entry.path}: has {size:,} bytes, not {entry.bytes:,}"
        elif digest != entry.sha256:
            yield f"{entry.path}: its SHA-256 is {digest}, not {entry.sha256}"


def digest_of(path: Path, progress: Progress) -> tuple[int, str]:
    """Size and SHA-256 of a file."""
    size, digest = 0, hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_CHUNK_BYTES):
            digest.update(piece)
            size += len(piece)
            progress(len(piece))
    return size, digest.hexdigest()


def _check_path(text: str) -> None:
    path = PurePosixPath(text)
    if path.is_absolute() or ".." in path.parts or not path.parts:
        raise BackupFailed(f"the manifest names {text!r}, which is outside the backup")
