"""`make chaos` as a process, for the tests of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


def start(report: Path, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    """Begin a run without the model's steps; everything that it makes is beside `report`."""
    return subprocess.Popen(
        [sys.executable, "-m", "chaos", *arguments],
        cwd=ROOT,
        env={**os.environ, "STEPS": "0", "REPORT": str(report), "TMPDIR": str(report.parent), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def figures_of(run: subprocess.Popen[str], report: Path) -> tuple[dict[str, Any], str]:
    """Wait for its end: the figures, and what it said."""
    said, _ = run.communicate()
    assert report.exists(), said
    figures: dict[str, Any] = json.loads(report.read_text())
    return figures, said
