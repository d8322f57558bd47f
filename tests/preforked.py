"""Workers and caretakers as forks of a process that has imported them: a start costs a tenth of a new Python's.

Each is a process of its own, as real as one that a shell starts: it reads its own environment, writes its own log,
takes signals, and is killed. A run starts a hundred and fifty, and importing takes a second of a core each.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import workers.commands

_PR_SET_PDEATHSIG = 1  # <linux/prctl.h>
_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload([__name__])  # and with it all that a worker imports


@dataclass
class Forked:
    """A process, spoken to as to a `subprocess.Popen`."""

    process: ForkServerProcess

    @classmethod
    def start(cls, command: str, arguments: Sequence[str], environment: Mapping[str, str], log_path: Path) -> Forked:
        """Start `farebox COMMAND ARGUMENTS` with exactly this environment; what it prints goes to the log."""
        log_path.touch()
        process = _context.Process(target=_become, args=(command, [*arguments], {**environment}, str(log_path)))
        process.start()
        return cls(process)

    def send_signal(self, number: signal.Signals) -> None:
        if self.process.is_alive():
            assert self.process.pid is not None
            os.kill(self.process.pid, number)

    def kill(self) -> None:
        self.process.kill()

    def wait(self) -> int:
        """Its exit code when it has ended; minus the signal that killed it."""
        self.process.join()
        assert self.process.exitcode is not None
        return self.process.exitcode


def _become(command: str, arguments: list[str], environment: dict[str, str], log_path: str) -> None:
    if sys.platform == "linux":  # ends with the server of forks, which ends with the tests, also when they are killed
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)
    log = os.open(log_path, os.O_WRONLY | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["farebox", *arguments]
    getattr(workers.commands, command)()
