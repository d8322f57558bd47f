from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.errors import SettingsError
from gateway.local.supervisor import Program, Supervisor
from tests.until import until

Lines = list[tuple[str, str]]


class _Log:
    """What was shown, and a way to wait for a line of it."""

    def __init__(self) -> None:
        self.lines: Lines = []
        self._news = asyncio.Event()

    def show(self, name: str, line: str) -> None:
        self.lines.append((name, line))
        self._news.set()

    async def until(self, found: Callable[[Lines], bool]) -> None:
        async with asyncio.timeout(60):  # a guard against hanging for ever, not a claim
            while not found(self.lines):
                self._news.clear()
                await self._news.wait()

    def of(self, name: str) -> list[str]:
        return [line for one, line in self.lines if one == name]


@pytest.fixture
def log() -> _Log:
    return _Log()


@pytest.fixture
async def supervisor(log: _Log) -> AsyncIterator[Supervisor]:
    made = Supervisor(os.environ, log.show, kill_after_seconds=20)
    yield made
    made.kill()
    await made.stop()


def _python(name: str, code: str, stage: int = 1) -> Program:
    return Program(name, (sys.executable, "-u", "-c", code), stage)


_STAYS = """
import os, signal, sys, threading
stop = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: stop.set())
print("pid", os.getpid())
stop.wait()
print("ended")
"""

_IGNORES_SIGTERM = """
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("pid", os.getpid())
time.sleep(600)
"""


async def test_every_line_of_both_outputs_is_shown_by_name(supervisor: Supervisor, log: _Log) -> None:
    supervisor.start(_python("a", "import sys; print('out'); print('err', file=sys.stderr); sys.stdin.read()"))
    await log.until(lambda lines: {("a", "out"), ("a", "err")} <= set(lines))


async def test_a_child_that_dies_is_started_again_and_the_pause_doubles(supervisor: Supervisor, log: _Log) -> None:
    supervisor.start(_python("a", "import sys; sys.exit(3)"))
    await log.until(lambda lines: len(lines) == 3)
    assert log.of("farebox") == [f"a exited with code 3; restarting it in {pause} s" for pause in ("0.2", "0.4", "0.8")]


async def test_a_killed_child_comes_back_as_another_process(supervisor: Supervisor, log: _Log) -> None:
    supervisor.start(_python("a", _STAYS))
    await log.until(lambda lines: len(lines) == 1)
    os.kill(int(log.of("a")[0].split()[1]), signal.SIGKILL)
    await log.until(lambda lines: len(lines) == 3)
    assert log.of("farebox") == ["a was killed by SIGKILL; restarting it in 0.2 s"]
    assert len(set(log.of("a"))) == 2


async def test_a_child_that_refuses_its_settings_ends_the_whole(supervisor: Supervisor, log: _Log) -> None:
    """It said why in its log alone, with all that the others said at their start and end around it."""
    supervisor.start(
        _python("a", "import sys; print('Ready\\nError: FAREBOX_PORT: no\\nFAREBOX_HOST: no'); sys.exit(2)")
    )
    with pytest.raises(SettingsError, match=r"^a cannot start: FAREBOX_PORT: no\nFAREBOX_HOST: no$"):
        await supervisor.gave_up
    assert log.of("a") == ["Ready", "Error: FAREBOX_PORT: no", "FAREBOX_HOST: no"]


async def test_one_that_is_not_vital_is_tried_again_and_one_can_be_ended(supervisor: Supervisor, log: _Log) -> None:
    """A worker of a tool that was added to the rate card must not end everything else."""
    refuses = _python("a", "import sys; sys.exit(2)")
    supervisor.start(replace(refuses, vital=False))
    supervisor.start(_python("b", _STAYS))
    await log.until(lambda lines: ("farebox", "a exited with code 2; restarting it in 0.2 s") in lines)
    await log.until(lambda lines: any(name == "b" for name, _ in lines))
    await supervisor.end("b")
    assert log.of("b")[-1] == "ended"
    assert supervisor.process("b") is None
    assert not supervisor.gave_up.done()


async def test_the_lowest_stage_ends_last(log: _Log) -> None:
    supervisor = Supervisor(os.environ, log.show, kill_after_seconds=20)
    supervisor.start(_python("redis", _STAYS, stage=0))
    for name in ("gateway", "worker"):
        supervisor.start(_python(name, _STAYS))
    await log.until(lambda lines: len(lines) == 3)
    await supervisor.stop()
    endings = [name for name, line in log.lines if line == "ended"]
    assert sorted(endings[:2]) == ["gateway", "worker"]
    assert endings[2:] == ["redis"]
    assert log.of("farebox") == []


async def test_a_child_deaf_to_sigterm_is_killed(log: _Log) -> None:
    supervisor = Supervisor(os.environ, log.show, kill_after_seconds=0.1)
    supervisor.start(_python("a", _IGNORES_SIGTERM))
    await log.until(lambda lines: len(lines) == 1)
    await supervisor.stop()
    assert log.of("farebox") == ["a did not stop within 0.1 s: killed"]
    assert not _runs(int(log.of("a")[0].split()[1]))


async def test_kill_ends_everything_while_stop_waits(log: _Log) -> None:
    supervisor = Supervisor(os.environ, log.show, kill_after_seconds=600)
    supervisor.start(_python("a", _IGNORES_SIGTERM))
    await log.until(lambda lines: len(lines) == 1)
    stopping = asyncio.create_task(supervisor.stop())
    await asyncio.sleep(0)
    supervisor.kill()
    await stopping
    assert not _runs(int(log.of("a")[0].split()[1]))


async def test_a_line_without_end_does_not_stop_the_log(supervisor: Supervisor, log: _Log) -> None:
    supervisor.start(_python("a", "import sys; print('x' * 3_000_000); print('after'); sys.stdin.read()"))
    await log.until(lambda lines: ("a", "after") in lines)


_SUPERVISOR_OF_TWO = """
import asyncio, os, sys
from gateway.local.supervisor import Program, Supervisor

WATCHES = '''
import os, threading
from gateway.local.lifeline import watch
watch(int(os.environ["FAREBOX_PARENT_FD"]), grace_seconds=60)
print("pid", os.getpid())
threading.Event().wait()
'''
BECOMES = "import sys; print('pid', __import__('os').getpid()); __import__('time').sleep(600)"

async def main():
    show = lambda name, line: print(line, flush=True)
    supervisor = Supervisor(os.environ, show, kill_after_seconds=20)
    supervisor.start(Program("watches", (sys.executable, "-u", "-c", WATCHES)))
    tied = "import os, sys; from gateway.local.lifeline import {how}; {how}(int(os.environ['FAREBOX_PARENT_FD'])); "
    become = "os.execv(sys.executable, [sys.executable, '-u', '-c', sys.argv[1]])"
    for how in ("tie", "tie_by_watcher"):
        supervisor.start(Program(how, (sys.executable, "-c", tied.format(how=how) + become, BECOMES)))
    await asyncio.Event().wait()

asyncio.run(main())
"""


async def test_no_child_outlives_a_parent_killed_with_9() -> None:
    """Three children: one watches the lifeline, two became another program, tied by the kernel and by a watcher."""
    root = Path(__file__).parents[2]
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _SUPERVISOR_OF_TWO, stdout=asyncio.subprocess.PIPE, cwd=root
    )
    assert parent.stdout is not None
    async with asyncio.timeout(60):
        children = [int((await parent.stdout.readline()).split()[1]) for _ in range(3)]
        assert all(_runs(child) for child in children)
        parent.kill()
        await parent.wait()
        await until(lambda: not any(_runs(child) for child in children))


def _runs(pid: int) -> bool:
    """Whether the process lives; one that ended and that nobody has collected yet does not."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, 0)
        status = Path(f"/proc/{pid}/stat")
        return not status.exists() or status.read_text().rpartition(")")[2].split()[0] != "Z"
    return False
