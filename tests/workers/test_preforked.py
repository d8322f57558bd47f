"""The tests' own processes end with them, however they end."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE

from tests.until import until
from tests.workers.stage import ROOT, Stage

PROGRAM = """
import os, sys, time
from pathlib import Path
from tests.preforked import Forked
print(Forked.start("caretaker", [], os.environ, Path(sys.argv[1])).process.pid, flush=True)
time.sleep(3600)
"""


def is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def test_a_fork_ends_when_the_tests_are_killed(stage: Stage) -> None:
    """Forks hold the pipe by which the server of forks knows that it is needed: it and they stayed for ever."""
    log = stage.directory / "log"
    tests = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", PROGRAM, str(log)), stdout=PIPE, cwd=ROOT, env={**os.environ, **stage.environment}
    )
    assert tests.stdout is not None
    fork = int(await tests.stdout.readline())
    try:
        await until(lambda: "caretaker_ready" in log.read_text())
        tests.kill()
        await tests.wait()
        await until(lambda: not is_there(fork))
    finally:
        if is_there(fork):
            os.kill(fork, signal.SIGKILL)
