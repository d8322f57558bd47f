"""The parent of several gateway processes on one port: starts, restarts and replaces them, and stops them in turn."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from dataclasses import replace

from gateway.cli.log_columns import LogColumns
from gateway.local.supervisor import Program, Show, Supervisor
from gateway.process_metrics import gateway_process, is_served
from gateway.settings import Settings
from gateway.tasks import cancel

_START_SECONDS = 60  # for a process that replaces another
_LOOK_SECONDS = 0.1
_KILL_AFTER_SECONDS = 10  # beyond the grace period, for closing


def gateway_programs(command: tuple[str, ...], count: int) -> list[Program]:
    """The gateways of a port. Those of higher numbers stop first, one after the other, while the others still serve."""
    if count == 1:
        return [Program(gateway_process(1, 1), command)]
    return [
        Program(gateway_process(number, count), (*command, "--number", str(number)), stage=number)
        for number in range(1, count + 1)
    ]


async def serve(settings: Settings, command: tuple[str, ...]) -> None:
    """Run them until SIGTERM or SIGINT; a second signal kills them. SettingsError if they refuse their settings.

    SIGHUP replaces them one by one. A terminal sends it when it is closed: then it stops them.
    """
    programs = gateway_programs(command, settings.gateway_count)
    columns = LogColumns(["farebox", *(program.name for program in programs)], as_json=settings.log_format == "json")
    supervisor = Supervisor(settings.environment(), columns.show, settings.grace_seconds + _KILL_AFTER_SECONDS)
    replacement = Replacement(supervisor, programs, settings, columns.show)
    stop = asyncio.Event()

    def on_signal() -> None:
        if stop.is_set():
            supervisor.kill()
        stop.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, on_signal)
    loop.add_signal_handler(signal.SIGHUP, on_signal if os.isatty(0) else replacement.begin)
    for program in programs:
        supervisor.start(program)
    supervisor.gave_up.add_done_callback(lambda _: stop.set())
    try:
        await stop.wait()
        if supervisor.gave_up.done():
            supervisor.gave_up.result()
    finally:
        columns.show("farebox", "stopping one process after the other: press Ctrl-C again to stop everything now")
        await replacement.end()
        await supervisor.stop()


class Replacement:
    """Replaces the processes by new ones of the version that is installed now, one at a time; the others serve."""

    def __init__(self, supervisor: Supervisor, programs: list[Program], settings: Settings, show: Show) -> None:
        self._supervisor = supervisor
        self._programs = programs
        self._settings = settings
        self._show = show
        self._task: asyncio.Task[None] | None = None
        self._again = False

    def begin(self) -> None:
        """Begin; once more after a replacement that is under way: its first processes may be of an older version."""
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._replace_until_done())
        elif not self._again:
            self._again = True
            self._show("farebox", "replacing all processes once more after this")

    async def end(self) -> None:
        """Stop replacing, because everything stops."""
        if self._task is not None:
            await cancel(self._task)

    async def _replace_until_done(self) -> None:
        await self._replace_all()
        while self._again:
            self._again = False
            await self._replace_all()

    async def _replace_all(self) -> None:
        for program in reversed(self._programs):
            self._show("farebox", f"replacing {program.name}")
            await self._supervisor.end(program.name)
            # Not vital: if the new version refuses its settings, the others go on, and it is tried again.
            self._supervisor.start(replace(program, vital=False))
            if not await self._serves(program.name):
                self._show(
                    "farebox", f"{program.name} did not start in {_START_SECONDS} s: the others are not replaced"
                )
                return
        self._show("farebox", "all processes are replaced")

    async def _serves(self, name: str) -> bool:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_START_SECONDS):
                while not await is_served(self._settings, name):  # noqa: ASYNC110 - it is another process
                    await asyncio.sleep(_LOOK_SECONDS)
                return True
        return False


OWN_COMMAND = (sys.executable, "-P", "-m", "gateway", "gateway")
"""-P: ignore a folder named gateway in the current directory."""
