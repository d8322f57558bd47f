"""Workers, caretakers and commands as forks of a process that has imported them: a tenth of what a new Python costs.

Each is a process of its own, as real as one that a shell starts: it reads its own environment, writes its own log,
takes signals, and is killed. A run starts two hundred, and importing takes half a second to a second of a core each.
How the command itself starts, tests/unit/cli and tests/whole see.
"""

from __future__ import annotations

import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import workers.commands
from gateway.local.lifeline import watch

_GRACE_SECONDS = 10
_context = multiprocessing.get_context("forkserver")
# With this module all that a worker imports; and what the commands do.
_context.set_forkserver_preload([__name__, "gateway.cli.account", "gateway.cli.audit", "gateway.cli.generation"])
# The server of forks ends after its forks, not before: each watches a pipe that the tests hold, and ends with them.
_lifeline, _held = _context.Pipe(duplex=False)


@dataclass
class Forked:
    """A process, spoken to as to a `subprocess.Popen`."""

    process: ForkServerProcess

    @classmethod
    def start(
        cls,
        command: str,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        log_path: Path,
        *,
        prelude: str = "",
    ) -> Forked:
        """Start `farebox COMMAND ARGUMENTS` with exactly this environment, after `prelude`, some Python.

        What it prints goes to the log.
        """
        log_path.touch()
        given: dict[str, Any] = {"command": command, "arguments": [*arguments], "environment": {**environment}}
        given |= {"lifeline": _lifeline, "log_path": str(log_path), "prelude": prelude}
        process = _context.Process(target=_become, kwargs=given)
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


def run_farebox(*arguments: str, environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """`farebox ARGUMENTS` with exactly this environment, to its end."""
    with tempfile.TemporaryDirectory() as folder:
        said, complained = Path(folder, "said"), Path(folder, "complained")
        files = str(said), str(complained)
        process = _context.Process(target=_run_command_line, args=(_lifeline, arguments, {**environment}, *files))
        process.start()
        code = Forked(process).wait()
        return subprocess.CompletedProcess(arguments, code, said.read_text(), complained.read_text())


def _become(
    *,
    lifeline: Connection,
    command: str,
    arguments: list[str],
    environment: dict[str, str],
    log_path: str,
    prelude: str,
) -> None:
    _be_a_process(lifeline, arguments, environment, log_path, log_path)
    exec(prelude, {})  # noqa: S102 - lines that the test itself wrote
    getattr(workers.commands, command)()


def _run_command_line(
    lifeline: Connection, arguments: Sequence[str], environment: dict[str, str], said: str, complained: str
) -> None:
    _be_a_process(lifeline, arguments, environment, said, complained)
    runpy.run_module("gateway", run_name="__main__")


def _be_a_process(lifeline: Connection, arguments: Sequence[str], environment: dict[str, str], *files: str) -> None:
    """Give this fork its arguments, its environment, and files for what it prints and what it complains of."""
    watch(lifeline.fileno(), _GRACE_SECONDS)
    for number, path in enumerate(files, start=1):
        os.dup2(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT), number)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["farebox", *arguments]
