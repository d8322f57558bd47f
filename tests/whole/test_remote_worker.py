"""`make chaos REMOTE=`: a worker on a machine of its own, with nothing but HTTPS, cut off for longer than a lease."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.missing import not_run
from tests.whole.chaos_runs import start


@pytest.mark.long
@pytest.mark.timeout(900)  # three minutes
def test_cut_off_from_the_gateway_it_loses_nothing(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    run = start(report, REMOTE="30")
    said, _ = run.communicate()
    if run.returncode == 2:
        not_run(said)
    assert run.returncode == 0, said
    figures = json.loads(report.read_text())
    assert figures["problems"] == [], said
    assert figures["ended"] == {"succeeded": 30}
    assert figures["rescues"]["retried"] >= 30
    assert list(tmp_path.glob("farebox-remote-*")) == []
