"""The ledger does what the rules say, step by step: thousands of steps, each on a plain model and on real Redis."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.invariants.examples import open_stage, play, shortest
from tests.invariants.machine import LedgerAndModel
from tests.invariants.model.life import Model
from tests.invariants.stage import ANSWER_AGAIN, Difference, Stage
from tests.invariants.teams import MOVES
from tests.lengths import LONG

DICE_SEEDS, DICE_STEPS = range(1, 15 if LONG else 4), 1_250
MACHINE_SEEDS, MACHINE_STEPS = range(1, 4 if LONG else 2), 1_000
STEPS_MIN = 20_000 if LONG else 4_000


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with open_stage(tmp_path_factory.mktemp("stage")) as opened:
        yield opened


@pytest.mark.parametrize("number", DICE_SEEDS)
def test_the_ledger_does_what_the_model_does_in_1250_steps(number: int, stage: Stage) -> None:
    """By the dice of this seed, in examples of 80 steps; `make chaos` goes on where this ends."""
    before, example = stage.operations.total(), 0
    while stage.operations.total() - before < DICE_STEPS:
        try:
            play(stage, Random(f"{number}/{example}"))
        except Difference as difference:
            raise shortest(stage, difference) from None
        example += 1
    assert stage.operations.total() - before >= DICE_STEPS


@pytest.mark.parametrize("number", MACHINE_SEEDS)
def test_hypothesis_finds_no_difference_in_1000_steps(number: int, stage: Stage) -> None:
    """Hypothesis mixes the moves in its own way: long runs of one kind, kinds left out. What it finds, it shrinks."""
    before = stage.operations.total()
    machine = seed(number)(type("Machine", (LedgerAndModel,), {"stage": stage}))
    chosen = settings(
        max_examples=60 if LONG else 30, stateful_step_count=60, deadline=None, database=None, print_blob=False,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    run_state_machine_as_test(machine, settings=chosen)
    assert stage.operations.total() - before >= MACHINE_STEPS


class Wrong(Model):
    """A model that expects something else of every grant to an account that there is."""

    def grant(self, *, account: str, **_: Any) -> Any:
        return f"nothing granted to {self.accounts[account].id}", None


def test_an_example_is_cut_to_the_steps_that_show_its_difference(stage: Stage) -> None:
    """Without the account, the model raised KeyError for its grant, and no difference was told at all."""
    wrong = Stage(stage.url, set(), Wrong)
    try:
        with pytest.raises(Difference) as found:
            play(wrong, Random("cut"), moves={"grant": MOVES["grant"]})
        said, _, steps = str(shortest(wrong, found.value)).partition("the steps:\n")
        assert "the model says ('nothing granted to " in said
        assert [step.split("(")[0].strip() for step in steps.splitlines()] == ["put_account", "grant"]
    finally:
        wrong.close()


def test_r11_what_is_sent_again_at_once_is_answered_as_before(stage: Stage) -> None:
    for example in range(3):
        play(stage, Random(f"again/{example}"), doubled=ANSWER_AGAIN)
    assert stage.answered_again.keys() == ANSWER_AGAIN


def test_the_steps_come_to_as_many_as_the_page_on_reliability_says() -> None:
    assert len(DICE_SEEDS) * DICE_STEPS + len(MACHINE_SEEDS) * MACHINE_STEPS >= STEPS_MIN
