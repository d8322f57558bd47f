"""R29: what an ended generation was charged by reported units, from its raw fields; and what its mutants do wrong."""

from __future__ import annotations

import math
from fractions import Fraction

from tests.invariants.patched import Mutant

MUTANTS = [
    Mutant(
        "what is not reported is free",
        "if not said then return unreported end",
        "if not said then return 0 end",
    ),
    Mutant(
        "a report above the ceiling is charged in full",
        'math.min(string.match(said, "^%d+$") and tonumber(said) or at_most, at_most)',
        '(string.match(said, "^%d+$") and tonumber(said) or at_most)',
    ),
    Mutant(
        "a report that is no amount is free",
        'string.match(said, "^%d+$") and tonumber(said) or at_most, at_most)',
        'string.match(said, "^%d+$") and tonumber(said) or 0, at_most)',
    ),
    Mutant(
        "outputs that were not delivered are charged for",
        'if g["output:" .. index] then total = total + counted',
        "if true then total = total + counted",
    ),
    Mutant(
        "what was used is rounded down",
        "local exact = whole + carry + ((kept > 0 or below > 0) and 1 or 0)",
        "local exact = whole + carry",
        rare=True,
    ),
    Mutant(
        "what is fixed is charged in full for a part of the outputs",
        "local whole, left = split(fixed * delivered, outputs)",
        "local whole, left = split(fixed * outputs, outputs)",
        rare=True,
    ),
    Mutant(
        "what was used may come to more than the delivered share",
        "return math.min(ceiling, exact)",
        "return exact",
    ),
    Mutant(
        "reported units are charged at their ceilings",
        "if g.meters then plan.committed, plan.charged = metering.charge(g, plan.committed) end",
        "",
    ),
    Mutant(
        "the last report stands",
        'if g["output:" .. index] then return {"noted"} end\n',
        'if g["output:" .. index] then redis.call("HSET", KEYS[1], "reported:" .. index, reported) end\n'
        'if g["output:" .. index] then return {"noted"} end\n',
    ),
]


def used(g: dict[str, str], delivered: list[str]) -> int:
    """R29: what the delivered outputs cost by what was reported of them; without reported units, all of the price."""
    if "charged" not in g:  # or a process of a version that did not know them ended it
        return int(g["price"])
    _, fixed, meters = g["meters"].split(";")
    total, counts = Fraction(fixed) * len(delivered) / int(g["outputs"]), []
    for meter in meters.split(","):
        unit, rate, at_most, unreported = meter.split(":")
        count = 0
        for name in delivered:
            reports = dict(pair.split(":") for pair in g.get(name.replace("output", "reported"), "").split(",") if pair)
            said = reports.get(unit, unreported)
            count += int(said) if said.isdecimal() and int(said) <= int(at_most) else int(at_most)
        total += Fraction(rate) * count / 1_000_000
        counts.append(f"{unit}:{count}")
    assert g["charged"] == ",".join(counts), g
    return math.ceil(total)
