"""Folders in memory for Redis servers that no test restarts: each write of theirs is synced, which costs CPU on a disk.

They are as durable as on a disk for whoever asks them, and for a server that is killed.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MEMORY = Path("/dev/shm")  # noqa: S108 - not for temporary files that others may guess: `mkdtemp` makes it ours
ENOUGH_BYTES = 2 * 1024**3  # a container may have 64 MB there; what is appended is rewritten at 128 MB
PREFIX = "farebox-tests-"


@contextmanager
def in_memory(otherwise: Path) -> Iterator[Path]:
    """A folder in memory, which ends with the block; or the one given, where there is little or none."""
    if not MEMORY.is_dir() or shutil.disk_usage(MEMORY).free < ENOUGH_BYTES:
        yield otherwise
        return
    for left in MEMORY.glob(f"{PREFIX}*"):  # by tests that were killed
        if not Path("/proc", left.name.removeprefix(PREFIX).partition("-")[0]).exists():
            shutil.rmtree(left, ignore_errors=True)
    made = tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-", dir=MEMORY)
    try:
        yield Path(made)
    finally:
        shutil.rmtree(made, ignore_errors=True)
