"""The parent of several gateway processes on one port: starts them, restarts them, and stops them one by one."""

from __future__ import annotations

import asyncio
import signal
import sys

from gateway.cli.log_columns import LogColumns
from gateway.local.supervisor import Program, Supervisor
from gateway.process_metrics import gateway_process
from gateway.settings import Settings

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
    """Run them until SIGTERM or SIGINT; a second signal kills them. SettingsError if they refuse their settings."""
    programs = gateway_programs(command, settings.gateway_count)
    columns = LogColumns(["farebox", *(program.name for program in programs)], as_json=settings.log_format == "json")
    supervisor = Supervisor(settings.environment(), columns.show, settings.grace_seconds + _KILL_AFTER_SECONDS)
    stop = asyncio.Event()

    def on_signal() -> None:
        if stop.is_set():
            supervisor.kill()
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, on_signal)
    for program in programs:
        supervisor.start(program)
    supervisor.gave_up.add_done_callback(lambda _: stop.set())
    try:
        await stop.wait()
        if supervisor.gave_up.done():
            supervisor.gave_up.result()
    finally:
        columns.show("farebox", "stopping one process after the other: press Ctrl-C again to stop everything now")
        await supervisor.stop()


OWN_COMMAND = (sys.executable, "-P", "-m", "gateway", "gateway")
"""-P: ignore a folder named gateway in the current directory."""
