"""The same for what is earned and what it costs: a count that is forgotten, made twice or not taken back is noticed."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from gateway.domain import Cost
from tests.invariants.model.life import Model
from tests.invariants.patched import Mutant
from tests.invariants.scenes import Arguments, Moves
from tests.invariants.teams import MOVES
from tests.invariants.test_mutants import check_is_caught

_WEIGHTS = {
    "reserve": 12, "begin": 10, "deliver": 14, "settle": 10, "cancel": 4, "adjust_generation": 6, "grant": 3,
    "advance": 3, "pass_time": 2, "subscribe": 2, "change": 1, "check_out": 2, "pay": 3, "publish": 1,
}  # fmt: skip


def book_loss(model: Model, dice: Random) -> Arguments:
    """Of any generation, and sometimes twice of the same job."""
    everything = list(model.generations.values())
    if not everything:
        return None
    g = dice.choice(everything)
    lost = [Cost(g.provider, dice.choice((7, 1_001))), Cost("another", None, 5)]
    return {"generation": g.id, "job": dice.choice(("job-1", "job-2")), "lost": lost}


EARNED: Moves = {name: (weight, MOVES[name][1]) for name, weight in _WEIGHTS.items()} | {"book_loss": (2, book_loss)}

MUTANTS = [
    Mutant("an ending is not counted", "margin.add(p, plan.day, plan.margin)", ""),
    Mutant(
        "an ending is counted twice",
        "margin.add(p, plan.day, plan.margin)",
        "margin.add(p, plan.day, plan.margin) margin.add(p, plan.day, plan.margin)",
    ),
    Mutant(
        "what is given back is still earned", '"given_back_on", day)\nmargin.add(p, day, rows)', '"given_back_on", day)'
    ),
    Mutant(
        "what is given back is no loss",
        "local lost = amounts.share(costs.cost, given, committed)",
        "local lost = 0",
    ),
    Mutant(
        "what is refunded is earned", "if share.kept > 0 then", "if share.amount > 0 then share.kept = share.amount"
    ),
    Mutant(
        "what was paid for a purchase is forgotten",
        "worth.set(a, grant, worth.of_purchase(f.price, tonumber(f.credits)))\n  f.grant",
        "f.grant",
    ),
    Mutant(
        "a row forgets what was in it",
        "return added ~= 0 and amounts.text(number + added) or nil",
        "return amounts.text(added)",
    ),
    Mutant("what was paid for a grant is forgotten", 'if paid ~= "" then worth.set', "if false then worth.set"),
    Mutant(
        "a generation forgets what its credits were worth",
        'if stored then fields[#fields + 1], fields[#fields + 2] = "worth", table.concat(worths, ",") end',
        "",
    ),
    Mutant(
        "a plan's credits are worth what the card says at each cycle",
        "if not f.paid_worth or math.fmod(cycle, months) == 0 then",
        "if true then",
    ),
    Mutant(
        "refunds of different worth merge",
        "if same and worth.of(a, grant) == share.worth then",
        "if same then",
        rare=True,
    ),
    Mutant("a reported cost does not count", "local cost = reported or assumed or 0", "local cost = assumed or 0"),
    Mutant(
        "what an attempt lost costs nothing",
        'for text in string.gmatch(g.lost or "", "[^;]+") do',
        'for text in string.gmatch("", "x") do',
    ),
    Mutant("a later attempt forgets what the one before lost", '(g.lost and g.lost .. ";" or "") .. lost', "lost"),
    Mutant("a late job is booked twice", 'if g["late:" .. job] then return {"booked"} end', ""),
    Mutant(
        "a cost that cannot be divided is rounded away",
        "part[index] = position == #list and left[index] or amounts.share",
        "part[index] = amounts.share",
    ),
]


@pytest.mark.parametrize(
    "mutant",
    [
        pytest.param(one, id=one.fault.replace(" ", "-"), marks=[pytest.mark.long] if one.rare else [])
        for one in MUTANTS
    ],
)
def test_a_mutant_is_caught(mutant: Mutant, tmp_path: Path) -> None:
    check_is_caught(mutant, tmp_path, EARNED)
