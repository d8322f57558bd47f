"""Inspects untrusted files in sandboxed child processes, with limits on memory and time.

FFmpeg trusts what a file claims: an MP4 of 600 bytes that claims 20 million samples makes it allocate a gigabyte before
it reads the first one, and no option limits that. Whatever else a file does to C code, it does to a process that has no
secrets and serves no clients.

Starting Python and importing the decoders takes 0.1 seconds of CPU. So that is done once, in the *forker*
(`gateway.media.__main__`), which forks itself for each file; that child, the *reader*, sees no other file.

Why not `multiprocessing`'s forkserver: a file costs it 12 ms of CPU instead of 4, its environment has our secrets, and
its children outlive a parent that is killed (measured in `docs/performance.md`).
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import os
import socket
import sys
from asyncio.subprocess import Process
from decimal import Decimal
from typing import BinaryIO

from gateway.errors import MediaNotTaken, MediaUnreadable
from gateway.kinds import MediaKind
from gateway.media.inspection import INSPECT_SECONDS, Media

MEMORY_MAX_BYTES = 1536 * 1024 * 1024  # the largest accepted images need 1.1 GB as GIF or WebP, 0.7 as JPEG
# A request to the forker, by the kind that is expected, if that matters. It comes with a socket for the result and the
# file; to convert it, also with an output file.
REQUESTS: dict[MediaKind | None, bytes] = {None: b"?", MediaKind.TEXT: b"t", MediaKind.FILE: b"f"}
DESCRIPTORS_MAX = 3  # descriptors sent with it

_FORKER = (sys.executable, "-P", "-m", "gateway.media")  # -P: ignore a folder named gateway in the current directory
_ENVIRONMENT = ("LANG", "LD_LIBRARY_PATH", "PATH", "PYTHONHOME", "PYTHONPATH", "TMPDIR")  # no secret is among them
_ANSWER_MAX_BYTES = 4096
_CLOSE_SECONDS = 5


class Readers:
    """Inspects files. The caller limits how many at once: a reader may use a whole core and 1.5 GB."""

    def __init__(self) -> None:
        self._forker: Process | None = None
        self._control: socket.socket | None = None
        self._starting = asyncio.Lock()

    async def inspect(self, file: BinaryIO, expected: MediaKind | None = None) -> Media:
        """As `inspection.inspect`. MediaUnreadable also if the file takes too much memory or time, or crashes.

        OSError if no process can be started, or it was stopped from outside.
        """
        return await self._ask(file, expected=expected)

    async def convert(self, file: BinaryIO, into: BinaryIO) -> Media:
        """As `inspection.convert`, with the errors of `inspect`. Overwrites the contents of `into`."""
        into.seek(0)
        into.truncate()
        return await self._ask(file, into)

    async def _ask(self, *files: BinaryIO, expected: MediaKind | None = None) -> Media:
        control, request = await self._started(), REQUESTS.get(expected, REQUESTS[None])
        ours, theirs = socket.socketpair()
        with ours:
            with theirs:
                socket.send_fds(control, [request], [theirs.fileno(), *(file.fileno() for file in files)])
            ours.settimeout(0)
            try:
                async with asyncio.timeout(INSPECT_SECONDS):
                    said = await _all_of(ours)
            except TimeoutError:
                raise MediaUnreadable("takes too long to decode") from None
        # Closing `ours`, as above or when this call is cancelled, makes the forker kill the reader.
        return _read(said)

    async def close(self) -> None:
        """Stop the forker, which stops its readers."""
        forker, control, self._forker, self._control = self._forker, self._control, None, None
        if forker is None or control is None:
            return
        control.close()
        try:
            async with asyncio.timeout(_CLOSE_SECONDS):
                await forker.wait()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                forker.kill()
            await forker.wait()

    async def _started(self) -> socket.socket:
        """The socket to the forker, which is started if it is not running."""
        async with self._starting:
            if self._forker is not None and self._forker.returncode is not None:
                await self.close()
            if self._control is None:
                environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
                ours, theirs = socket.socketpair()
                with theirs:
                    try:
                        self._forker = await asyncio.create_subprocess_exec(
                            *_FORKER, stdin=theirs.fileno(), env=environment
                        )
                    except BaseException:
                        ours.close()
                        raise
                ours.settimeout(0)
                self._control = ours
            return self._control


async def _all_of(answer: socket.socket) -> bytes:
    """The reader's answer, followed by the forker's line on how the reader ended."""
    loop, said = asyncio.get_running_loop(), b""
    while len(said) < _ANSWER_MAX_BYTES and (more := await loop.sock_recv(answer, _ANSWER_MAX_BYTES)):
        said += more
    return said


def _read(said: bytes) -> Media:
    answer, line, ended = said.rpartition(b"\n")
    if not line:  # the forker ended before its reader: a service manager may signal all processes of a service
        raise InterruptedError(errno.EINTR, "its reader process was stopped")
    if ended.startswith(b"-"):  # killed by a signal: a crash, or a limit was reached
        raise MediaUnreadable("cannot be read: it is damaged, or takes too much memory")
    if ended != b"0":
        raise RuntimeError(f"inspecting a file failed with {ended!r}; its error is on standard error")
    seen = json.loads(answer)
    if isinstance(seen, dict):
        raise MediaNotTaken(seen["not_taken"]) if "not_taken" in seen else MediaUnreadable(seen["refused"])
    content_type, width, height, lasts, characters = seen
    return Media(content_type, width, height, None if lasts is None else Decimal(lasts), characters)
