"""The file of `make chaos TOPOLOGY=… RESULTS=…`: what a run goes on from, and what many rounds come to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from chaos.failovers.results import Results, summary

COUNTS = ("requests", "acknowledged", "slots moved", "outputs downloaded", "attempts", "journal entries")
FAULTS = ("lost", "double", "wrong", "differences of the audit")


def figures(seed: int, failovers: int, seconds: list[float], *problems: str) -> dict[str, Any]:
    return {
        **dict.fromkeys(COUNTS, 10),
        **dict.fromkeys(FAULTS, 0),
        "seed": seed,
        "failovers": failovers,
        "failovers by fault": {"kill -9 a master": failovers - 1, "move slots": 1},
        "faults": {"kill -9 a master": failovers},
        "answers": {"202": 5, "503": seed},
        "audits meanwhile": {"clean": 1},
        "rescues": {},
        "errors logged": {},
        "times": {"kill -9 a master": seconds},
        "problems": list(problems),
    }


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Two rounds of a cluster, one of them wrong; one of Sentinels; one that waited for no replicas."""
    path = tmp_path / "results.jsonl"
    cluster = Results(path, "cluster", 1)
    cluster.add(figures(1, 25, [3.0, 5.0]))
    cluster.add(figures(2, 25, [9.0], "a grant is missing"))
    Results(path, "sentinel", 1).add(figures(1, 7, [4.0]))
    Results(path, "cluster", 0).add(figures(1, 9, [2.0]))
    return path


def test_a_run_that_was_cut_off_goes_on_with_what_its_file_has(file: Path) -> None:
    results = Results(file, "cluster", 1)
    assert (results.rounds, results.failovers) == (2, 25)
    results.add(figures(3, 20, [1.0]))
    assert Results(file, "cluster", 1).failovers == 45
    assert [Results(file, *which).failovers for which in (("sentinel", 1), ("cluster", 0))] == [7, 9]


def test_a_round_that_went_wrong_counts_for_nothing_and_is_not_forgotten(file: Path) -> None:
    (wrong,) = Results(file, "cluster", 1).wrong
    assert (wrong["seed"], wrong["problems"]) == (2, ["a grant is missing"])


def test_the_figures_of_rounds_are_added_up() -> None:
    said = summary([figures(1, 25, [3.0, 5.0]), figures(2, 20, [1.0])])
    assert said["failovers"] == "45"
    assert said["failovers by fault"] == "kill -9 a master: 43, move slots: 2"
    assert said["answers"] == "202: 10, 503: 3"
    assert [said[name] for name in (*COUNTS, *FAULTS)] == ["20"] * len(COUNTS) + ["0"] * len(FAULTS)
    assert said["accepted again after: kill -9 a master"] == "median 3.0, worst 5.0 (3 times)"
    assert said["accepted again after: all"] == said["accepted again after: kill -9 a master"]
