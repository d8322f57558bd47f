"""Supervises child processes: restarts them, stops them in order, and merges their logs.

A child that exits is restarted after a pause that doubles from 0.2 s to 5 s; half a minute of uptime resets it.
A child that refuses its settings at its first start (exit code 2) would only do so again, so that stops everything. No
child outlives this process: see `gateway.local.lifeline`.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from gateway.errors import SettingsError
from gateway.local.lifeline import Lifeline

PARENT_VARIABLE = "FAREBOX_PARENT_FD"
EXIT_SETTINGS = 2

_PAUSE_MIN_SECONDS = 0.2
_PAUSE_MAX_SECONDS = 5.0
_HEALTHY_AFTER_SECONDS = 30.0
_LINE_BYTES_MAX = 1 << 20
_LINES_KEPT = 50  # more lines than one settings error can have
_LAST_WORDS_SECONDS = 1.0  # for output still in the pipe after the child ended

Show = Callable[[str, str], None]
"""Called with the name of a process and one line of its output."""


@dataclass(frozen=True, slots=True)
class Program:
    """A program to run. Programs of a higher `stage` are stopped first."""

    name: str
    command: tuple[str, ...]
    stage: int = 1
    vital: bool = True
    """Whether everything stops if it refuses its settings at its first start; else it is retried."""


class Supervisor:
    """Runs programs until `stop`. `show` gets every line of their output, and ours about them."""

    def __init__(self, environment: Mapping[str, str], show: Show, kill_after_seconds: float) -> None:
        self._environment = dict(environment)
        self._show = show
        self._kill_after_seconds = kill_after_seconds
        self._lifeline = Lifeline()
        self._children: list[_Child] = []
        self.gave_up: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Raises SettingsError once a child refuses its settings."""

    def start(self, program: Program) -> None:
        """Start `program`, and restart it when it exits."""
        environment = {**self._environment, PARENT_VARIABLE: str(self._lifeline.reading_fd)}
        child = _Child(program, environment, self._lifeline.reading_fd, self._show, self._give_up)
        self._children.append(child)

    def process(self, name: str) -> int | None:
        """The process id of program `name`; None while it is being restarted."""
        return next((child.process for child in self._children if child.program.name == name), None)

    async def end(self, name: str) -> None:
        """Stop one program, without a restart."""
        for child in [child for child in self._children if child.program.name == name]:
            await child.stop(self._kill_after_seconds)
            self._children.remove(child)

    async def stop(self) -> None:
        """Stop all children with SIGTERM, the highest stage first, and with SIGKILL if they take too long."""
        for stage in sorted({child.program.stage for child in self._children}, reverse=True):
            ending = [child for child in self._children if child.program.stage == stage]
            await asyncio.gather(*(child.stop(self._kill_after_seconds) for child in ending))
        self._lifeline.cut()
        self.gave_up.cancel()

    def kill(self) -> None:
        """Kill all children at once. `stop` then finds them ended."""
        for child in self._children:
            child.send(signal.SIGKILL)

    def _give_up(self, name: str, reason: str) -> None:
        if not self.gave_up.done():
            self.gave_up.set_exception(SettingsError(f"{name} cannot start: {reason}"))


class _Child:
    """One program and its current process."""

    def __init__(
        self,
        program: Program,
        environment: Mapping[str, str],
        lifeline_fd: int,
        show: Show,
        give_up: Callable[[str, str], None],
    ) -> None:
        self.program = program
        self._environment = environment
        self._lifeline_fd = lifeline_fd
        self._show = show
        self._give_up = give_up
        self._process: asyncio.subprocess.Process | None = None
        self._said: deque[str] = deque(maxlen=_LINES_KEPT)
        self._stopping = asyncio.Event()
        self._task = asyncio.create_task(self._keep_running(), name=f"supervise {program.name}")

    @property
    def process(self) -> int | None:
        """The process's id, while it runs."""
        running = self._process is not None and self._process.returncode is None
        return self._process.pid if self._process is not None and running else None

    def send(self, number: int) -> None:
        """Signal the process and its children, if it is running."""
        self._stopping.set()
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                # A child leads its own group; SIGKILL leaves it no time to end its own children.
                (os.killpg if number == signal.SIGKILL else os.kill)(self._process.pid, number)

    async def stop(self, kill_after_seconds: float) -> None:
        """Ask the process to end and wait until it has."""
        self.send(signal.SIGTERM)
        try:
            await asyncio.wait_for(asyncio.shield(self._task), kill_after_seconds)
        except TimeoutError:
            self._show("farebox", f"{self.program.name} did not stop within {kill_after_seconds:g} s: killed")
            self.send(signal.SIGKILL)
            await self._task

    async def _keep_running(self) -> None:
        pause_seconds = _PAUSE_MIN_SECONDS
        first = True
        while not self._stopping.is_set():
            started = time.monotonic()
            code = await self._run_once()
            if self._stopping.is_set():
                return
            if first and code == EXIT_SETTINGS and self.program.vital:
                # Repeated at the end, because other output has followed.
                self._give_up(self.program.name, _reason(self._said))
                return
            first = False
            if time.monotonic() - started >= _HEALTHY_AFTER_SECONDS:
                pause_seconds = _PAUSE_MIN_SECONDS
            self._show("farebox", f"{self.program.name} {_ending(code)}; restarting it in {pause_seconds:g} s")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), pause_seconds)
            pause_seconds = min(pause_seconds * 2, _PAUSE_MAX_SECONDS)

    async def _run_once(self) -> int:
        process = await asyncio.create_subprocess_exec(
            *self.program.command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=self._environment,
            pass_fds=[self._lifeline_fd],
            start_new_session=True,  # Ctrl-C is for us: we end the children in order
            limit=_LINE_BYTES_MAX,
        )
        self._process = process
        if self._stopping.is_set():  # stopped while it was being started
            self.send(signal.SIGTERM)
        reading = asyncio.create_task(self._read(process.stdout))
        code = await process.wait()
        _, late = await asyncio.wait([reading], timeout=_LAST_WORDS_SECONDS)
        for task in late:  # a grandchild still has the pipe open
            task.cancel()
        return code

    async def _read(self, output: asyncio.StreamReader | None) -> None:
        while output is not None:
            try:
                line = await output.readline()
            except ValueError:
                self._show(self.program.name, "(a line longer than a mebibyte)")
                continue
            if not line:
                return
            text = line.decode(errors="replace").rstrip()
            self._said.append(text)
            self._show(self.program.name, text)


def _reason(said: Iterable[str]) -> str:
    """The last output of a process: its error, which may have several lines, or its last line."""
    words = "\n".join(said)
    _, error, reason = words.rpartition("Error: ")
    return reason if error else words.rpartition("\n")[2]


def _ending(code: int) -> str:
    if code >= 0:
        return f"exited with code {code}"
    return f"was killed by {signal.Signals(-code).name}"
