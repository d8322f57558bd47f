"""R36 against a model: nothing that is paused starts, its time stands still, and its hold stays or ends as always."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from gateway.domain import NewOnes, PauseKind
from tests.invariants.cards import HOUR, MINUTE
from tests.invariants.examples import open_stage, play, shortest
from tests.invariants.model.life import Model
from tests.invariants.model.pauses import PausingModel
from tests.invariants.patched import Mutant
from tests.invariants.scenes import MOVES, Arguments, Moves
from tests.invariants.stage import Difference, Stage
from tests.invariants.test_mutants import check_is_caught

EXAMPLES = 6

MUTANTS = [
    Mutant(
        "a paused one starts",
        'if paused then return {"paused", unpack(paused)} end\nif tonumber',
        "if tonumber",
    ),
    Mutant("what its provider has is held", 'if g.ref or g.state == "running" then return nil end', ""),
    Mutant(
        "the time of a paused one runs",
        "return over > now and over or over + paused_ms(g, from, now)",
        "return over",
    ),
    Mutant(
        "what is paused twice stands still twice",
        "paused, at = paused + ends - since, ends",
        "paused = paused + ends - since",
    ),
    Mutant(
        "a former pause is forgotten",
        "add(found[index], found[index + 1])",
        "add(found[index])",
    ),
    Mutant("a pause has no end", "if ends and now >= tonumber(ends) then return nil end", ""),
    Mutant(
        "a pause that lets wait hides one that refuses",
        'if each[index] and each[index][4] == "refuse" then return each[index] end',
        "if each[index] then return each[index] end",
    ),
    Mutant(
        "a paused account may order",
        "pauses.of(a.real, a.id, a.fields.pause, tool",
        "pauses.of(a.real, a.id, nil, tool",
    ),
    Mutant(
        "what waits in a paused account starts",
        'pauses.of(now, g.account, redis.call("HGET", keys.account(g.account), "pause"), g.tool',
        "pauses.of(now, g.account, nil, g.tool",
    ),
    Mutant("the time of a paused account runs", "add(own[1], own[2])", ""),
]


def pause(model: Model, dice: Random) -> Arguments:
    until = dice.choice((None, None, model.clock + dice.choice((MINUTE, HOUR))))
    return _named(dice) | {"reason": "", "new": dice.choice(list(NewOnes)), "until": until}


def end_pause(model: Model, dice: Random) -> Arguments:
    known = list(model.in_force) if isinstance(model, PausingModel) else []
    if not known:
        return None
    kind, name = dice.choice(known)
    return {"kind": PauseKind(kind), "name": name}


def _named(dice: Random) -> dict[str, PauseKind | str]:
    named = (("tool", "image"), ("model", "plain"), ("model", "fancy"), ("provider", "sandbox"), ("account", "ann"))
    kind, name = dice.choice(named)
    return {"kind": PauseKind(kind), "name": name}


_WEIGHTS = {
    "reserve": 8, "begin": 6, "note": 6, "hand_back": 6, "settle": 2, "cancel": 1, "dispatched": 6, "rescue": 24,
    "pass_time": 20, "wait_for_slot": 1,
}  # fmt: skip
PAUSED: Moves = {name: (weight, MOVES[name][1]) for name, weight in _WEIGHTS.items()} | {
    "pause": (4, pause), "end_pause": (5, end_pause),
}  # fmt: skip
"""What has to do with waiting."""


def pausing(stage: Stage) -> Stage:
    stage.model_of = PausingModel
    return stage


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with open_stage(tmp_path) as opened:
        yield pausing(opened)


def test_the_ledger_does_what_the_model_with_pauses_does(stage: Stage) -> None:
    for example in range(EXAMPLES):
        try:
            play(stage, Random(f"pause/{example}"), moves=PAUSED)
        except Difference as difference:
            raise shortest(stage, difference) from None
    assert stage.outcomes["begin Paused"]
    assert stage.outcomes["reserve Paused"]


@pytest.mark.parametrize("mutant", [pytest.param(one, id=one.fault.replace(" ", "-")) for one in MUTANTS])
def test_a_mutant_is_caught(mutant: Mutant, tmp_path: Path) -> None:
    check_is_caught(mutant, tmp_path, PAUSED, PausingModel)
