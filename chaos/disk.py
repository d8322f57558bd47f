"""The disks of the outputs and of the ledger, made so that they can be full.

A small file system of its own for each (tmpfs) where one can be mounted; else those who write there may write no more
files (RLIMIT_FSIZE), which fails their writes too. The report says which way it was.
"""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

SIZE_MIB = 256
_INSIDE = "CHAOS_NAMESPACE"
_CHUNKS_BYTES = (1 << 20, 1 << 12)


def enter_namespace() -> None:
    """Go on in a mount namespace of our own, where we may mount and which ends with us; if that cannot be, stay."""
    unshare = shutil.which("unshare")
    if _INSIDE in os.environ or unshare is None:
        return
    options = ["-m"] if os.geteuid() == 0 else ["-r", "-m"]
    if subprocess.run([unshare, *options, "true"], capture_output=True, check=False).returncode == 0:
        os.execve(  # noqa: S606 - ourselves again
            unshare, [unshare, *options, sys.executable, "-m", "chaos", *sys.argv[1:]], {**os.environ, _INSIDE: "1"}
        )


@dataclass(slots=True)
class Disk:
    """One directory. `writers` gives the processes that write there."""

    directory: Path
    writers: Callable[[], Iterable[int]]
    mounted: bool = False

    @property
    def how(self) -> str:
        """How the disk is filled."""
        if self.mounted:
            return f"a tmpfs of {SIZE_MIB} MiB without room"
        return "RLIMIT_FSIZE 0 ON WHO WRITES THERE, for no tmpfs can be mounted here"

    def open(self) -> None:
        """Make the directory, on a file system of its own if we may."""
        self.directory.mkdir(parents=True)
        if _INSIDE in os.environ:
            mount = [
                shutil.which("mount") or "mount",
                "-t",
                "tmpfs",
                "-o",
                f"size={SIZE_MIB}m",
                "none",
                str(self.directory),
            ]
            self.mounted = subprocess.run(mount, capture_output=True, check=False).returncode == 0

    def close(self) -> None:
        """Unmount it, so that the folder can be deleted."""
        if self.mounted:
            umount = shutil.which("umount") or "umount"
            subprocess.run([umount, "--lazy", str(self.directory)], capture_output=True, check=False)

    def fill(self) -> None:
        """Leave no room. Without a file system of our own, call it again for workers that started since."""
        if not self.mounted:
            self._limit(0)
            return
        with (self.directory / "ballast").open("ab", buffering=0) as ballast:
            for size in _CHUNKS_BYTES:
                with contextlib.suppress(OSError):
                    while True:
                        ballast.write(b"\0" * size)

    def free(self) -> None:
        """Make room again."""
        if self.mounted:
            (self.directory / "ballast").unlink(missing_ok=True)
        else:
            self._limit(resource.RLIM_INFINITY)

    def _limit(self, size: int) -> None:
        for pid in self.writers():
            with contextlib.suppress(ProcessLookupError):
                hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)[1]
                resource.prlimit(pid, resource.RLIMIT_FSIZE, (size if size == 0 else hard, hard))
