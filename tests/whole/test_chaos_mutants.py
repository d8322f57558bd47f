"""Would chaos notice? Farebox with lines made wrong does not pass a short run, and the report says what is wrong.

Those that are met by different stories, or are told apart by what the run says, are wrong in the same run: starting all
of Farebox seven times was a tenth of the suite. `python -m chaos --mutant "…"` runs one alone.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from chaos.mutants import MUTANTS, Mutant, mutated
from tests.whole.chaos_runs import figures_of, start

TOGETHER = {
    "clocks": [name for name, mutant in MUTANTS.items() if mutant.only == "clocks"],
    "the rest": [name for name, mutant in MUTANTS.items() if mutant.only != "clocks"],
}


@pytest.mark.long
@pytest.mark.timeout(400)  # ten seconds; on a machine that is busy with other tests, more
@pytest.mark.parametrize("names", TOGETHER.values(), ids=TOGETHER)
def test_a_short_run_notices_each(names: list[str], tmp_path: Path) -> None:
    mutants, report = [MUTANTS[name] for name in names], tmp_path / "report.json"
    chosen = [argument for name in names for argument in ("--mutant", name)]
    run = start(report, *chosen, SHORT="1", ONLY=",".join(sorted({mutant.only for mutant in mutants})), SEED="44")
    figures, said = figures_of(run, report)
    assert run.returncode == 1, said
    noticed = [mutant.noticed for mutant in mutants if any(mutant.noticed in each for each in figures["problems"])]
    assert noticed == [mutant.noticed for mutant in mutants], said


@pytest.mark.parametrize("names", TOGETHER.values(), ids=TOGETHER)
def test_mutants_that_run_together_are_distinguished(names: list[str]) -> None:
    assert len({MUTANTS[name].noticed for name in names}) == len(names)


def test_each_mutant_still_finds_its_line(tmp_path: Path) -> None:
    mutated(MUTANTS.values(), tmp_path / "copy")


def test_a_mutant_whose_text_is_gone_is_no_mutant(tmp_path: Path) -> None:
    gone = Mutant("gateway/app.py", "there is no such text", "", "clocks", "nothing")
    with pytest.raises(ValueError, match="0 times, not once"):
        mutated([gone], tmp_path / "copy")
