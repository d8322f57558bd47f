"""Examples: random steps on the stage, from nothing. One that shows a difference is cut to what is needed."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

from tests.invariants.patched import replaced
from tests.invariants.scenes import ACCOUNTS, Moves
from tests.invariants.stage import HASHES_STAY_COMPACT, Difference, Stage, Step
from tests.invariants.teams import FIRST_KEYS, FIRST_MEMBERS, MOVES
from tests.redis_servers import RedisServer

STEPS = 80
"""Of one example."""
AGAIN = 0.06
"""How often something is simply sent again."""


@contextmanager
def open_stage(directory: Path, *replacements: tuple[str, str]) -> Iterator[Stage]:
    """A stage with a durable Redis of its own; `replacements` as in `patched.replaced`."""
    server = RedisServer(directory, HASHES_STAY_COMPACT)
    try:
        server.start()
        with replaced(*replacements) as changed:
            stage = Stage(server.url, changed)
            try:
                yield stage
            finally:
                stage.close()
    finally:
        server.stop()


def open_scene(stage: Stage) -> None:
    """The accounts that every example has."""
    stage.begin()
    for account in ACCOUNTS:
        stage.take(Step("put_account", {"account": account}))
    for arguments in FIRST_MEMBERS:
        stage.take(Step("add_member", arguments))
    for arguments in FIRST_KEYS:
        stage.take(Step("add_key", arguments))


def a_step(stage: Stage, dice: Random, move: str, moves: Moves = MOVES) -> Step | None:
    """A step of this kind, or None if there is nothing to do it with."""
    arguments = moves[move][1](stage.model, dice)
    return None if arguments is None else Step(move, arguments)


def sent_again(stage: Stage, dice: Random) -> Step:
    """One of the last steps, as it was; the very last one most often. No client adds a key that it has revoked."""
    step = stage.steps[-min(dice.randint(1, 8), dice.randint(1, 8), len(stage.steps))]
    return stage.steps[-1] if step.name == "add_key" and stage.steps[-1].name != "add_key" else step


def play(stage: Stage, dice: Random, steps: int = STEPS, moves: Moves = MOVES, doubled: Collection[str] = ()) -> None:
    """One example, by the weights of these moves; what is `doubled` is sent twice. Difference if there is one."""
    names, weights = list(moves), [weight for weight, _ in moves.values()]
    open_scene(stage)
    while len(stage.steps) < steps:
        again = dice.random() < AGAIN
        step = sent_again(stage, dice) if again else a_step(stage, dice, dice.choices(names, weights)[0], moves)
        for _ in range(1 + (step is not None and step.name in doubled)):
            if step:
                stage.take(step)
    stage.end()


def replay(stage: Stage, steps: list[Step]) -> Difference | None:
    """Take these very steps from nothing; the difference that they show."""
    try:
        stage.begin()
        for step in steps:
            stage.take(step)
        stage.end()
    except Difference as difference:
        return difference
    return None


def _shown_by(stage: Stage, steps: list[Step]) -> Difference | None:
    """The difference that these steps show; none if one is about what a step that was left out would have made."""
    try:
        return replay(stage, steps)
    except LookupError:
        return None


def shortest(stage: Stage, difference: Difference) -> Difference:
    """Leave out steps, many at once and then one by one, for as long as a difference remains."""
    steps, size = list(stage.steps), len(stage.steps) // 2
    while size:
        start = 0
        while start < len(steps):
            fewer = steps[:start] + steps[start + size :]
            if smaller := _shown_by(stage, fewer):
                difference, steps = smaller, list(stage.steps)
            else:
                start += size
        size //= 2
    return difference
