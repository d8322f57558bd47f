"""Another version of Farebox: its commit in a folder of its own, with a .venv of its own."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from chaos.ending import Impossible
from chaos.processes import CARD

_ROOT = Path(__file__).parents[1]


@contextmanager
def checked_out(version: str, folder: Path) -> Iterator[Path]:
    """The Python that runs `version`: a commit, or the folder of a clone that was set up by `make .venv/.installed`.

    A commit is checked out into `folder` and installed there, which takes a minute; both are gone in the end.
    """
    if Path(version).is_dir():
        yield _usable(Path(version))
        return
    _run("git", "worktree", "add", "--detach", str(folder), version)
    try:
        _run("make", "--directory", str(folder), ".venv/.installed")
        yield _usable(folder)
    finally:
        _run("git", "worktree", "remove", "--force", str(folder))


def _usable(folder: Path) -> Path:
    """Its Python, if it loads the rate card of a run; else it cannot be run beside this version."""
    python = folder.resolve() / ".venv" / "bin" / "python"
    _run(str(python), "-P", "-m", "gateway", "pricing", "check", str(CARD))
    return python


def _run(*command: str) -> None:
    done = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Impossible(f"{' '.join(command)}: {(done.stderr + done.stdout).strip()}")
