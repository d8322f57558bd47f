"""`python -m gateway.media`, the forker: inspects each file it is sent in a fork of its own, the reader.

`gateway.media.isolation` starts it with one end of a socket as standard input. Each file comes with a socket for the
answer: the reader writes its result there, and the forker a line with the reader's exit status. If the other end of
that socket is closed, the reader is killed; if standard input is closed, the forker exits.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import resource
import selectors
import signal
import socket
import sys
import traceback
import warnings
from pathlib import Path
from typing import BinaryIO, NoReturn

from gateway.errors import MediaNotTaken, MediaUnreadable
from gateway.kinds import MediaKind
from gateway.media import images
from gateway.media.inspection import INSPECT_SECONDS, Media, convert, inspect
from gateway.media.isolation import DESCRIPTORS_MAX, MEMORY_MAX_BYTES, REQUESTS
from gateway.outside.visible import visible_lines

# What `inspect` would load at its first use, in each reader anew. Not FFmpeg's hundred libraries: a fork would take
# twice as long, and a reader of videos has them in 0.05 seconds, less than most videos take.
_LOADED = images
_DESCRIPTORS_MAX = 4096  # more than the forker ever has open
_ALONE_SECONDS = round(2 * INSPECT_SECONDS)
_FAILED = 1
_INTO = 3  # the descriptor of the file that a picture is converted into
_EXPECTED = {request: kind for kind, request in REQUESTS.items()}


class Forker:
    """A single-threaded event loop: takes files, forks readers, reaps them."""

    def __init__(self, control: socket.socket) -> None:
        """Take files from `control`."""
        self._control = control
        self._readers: dict[int, socket.socket] = {}
        self._woken, waking = os.pipe()
        for end in (self._woken, waking):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(waking)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self._selector = selectors.DefaultSelector()
        self._selector.register(control, selectors.EVENT_READ, self._take)
        self._selector.register(self._woken, selectors.EVENT_READ, self._reap)
        self._goes_on = True

    def run(self) -> None:
        """Run until no requester is left."""
        while self._goes_on:
            for key, _ in self._selector.select():
                key.data()
        for reader in self._readers:
            os.kill(reader, signal.SIGKILL)

    def _take(self) -> None:
        word, descriptors, _, _ = socket.recv_fds(self._control, 1, DESCRIPTORS_MAX)
        if not word:
            self._goes_on = False
            return
        answer, *files = descriptors
        try:
            reader = os.fork()
        except OSError:  # too many processes: close without a result; not the file's fault
            sys.stderr.write(visible_lines(traceback.format_exc()))
            for descriptor in descriptors:
                os.close(descriptor)
            return
        if reader == 0:
            _be_reader(answer, files, _EXPECTED[word])
        for file in files:
            os.close(file)
        self._readers[reader] = listener = socket.socket(fileno=answer)
        listener.settimeout(0)
        # Nothing is ever written there, so it becomes readable only when it is closed.
        self._selector.register(listener, selectors.EVENT_READ, lambda: self._kill(reader))

    def _kill(self, reader: int) -> None:
        if reader in self._readers:
            self._selector.unregister(self._readers[reader])
            os.kill(reader, signal.SIGKILL)

    def _reap(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._woken, 4096)
        while self._readers:
            reader, status = os.waitpid(-1, os.WNOHANG)
            if reader == 0:
                return
            with self._readers.pop(reader) as listener:
                with contextlib.suppress(KeyError):  # it has hung up
                    self._selector.unregister(listener)
                with contextlib.suppress(OSError):
                    listener.send(f"\n{os.waitstatus_to_exitcode(status)}".encode())


def _be_reader(answer: int, files: list[int], expected: MediaKind | None) -> NoReturn:
    """Inspect the file, write the result, and exit. The sockets of other readers and the forker are closed."""
    try:
        os.dup2(files[0], 0)
        os.dup2(answer, 1)
        converts = len(files) > 1
        if converts and files[1] != _INTO:
            os.dup2(files[1], _INTO)
        os.closerange(_INTO + converts, _DESCRIPTORS_MAX)
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_CPU, (_ALONE_SECONDS, _ALONE_SECONDS))  # if nothing is left to stop it
        signal.alarm(_ALONE_SECONDS)  # also if it uses no CPU, such as while waiting for a hung disk
        os.write(1, json.dumps(_seen(expected, converts=converts)).encode())
    except BrokenPipeError:  # the requester is gone, and the forker is about to kill this process: not worth logging
        os._exit(_FAILED)
    except BaseException:  # noqa: BLE001 - whatever it is, this process is a copy that must not go on as the forker
        sys.stderr.write(visible_lines(traceback.format_exc()))
        os._exit(_FAILED)
    os._exit(0)


def _seen(expected: MediaKind | None, *, converts: bool) -> list[str | int | None] | dict[str, str]:
    try:
        with os.fdopen(0, "rb", closefd=False) as file:
            media = _converted(file) if converts else inspect(file, expected)
    except MediaNotTaken as refusal:
        return {"not_taken": str(refusal)}
    except MediaUnreadable as refusal:
        return {"refused": str(refusal)}
    except MemoryError:  # not caught by the format readers
        return {"refused": "needs too much memory to decode"}
    lasts = None if media.duration_seconds is None else str(media.duration_seconds)
    return [media.content_type, media.width, media.height, lasts, media.characters]


def _converted(file: BinaryIO) -> Media:
    with os.fdopen(_INTO, "r+b") as into:
        return convert(file, into)


def _keep_within_limits() -> None:
    """Set on the forker and inherited by its readers, which saves each a millisecond."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(OSError, ValueError):  # macOS has no such limit
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_MAX_BYTES, MEMORY_MAX_BYTES))
    with contextlib.suppress(OSError):  # on Linux: first to be killed when memory runs out
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")


def main() -> None:
    """Fork until standard input is closed."""
    for told_to_end in (signal.SIGINT, signal.SIGTERM):  # meant for the parent, which then closes standard input
        signal.signal(told_to_end, signal.SIG_IGN)
    _keep_within_limits()
    warnings.simplefilter("ignore")  # Pillow's warnings about damaged tags: the image decodes or is refused
    gc.freeze()  # no reader collects garbage in shared memory, which would copy the pages
    Forker(socket.socket(fileno=sys.stdin.fileno())).run()


if __name__ == "__main__":
    main()
