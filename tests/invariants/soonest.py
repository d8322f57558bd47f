"""Which example shows a bug soonest: it is played before all others, so that a mutant is caught within some 20 steps.

It saves time, and nothing else: what is missing here, or no longer so since the moves were changed, is caught by the
others. `python -m tests.invariants.soonest` finds them anew, within an hour.
"""

from __future__ import annotations

import pprint
import sys
import tempfile
from pathlib import Path
from random import Random

from tests.invariants import examples
from tests.invariants.model.life import Model
from tests.invariants.model.pauses import PausingModel
from tests.invariants.patched import Mutant
from tests.invariants.scenes import Moves
from tests.invariants.stage import Difference

SOONEST = {
    "a refund of free credits returns as subscription credits": 20,
    "a refund that cannot go back has no expiry": 20,
    "the grace is rounded down to the hour": 20,
    "what lasts longest burns first": 4,
    "top-ups burn before the plan's credits": 13,
    "a partial commit is rounded up": 28,
    "a grant's held credits are not counted down": 28,
    "a grant lasts one millisecond too long": 11,
    "the daily credits are added to what is left": 4,
    "the monthly credits roll over": 33,
    "the account may work on one generation too many": 24,
    "nobody who waits is promoted": 28,
    "the end leaves the deadline behind": 20,
    "begin takes what is running already": 21,
    "a stale worker is heard": 6,
    "an output delivered twice is charged twice": 47,
    "the time in the queue runs on in a provider's line": 17,
    "a callback about another job is heeded": 40,
    "a rescue does not wait for the lease to lapse": 2,
    "one attempt too many": 20,
    "an operation sent again is done again": 2,
    "an ended generation never expires": 20,
    "a day's usage is kept for 40 days": 20,
    "usage by key is kept for ever": 20,
    "a row of usage forgets what was in it": 15,
    "usage by key is counted for the account's own keys only": 20,
    "usage by key does not say whose key it is": 20,
    "of a generation's tags only the first is counted": 20,
    "every value of a tag is counted as other": 20,
    "a journal entry does not name the member": 4,
    "an idempotency key is remembered for ever": 9,
    "a refusal leaves its trace": 1,
    "the last generation of a period may be as large as it likes": 4,
    "a new day has no new room": 18,
    "weeks begin on Sunday": 27,
    "a month is 30 days": 18,
    "a limit without a period begins anew with the month": 18,
    "a refund makes room in a period that the generation was not reserved in": 27,
    "what was delivered makes room, too": 28,
    "a refund makes room twice": 28,
    "what a limit refuses is counted": 4,
    "a weekly limit begins anew after seven days": 20,
    "a revoked key leaves its count behind": 22,
    "what a key reserves is not counted for its member": 4,
    "a key of a member counts for the member only": 4,
    "the limit of a member is not looked at": 3,
    "the limit of a member is called the key's": 3,
    "a refund makes room for the key and not for its member": 20,
    "the time of a paused one runs": 10,
    "a paused one starts": 15,
    "what is paused twice stands still twice": 20,
    "a former pause is forgotten": 20,
    "a pause has no end": 2,
    "a paused account may order": 3,
    "what waits in a paused account starts": 10,
    "the time of a paused account runs": 10,
    "what is not reported is free": 9,
    "outputs that were not delivered are charged for": 16,
    "reported units are charged at their ceilings": 16,
    "the last report stands": 15,
    "the ceiling of a token is not looked at": 21,
    "the last generation of a token may be as large as it likes": 21,
    "what a token reserves is not counted": 5,
    "a refund makes no room for its token": 5,
    "what its provider has is held": 50,
    "a pause that lets wait hides one that refuses": 29,
    "another is chosen although a job may have been accepted": 1,
    "another is chosen while one has its job": 5,
    "of two workers that choose the later one wins": 4,
    "a worker of an older attempt may choose": 24,
    "a worker that stops leaves no job": 27,
    "a failure without a verdict leaves no job": 3,
    "a verdict does not free it for another": 15,
    "the provider that was left is forgotten": 13,
    "the last verdict is forgotten": 34,
    "a provider that was left wakes it": 30,
    "a provider that was not tried has no attempt of its own": 39,
    "the next provider is asked after a pause": 6,
    "each refusal gives it more time": 13,
    "each attempt has the whole time anew": 13,
    "a provider may ask for more time than there is": 5,
    "while none is working it is held for ever": 5,
    "what its providers refuse is held for ever": 18,
}

EXAMPLES = 48
SOON = 20
"""So many steps are soon enough: a scene alone takes ten."""


def soonest(mutant: Mutant, moves: Moves, model_of: type[Model]) -> int:
    """The first example that shows it soon, or of many the one that shows it soonest."""
    best, steps = 0, examples.STEPS
    replacement = mutant.was, mutant.becomes
    with tempfile.TemporaryDirectory() as folder, examples.open_stage(Path(folder), replacement) as stage:
        stage.model_of = model_of
        for example in range(EXAMPLES):
            try:
                examples.play(stage, Random(f"mutant/{example}"), steps, moves)
            except Difference:
                if len(stage.steps) < steps:
                    best, steps = example, len(stage.steps)
            if steps <= SOON:
                break
    return best


def main() -> None:
    """Print the table."""
    from tests.invariants import (  # noqa: PLC0415 - they import this
        metering,
        teams,
        test_correction_mutants,
        test_mutants,
        test_pauses,
        test_providers,
    )

    groups = (
        (test_mutants.MUTANTS, teams.MOVES, Model), (metering.MUTANTS, teams.MOVES, Model),
        (test_correction_mutants.MUTANTS, test_correction_mutants.CORRECTED, Model),
        (test_pauses.MUTANTS, test_pauses.PAUSED, PausingModel),
        (test_providers.MUTANTS, test_providers.IN_ORDER, Model),
    )  # fmt: skip
    table = {
        mutant.fault: soonest(mutant, moves, model_of)
        for mutants, moves, model_of in groups
        for mutant in mutants
        if not mutant.rare
    }
    sys.stdout.write(pprint.pformat(table, sort_dicts=False))


if __name__ == "__main__":
    main()
