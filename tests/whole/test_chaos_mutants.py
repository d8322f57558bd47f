"""Would chaos notice? Farebox with one line made wrong does not pass a short run, and the report says what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from chaos.mutants import MUTANTS, Mutant, mutated
from tests.whole.chaos_runs import figures_of, start


@pytest.mark.timeout(400)  # ten seconds; on a machine that is busy with other tests, more
@pytest.mark.parametrize("name", MUTANTS)
def test_a_short_run_notices(name: str, tmp_path: Path) -> None:
    mutant, report = MUTANTS[name], tmp_path / "report.json"
    run = start(report, "--mutant", name, SHORT="1", ONLY=mutant.only, SEED="44")
    figures, said = figures_of(run, report)
    assert run.returncode == 1, said
    assert [problem for problem in figures["problems"] if mutant.noticed in problem], said


def test_a_mutant_whose_text_is_gone_is_no_mutant(tmp_path: Path) -> None:
    gone = Mutant("gateway/app.py", "there is no such text", "", "clocks", "nothing")
    with pytest.raises(ValueError, match="0 times, not once"):
        mutated(gone, tmp_path / "copy")
