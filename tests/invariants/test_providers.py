"""R30 against a model: providers in order, one open job at a time, and none after an acceptance that is unknown."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from gateway.domain import FailureCode
from gateway.ledger.tried import Tried
from tests.invariants import scenes
from tests.invariants.cards import HOUR, SECOND
from tests.invariants.examples import open_stage, play, shortest
from tests.invariants.model.generations import Generation
from tests.invariants.model.life import Model
from tests.invariants.patched import Mutant
from tests.invariants.scenes import MOVES, SENSIBLE, Arguments, Moves
from tests.invariants.stage import Difference, Stage
from tests.invariants.test_mutants import check_is_caught

EXAMPLES = 4
NAMES = ("one", "two", "three")

MUTANTS = [
    Mutant(
        "another is chosen although a job may have been accepted",
        'if g.ref or (g.released or "0") ~= g.attempt then error(',
        "if g.ref then error(",
    ),
    Mutant(
        "another is chosen while one has its job",
        'if g.ref or (g.released or "0") ~= g.attempt then error(',
        'if (g.released or "0") ~= g.attempt then error(',
    ),
    Mutant(
        "of two workers that choose the later one wins",
        "elseif string.sub(g.request, 1, #new) ~= new then",
        "elseif false then",
    ),
    Mutant(
        "a worker of an older attempt may choose",
        "tonumber(g.attempt) + 1 ~= tonumber(attempt)",
        "false",
    ),
    Mutant("a worker that stops leaves no job", 'if free == "1" then generations', "if true then generations"),
    Mutant(
        "a failure without a verdict leaves no job",
        'if tried ~= "" then generations.release(g, tried) end',
        "generations.release(g, tried)",
    ),
    Mutant(
        "a verdict does not free it for another",
        'if tried ~= "" then generations.release(g, tried) end',
        "",
    ),
    Mutant(
        "the provider that was left is forgotten",
        'if tried ~= "" then redis.call("HSET", keys.generation(g.id), "tried", tried) end',
        "",
    ),
    Mutant(
        "the last verdict is forgotten",
        'also("tried", g.verdict)',
        "",
    ),
    Mutant(
        "a provider that was left wakes it",
        'provider ~= "" and provider ~= generations.provider(g.request)',
        "false",
    ),
    Mutant("a provider that was not tried has no attempt of its own", "attempts_max + untried", "attempts_max"),
    Mutant("the next provider is asked after a pause", "untried > 0 and 0 or now", "now"),
    Mutant(
        "each refusal gives it more time",
        'if tried ~= "" then redis.call("HSET", KEYS[1], "keeps_limit", "1") end',
        "",
    ),
    Mutant("each attempt has the whole time anew", "(g.ref or g.keeps_limit) and g", "g.ref and g"),
    Mutant("a new job has the time of the last", '"looked_at", "give_up_at", "keeps_limit")', '"looked_at")'),
    Mutant(
        "a provider may ask for more time than there is",
        "math.min(tonumber(not_before) or 0, tonumber(g.give_up_at))",
        "tonumber(not_before) or 0",
    ),
    Mutant("while none is working it is held for ever", 'if limited == "1" and not give_up_at then', "if false then"),
    Mutant(
        "what its providers refuse is held for ever",
        'if g.keeps_limit and now >= tonumber(g.give_up_at or math.huge) then return timed_out("provider_timeout") end',
        "",
    ),
]


def reserve(model: Model, dice: Random) -> Arguments:
    chosen = scenes.reserve(model, dice)
    if not chosen:
        return None
    providers = NAMES[: dice.choice((2, 3))]
    return chosen | {"request": replace(chosen["request"], provider=providers[0], providers=providers), "pro": False}


def assign(model: Model, dice: Random) -> Arguments:
    """Mostly of one that no provider has; sometimes by a worker that read it some time ago."""
    queued = [g for g in model.generations.values() if g.state == "queued"]
    left = [g for g in queued if not g.may_have_job and g.attempt]
    g = dice.choice(left if left and dice.random() < 0.7 else queued) if queued else None
    if not g:
        return None
    fresh = dice.random() < 0.6
    seen = g.provider if fresh else dice.choice(g.request.providers)
    attempt = g.attempt if dice.random() < SENSIBLE else max(0, g.attempt - 1)
    to = dice.choice([name for name in g.request.providers if name != seen])
    return {"generation": g.id, "attempt": attempt, "provider": seen, "to": to}


def _told(g: Generation, result: str, model: Model, dice: Random) -> tuple[Tried, ...]:
    """What was said before, and by this one now."""
    before = {one.provider: one for one in g.tried}
    times = before[g.provider].times + 1 if g.provider in before else 1
    before[g.provider] = Tried(g.provider, result, times, model.clock, model.clock + dice.choice((SECOND, HOUR)))
    return tuple(before.values())


def hand_back(model: Model, dice: Random) -> Arguments:
    """A worker that stops, or whose provider refuses the job."""
    chosen = scenes.hand_back(model, dice)
    g = chosen and model.generations[chosen["generation"]]
    if not chosen or not g:
        return None
    why = dice.choice(("stops", "stops", "was not asked", "refused", "refused", "refused"))
    free = why != "stops"
    tried = _told(g, "refused", model, dice) if why == "refused" else ()
    not_before = max(one.until for one in tried) if tried and dice.random() < 0.5 else None
    return chosen | {"free": free, "tried": tried, "not_before": not_before}


def settle(model: Model, dice: Random) -> Arguments:
    """A failure that is a verdict of its provider, or one that tells nothing of its job."""
    chosen = scenes.settle(model, dice)
    if not chosen or chosen["failure"] is not FailureCode.PROVIDER_FAILED or dice.random() < 0.3:
        return chosen
    g = model.generations[chosen["generation"]]
    tried = _told(g, "provider_failed", model, dice)
    untried = len({*g.request.providers} - {one.provider for one in tried})
    return chosen | {"tried": tried, "untried": dice.choice((untried, 0))}  # 0: the card has no others any more


def wait_for_slot(model: Model, dice: Random) -> Arguments:
    chosen = scenes.wait_for_slot(model, dice)
    return chosen and chosen | {"limited": dice.random() < 0.5}


def call_back(model: Model, dice: Random) -> Arguments:
    chosen = scenes.call_back(model, dice)
    if not chosen:
        return None
    g = model.generations[chosen["generation"]]
    return chosen | {"provider": dice.choice((None, g.provider, *(one.provider for one in g.tried)))}


_WEIGHTS = {
    "begin": 16, "note": 6, "deliver": 3, "park": 3, "cancel": 1, "dispatched": 2, "rescue": 10, "pass_time": 9,
    "renew": 1,
}  # fmt: skip
IN_ORDER: Moves = {name: (weight, MOVES[name][1]) for name, weight in _WEIGHTS.items()} | {
    "reserve": (8, reserve), "assign": (14, assign), "hand_back": (8, hand_back), "settle": (10, settle),
    "wait_for_slot": (3, wait_for_slot), "call_back": (6, call_back),
}  # fmt: skip


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with open_stage(tmp_path) as opened:
        yield opened


def test_the_ledger_does_what_the_model_does_with_providers_in_order(stage: Stage) -> None:
    for example in range(EXAMPLES):
        try:
            play(stage, Random(f"providers/{example}"), moves=IN_ORDER)
        except Difference as difference:
            raise shortest(stage, difference) from None
    for met in ("assign Noted", "assign LedgerBroken", "assign Stale", "call_back Stray", "begin Ended"):
        assert stage.outcomes[met], met


@pytest.mark.parametrize("mutant", [pytest.param(one, id=one.fault.replace(" ", "-")) for one in MUTANTS])
def test_a_mutant_is_caught(mutant: Mutant, tmp_path: Path) -> None:
    check_is_caught(mutant, tmp_path, IN_ORDER)
