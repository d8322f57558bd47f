"""`make chaos TOPOLOGY=…`, in its short form: servers fail over under load, and nothing is lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.whole.chaos_runs import figures_of, start


@pytest.mark.long
@pytest.mark.timeout(600)  # less than a minute; on a machine that is busy with other tests, more
@pytest.mark.parametrize("topology", ["sentinel", "cluster"])
def test_nothing_that_was_acknowledged_is_lost_in_failovers(tmp_path: Path, topology: str) -> None:
    report = tmp_path / "report.json"
    run = start(report, SEED="44", SHORT="1", TOPOLOGY=topology)
    figures, said = figures_of(run, report)
    assert figures["problems"] == [], said
    assert run.returncode == 0
    assert [figures[name] for name in ("lost", "double", "wrong", "differences of the audit")] == [0, 0, 0, 0]
    assert figures["failovers"] >= 3
    assert figures["acknowledged"] == sum(figures["ended"].values()) > 0
    assert list(tmp_path.glob("farebox-failovers-*")) == []
