"""`make chaos` in short: every kind of fault once or twice, against the real processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from chaos.faults import FAULTS

ROOT = Path(__file__).parents[2]


def start(report: Path, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "chaos"],
        cwd=ROOT,
        env={**os.environ, "STEPS": "0", "REPORT": str(report), "TMPDIR": str(report.parent), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.mark.timeout(600)  # about a minute; on a machine that is busy with other tests, several
def test_nothing_is_lost_and_nothing_is_double_under_every_kind_of_fault(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    run = start(report, SEED="44", FAULTS=str(len(FAULTS)))
    said, _ = run.communicate()
    assert report.exists(), said
    figures: dict[str, Any] = json.loads(report.read_text())
    assert figures["problems"] == [], said
    assert run.returncode == 0
    assert [figures[name] for name in ("lost", "double", "wrong", "differences of the audit")] == [0, 0, 0, 0]
    assert figures["faults"] == {fault.name: 1 for fault in FAULTS}
    assert figures["acknowledged"] == sum(figures["ended"].values()) > 0
    assert figures["answers spoilt"] > 0
    assert figures["answers"]["503"] > 0
    assert sum(figures["stale results refused"].values()) > 0
    assert figures["overtaken attempts checked"] > 0
    assert list(tmp_path.glob("farebox-chaos-*")) == []


@pytest.mark.timeout(300)
def test_a_run_that_is_interrupted_leaves_nothing_running(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    run = start(tmp_path / "report.json", MINUTES="10")
    assert run.stdout is not None
    request.addfinalizer(run.kill)
    assert "chaos: SEED=1" in run.stdout.readline()
    while not list(tmp_path.glob("farebox-chaos-*/ledger/redis")):
        assert run.poll() is None
        time.sleep(0.05)
    run.send_signal(signal.SIGINT)
    said, _ = run.communicate()
    assert run.returncode == 130, said
    assert "Everything that it started has ended." in said
    assert list(tmp_path.glob("farebox-chaos-*")) == []
    running = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/environ") if _readable(path)]
    assert not [environment for environment in running if str(tmp_path).encode() in environment]


def _readable(path: Path) -> bool:
    try:
        return bool(path.read_bytes()) and int(path.parent.name) != os.getpid()
    except OSError:
        return False
