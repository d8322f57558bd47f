"""How a run ends, whichever it is: by itself or interrupted, with which exit code, and what it leaves behind."""

from __future__ import annotations

import asyncio
import shutil
import signal
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from rich.console import Console

from gateway.tasks import cancel

_IMPOSSIBLE, _INTERRUPTED = 2, 130


class Interrupted(Exception):
    """Ctrl-C, or SIGTERM."""


class Impossible(Exception):
    """What was asked for cannot be run; says why."""


async def unless_interrupted(work: Coroutine[Any, Any, None]) -> None:
    """Do it; at Ctrl-C or SIGTERM it is cancelled, and raises Interrupted."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    working, stopping = asyncio.create_task(work), asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise Interrupted
        working.result()
    finally:
        await cancel(working, stopping)


def exit_code(held: Callable[[], bool], folder: Path, logs: Path, console: Console) -> int:
    """Run it: 0 if everything `held`, else 1, and `logs` are kept. 2: it could not be run; 130: it was interrupted.

    Without logs to keep, the `folder` is deleted.
    """
    try:
        if held():
            shutil.rmtree(folder, ignore_errors=True)
            return 0
    except (Interrupted, KeyboardInterrupt):
        console.print("Interrupted. Everything that it started has ended.")
        shutil.rmtree(folder, ignore_errors=True)
        return _INTERRUPTED
    except Impossible as error:
        console.print(str(error), markup=False, soft_wrap=True)
        shutil.rmtree(folder, ignore_errors=True)
        return _IMPOSSIBLE
    except Exception:  # noqa: BLE001 - whatever broke, the log says more
        console.print_exception()
    console.print(f"[bold red]Something is wrong.[/] The log is kept: {logs}", soft_wrap=True)
    return 1
