"""Ends child processes with their parent, however the parent ends (also by `kill -9`).

The parent holds the writing end of a pipe and never writes. When it is gone, the reading end gets an end of file. Our
own processes watch for that in a thread (`watch`). A program started by `exec`, such as Redis, cannot, so the kernel or
a small watcher process signals it (`tie`).

`python -m gateway.local.lifeline FD PROGRAM ARGUMENTS…` ties and then becomes PROGRAM.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import sys
import threading
import time

_PR_SET_PDEATHSIG = 1  # <linux/prctl.h>
_CHECK_MS = 500


class Lifeline:
    """The parent's end. Give children `reading_fd` (`pass_fds`); they end when this process does, or at `cut`."""

    def __init__(self) -> None:
        self.reading_fd, self._writing_fd = os.pipe()

    def cut(self) -> None:
        """Close the pipe: every child that still watches it ends."""
        os.close(self._writing_fd)
        os.close(self.reading_fd)


def watch(reading_fd: int, grace_seconds: float) -> None:
    """Send this process SIGTERM when the parent is gone, and end it for good if that was not enough in time."""

    def wait() -> None:
        os.read(reading_fd, 1)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(grace_seconds)
        os._exit(1)

    os.set_inheritable(reading_fd, False)  # noqa: FBT003 - os takes no keyword
    threading.Thread(target=wait, name="lifeline", daemon=True).start()


def tie(reading_fd: int) -> None:
    """Arrange that this process gets SIGTERM when its parent is gone, in a way that outlives `exec`."""
    if sys.platform == "linux":
        # Kept across exec. It is bound to the thread that started us, which is the supervisor's only one.
        if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
        if _parent_is_gone(reading_fd, wait_ms=0):  # it ended before the call above
            sys.exit(1)
    else:
        tie_by_watcher(reading_fd)


def tie_by_watcher(reading_fd: int) -> None:
    """Tie without the kernel's help: a forked watcher sends the SIGTERM, and ends when this process does."""
    watched = os.getpid()
    if os.fork() != 0:
        return
    while os.getppid() == watched:
        if _parent_is_gone(reading_fd, wait_ms=_CHECK_MS):
            os.kill(watched, signal.SIGTERM)
            break
    os._exit(0)


def _parent_is_gone(reading_fd: int, wait_ms: int) -> bool:
    poll = select.poll()
    poll.register(reading_fd, select.POLLIN)
    return bool(poll.poll(wait_ms))


def main() -> None:
    """Tie to the lifeline given and become the program given."""
    reading_fd, program = int(sys.argv[1]), sys.argv[2:]
    tie(reading_fd)
    os.execv(program[0], program)  # noqa: S606 - this is the purpose


if __name__ == "__main__":
    main()
