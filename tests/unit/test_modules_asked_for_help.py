"""`python -m benchmarks` and `python -m chaos` take no arguments: asked for help they once ran for minutes instead."""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

import benchmarks.__main__ as bench

ROOT = Path(__file__).parents[2]
SECONDS = 60  # a run takes minutes; help, a start of Python


def asked(module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=ROOT,
        env={**os.environ, "COLUMNS": "150"},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


@pytest.mark.parametrize(
    ("module", "option", "settings"),
    [
        ("benchmarks", "-h", ["QUICK=1", "ONLY="]),
        ("chaos", "--help", ["SEED=1", "MINUTES=7.5", "REPORT=path"]),
    ],
)
def test_help_says_what_can_be_set_and_runs_nothing(module: str, option: str, settings: list[str]) -> None:
    said = asked(module, option)
    assert (said.returncode, said.stderr) == (0, "")
    assert said.stdout.startswith(f"usage: python -m {module}")
    assert all(setting in said.stdout for setting in settings)


@pytest.mark.parametrize("module", ["benchmarks", "chaos"])
def test_what_it_does_not_know_is_refused(
    module: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", [module, "--quick"])
    monkeypatch.delitem(sys.modules, f"{module}.__main__", raising=False)  # as at a start, it is not imported yet
    with pytest.raises(SystemExit) as ended:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    said = capsys.readouterr()
    assert (ended.value.code, said.out) == (2, "")
    assert said.err.splitlines()[-1] == f"python -m {module}: error: unrecognized arguments: --quick"


def test_the_help_of_the_benchmark_names_each_of_its_subjects() -> None:
    assert bench.__doc__ is not None
    said = bench.__doc__.split()
    assert all(subject.name in said for subject in bench.SUBJECTS)
