"""`make chaos`: Ctrl-C, and in a long run its short form, which CI runs by itself, and every kind of fault."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from chaos.checks import SUBJECTS
from chaos.faults import FAULTS, QUICK
from chaos.processes import FAREBOX
from tests.whole.chaos_runs import ROOT, figures_of, start


@pytest.mark.long
@pytest.mark.timeout(900)  # three minutes; on a machine that is busy with other tests, more
def test_nothing_is_lost_and_nothing_is_double_under_every_kind_of_fault(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    run = start(report, SEED="44", FAULTS=str(len(FAULTS)))
    figures, said = figures_of(run, report)
    assert figures["problems"] == [], said
    assert run.returncode == 0
    assert [figures[name] for name in ("lost", "double", "wrong", "differences of the audit")] == [0, 0, 0, 0]
    assert figures["faults"] == {fault.name: 1 for fault in FAULTS}
    assert figures["acknowledged"] == sum(figures["ended"].values()) > 0
    assert figures["answers spoilt"] > 0
    assert figures["answers"]["503"] > 0
    assert sum(figures["stale results refused"].values()) > 0
    assert figures["overtaken attempts checked"] > 0
    assert not set(SUBJECTS) - {subject for subject, times in figures["checked"].items() if times}
    assert list(tmp_path.glob("farebox-chaos-*")) == []


@pytest.mark.long
@pytest.mark.timeout(400)  # half a minute
def test_the_short_form_checks_everything_too(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    run = start(report, SEED="44", SHORT="1")
    figures, said = figures_of(run, report)
    assert figures["problems"] == [], said
    assert run.returncode == 0
    assert {name for name, times in figures["faults"].items() if times} == {fault.name for fault in QUICK}
    assert not set(SUBJECTS) - {subject for subject, times in figures["checked"].items() if times}
    assert list(tmp_path.glob("farebox-chaos-*")) == []


@pytest.mark.long
@pytest.mark.timeout(900)  # four minutes
def test_an_upgrade_replaces_every_process_there_and_back_and_loses_nothing(tmp_path: Path) -> None:
    """From this version to itself: what is proved is that the run upgrades, and that it counts."""
    report = tmp_path / "report.json"
    run = start(report, UPGRADE_FROM=str(ROOT))
    figures, said = figures_of(run, report)
    assert figures["problems"] == [], said
    assert run.returncode == 0
    replaced = figures["replaced, and what was open then"]
    assert set(replaced) == {f"{name} by {version}" for name in FAREBOX for version in ("old", "new")}
    assert all(replaced.values())
    assert figures["acknowledged"] == sum(figures["ended"].values()) > 0


def test_a_version_that_cannot_be_had_is_named(tmp_path: Path) -> None:
    run = start(tmp_path / "report.json", UPGRADE_FROM="no-such-commit")
    said, _ = run.communicate()
    assert (run.returncode, "no-such-commit" in said) == (2, True), said
    assert list(tmp_path.glob("farebox-chaos-*")) == []


@pytest.mark.timeout(300)
def test_a_run_that_is_interrupted_leaves_nothing_running(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    run = start(tmp_path / "report.json", MINUTES="10")
    assert run.stdout is not None
    request.addfinalizer(run.kill)
    assert "chaos: SEED=1" in run.stdout.readline()
    while not list(tmp_path.glob("farebox-chaos-*/queue/redis")):
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
