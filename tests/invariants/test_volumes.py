"""Graduated prices against a model: a price holds for what was ordered this month, or nothing is reserved."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from gateway.domain import Volume
from tests.invariants import scenes
from tests.invariants.examples import open_stage, play, shortest
from tests.invariants.model.life import Model
from tests.invariants.patched import Mutant
from tests.invariants.scenes import MOVES, Arguments, Moves
from tests.invariants.stage import Difference, Stage
from tests.invariants.test_mutants import check_is_caught

EXAMPLES = 3

MUTANTS = [
    Mutant("a price holds for one order too many", "or ordered > (tonumber", "or ordered - 1 > (tonumber"),
    Mutant("a price holds for whoever ordered less", "if ordered < tonumber(least) or", "if"),
    Mutant("a new month goes on counting", 'if last and limits.together("monthly", last, day) then', "if last then"),
    Mutant("what is not delivered stays counted", "  volumes.give_back(a, g)\n", ""),
    Mutant("what was delivered is not counted", "(tonumber(g.outputs) - tonumber(g.delivered))", "tonumber(g.outputs)"),
    Mutant("last month's end counts this month", 'or not limits.together("monthly", tonumber(g.volume), last)', ""),
]


def reserve(model: Model, dice: Random) -> Arguments:
    """Mostly by the number that was ordered, or a range around it; sometimes by one that has moved."""
    chosen = scenes.reserve(model, dice)
    if not chosen or dice.random() < 0.1:
        return chosen
    account, request = chosen["account"], chosen["request"]
    day = model.today(model.rolled(account))
    ordered = max(0, model.ordered(account, request.model, day) + dice.choice((0, 0, 0, 0, -1, 1)))
    least = max(0, ordered - dice.choice((0, 0, 1)))
    return chosen | {"volume": Volume(least, dice.choice((None, ordered, ordered, ordered + 1)))}


_WEIGHTS = {
    "begin": 10, "deliver": 12, "settle": 10, "cancel": 6, "rescue": 4, "pass_time": 8, "advance": 6, "publish": 1,
    "grant": 3,
}  # fmt: skip
ORDERED: Moves = {name: (weight, MOVES[name][1]) for name, weight in _WEIGHTS.items()} | {"reserve": (24, reserve)}


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with open_stage(tmp_path) as opened:
        yield opened


def test_the_ledger_counts_what_was_ordered_as_the_model_does(stage: Stage) -> None:
    for example in range(EXAMPLES):
        try:
            play(stage, Random(f"volumes/{example}"), moves=ORDERED)
        except Difference as difference:
            raise shortest(stage, difference) from None
    assert stage.outcomes["reserve VolumeMoved"]
    assert stage.outcomes["reserve Reserved"]


@pytest.mark.parametrize("mutant", [pytest.param(one, id=one.fault.replace(" ", "-")) for one in MUTANTS])
def test_a_mutant_is_caught(mutant: Mutant, tmp_path: Path) -> None:
    check_is_caught(mutant, tmp_path, ORDERED)
