"""Any number of random steps, each on a plain model of the rules and on real Redis: `python -m chaos.model`.

SEED= and STEPS= say which and how many (default 1 and 1,000,000). Equal seeds take equal steps. After each step the
answer and every key must be what the model says, and of what should not change not one byte may. A difference is
printed with the fewest steps that still show it.
"""

from __future__ import annotations

import os
import signal
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from tests.invariants.examples import open_stage, play, shortest
from tests.invariants.stage import Difference, Stage

STEPS = 1_000_000
INTERRUPTED = 130


def check(seed: int, steps: int, console: Console) -> bool:
    """Take `steps` steps on a ledger of its own, print what was done, and return whether there was no difference.

    Ctrl-C ends it after the example at hand, with KeyboardInterrupt.
    """
    started_at = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="farebox-model-") as folder, open_stage(Path(folder)) as stage:
        try:
            difference = _take(stage, seed, steps, console)
        finally:
            console.print(_table(stage, seed, time.monotonic() - started_at))
        if difference is None:
            return True
        console.print(f"A difference. The fewest steps that show it (SEED={seed}):", style="bold red")
        console.print(str(shortest(stage, difference)), markup=False, highlight=False)
    return False


@contextmanager
def _interruptions() -> Iterator[threading.Event]:
    """Set by Ctrl-C, which is heard between two examples only: in the middle of a call it might be swallowed."""
    asked = threading.Event()
    before = signal.signal(signal.SIGINT, lambda *_: asked.set())
    try:
        yield asked
    finally:
        signal.signal(signal.SIGINT, before)


def _take(stage: Stage, seed: int, steps: int, console: Console) -> Difference | None:
    example = 0
    columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    title = TextColumn("comparing with the model")
    with Progress(title, *columns, console=console) as progress, _interruptions() as interrupted:
        bar = progress.add_task("", total=steps)
        while (taken := stage.operations.total()) < steps:
            try:
                play(stage, Random(f"{seed}/{example}"))
            except Difference as difference:
                return difference
            finally:
                progress.advance(bar, stage.operations.total() - taken)
            if interrupted.is_set():
                raise KeyboardInterrupt
            example += 1
    return None


def _table(stage: Stage, seed: int, seconds: float) -> Table:
    """How often each operation was made, and how it was answered."""
    title = f"{stage.operations.total():,} steps compared with the model, SEED={seed}, in {seconds:,.0f} s"
    table = Table("operation", "steps", "answers", title=title)
    for operation, steps in stage.operations.most_common():
        answers = Counter(
            {outcome.split()[1]: times for outcome, times in stage.outcomes.items() if outcome.split()[0] == operation}
        )
        told = ", ".join(f"{answer} {times:,}" for answer, times in answers.most_common())
        table.add_row(operation, f"{steps:,}", told)
    return table


def main() -> int:
    """Exit 0 if there was no difference, 1 if there was one, 130 on Ctrl-C."""
    seed, steps = int(os.environ.get("SEED", "1")), int(os.environ.get("STEPS", str(STEPS)))
    try:
        return 0 if check(seed, steps, Console()) else 1
    except KeyboardInterrupt:
        return INTERRUPTED


if __name__ == "__main__":
    raise SystemExit(main())
