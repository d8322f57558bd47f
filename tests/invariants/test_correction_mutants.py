"""The same for what a client token may spend, and for what operators give back, with moves that are about those."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.invariants.patched import Mutant
from tests.invariants.scenes import Moves
from tests.invariants.teams import MOVES
from tests.invariants.test_mutants import check_is_caught

_WEIGHTS = {
    "reserve": 10, "begin": 10, "deliver": 12, "settle": 10, "cancel": 2, "adjust_generation": 6, "add_token": 3,
    "grant": 3, "advance": 2, "subscribe": 1, "check_out": 1, "pay": 2, "take_back": 2,
}  # fmt: skip
CORRECTED: Moves = {name: (weight, MOVES[name][1]) for name, weight in _WEIGHTS.items()}

MUTANTS = [
    Mutant(
        "the ceiling of a token is not looked at",
        "if tonumber(spent) + price <= tonumber(limit) then return nil end",
        "if true then return nil end",
    ),
    Mutant(
        "the last generation of a token may be as large as it likes",
        "if tonumber(spent) + price <= tonumber(limit) then return nil end",
        "if tonumber(spent) <= tonumber(limit) then return nil end",
    ),
    Mutant(
        "what a token reserves is not counted",
        "tokens.spend(a.id, token, price)",
        "",
    ),
    Mutant(
        "a refund makes no room for its token",
        "tokens.spend(a.id, g.token, plan.committed - plan.price)",
        "",
    ),
    Mutant(
        "what is given back makes no room for its token",
        "tokens.spend(a.id, g.token, -given)",
        "",
    ),
    Mutant(
        "a token that is added again begins at nothing",
        'redis.call("HSETNX", key, "spent", "0")',
        'redis.call("HSET", key, "spent", "0")',
    ),
    Mutant(
        "a charge is given back twice",
        'if g.given_back then return {"refused", "given_back"} end',
        "",
    ),
    Mutant(
        "the same correction sent again is another",
        "if g.given_back_by == operation then",
        "if false then",
    ),
    Mutant(
        "the price is given back and not the charge",
        "local left = tonumber(g.committed or 0)",
        "local left = tonumber(g.committed and g.price or 0)",
    ),
    Mutant(
        "what is given back makes no room in the limits",
        "limits.give_back(a, g, given)",
        "",
    ),
    Mutant(
        "a correction is missing from the receipt",
        r'"entries", g.entries .. "\n" .. entry,',
        '"entries", g.entries,',
    ),
    Mutant(
        "what is given back of free credits stays for ever",
        'local expires = bucket == "f" and a.resets_at or nil',
        "local expires = nil",
    ),
]


@pytest.mark.parametrize("mutant", [pytest.param(one, id=one.fault.replace(" ", "-")) for one in MUTANTS])
def test_a_mutant_is_caught(mutant: Mutant, tmp_path: Path) -> None:
    check_is_caught(mutant, tmp_path, CORRECTED)
