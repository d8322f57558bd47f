"""The same moves as a Hypothesis state machine, which chooses and mixes them in its own way and shrinks what fails."""

from __future__ import annotations

from random import Random
from typing import ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from tests.invariants.examples import a_step, open_scene, sent_again
from tests.invariants.stage import Stage
from tests.invariants.teams import MOVES

# One number a step: Hypothesis chooses which moves come after which, and leaves out those that a failure does not need.
_dice = st.integers(0, 2**32 - 1).map(Random)


GROUPS = {
    "clients": ("reserve", "cancel"),
    "queue": ("begin",),
    "workers": ("note", "renew", "deliver", "settle", "park", "hand_back"),
    "caretakers": ("dispatched", "rescue"),
    "time": ("pass_time", "advance"),
    "operators": ("grant", "adjust", "adjust_generation", "account", "publish"),
    "plans": ("subscribe", "change", "unsubscribe", "resume"),
    "keys": ("add_key", "change_key", "revoke_key", "add_token", "add_member", "change_member", "remove_member"),
    "purchases": ("check_out", "pay", "decline", "take_back"),
}
"""One rule for all that the same hands do: a rule each, and few generations would come to their end."""


class LedgerAndModel(RuleBasedStateMachine):
    """Subclass it with a `stage`."""

    stage: ClassVar[Stage]

    @initialize()
    def open_scene(self) -> None:
        open_scene(self.stage)

    @rule(dice=_dice)
    def send_again(self, dice: Random) -> None:
        self.stage.take(sent_again(self.stage, dice))

    def teardown(self) -> None:
        self.stage.end()


def _add_rule(group: str) -> None:
    def make(self: LedgerAndModel, dice: Random) -> None:
        moves = [move for move in GROUPS[group] for _ in range(MOVES[move][0])]
        possible = (a_step(self.stage, dice, move) for move in dice.sample(moves, len(moves)))
        if step := next(filter(None, possible), None):
            self.stage.take(step)

    make.__name__ = group
    setattr(LedgerAndModel, group, rule(dice=_dice)(make))


for _group in GROUPS:
    _add_rule(_group)
