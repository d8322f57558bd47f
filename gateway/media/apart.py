"""Look into strangers' files in processes of their own, which may take only so much memory and time.

FFmpeg believes what a file says of itself: 600 bytes of MP4 that speak of 20 million samples make it allocate a
gigabyte before it reads the first, and no option bounds that. And whatever else a file may do to code in C, it does it
to a process that knows no key and serves nobody.

To start Python and load what reads files takes 0.1 seconds of a core. So that is done once, in the *forker*
(`gateway.media.__main__`), which makes a fork of itself for each file, the *reader*: 3 ms for an image, and no reader
sees another's file.
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
from gateway.media.looking import LOOK_SECONDS, Media

MEMORY_MAX_BYTES = 1536 * 1024 * 1024  # the largest images that are taken need 1.1 GB as GIF or WebP, 0.7 as JPEG
REQUEST = b"?"  # what the forker is sent, with a socket for the answer and the file; and one that it is converted into
DESCRIPTORS_MAX = 3  # that come with it

_FORKER = (sys.executable, "-P", "-m", "gateway.media")  # -P: a folder named gateway where we happen to run is not ours
_ENVIRONMENT = ("LANG", "LD_LIBRARY_PATH", "PATH", "PYTHONHOME", "PYTHONPATH", "TMPDIR")  # no secret is among them
_ANSWER_MAX_BYTES = 4096
_CLOSE_SECONDS = 5


class Readers:
    """Looks into files. How many at once is for who asks to bound: a reader may take a core and 1.5 GB."""

    def __init__(self) -> None:
        self._forker: Process | None = None
        self._control: socket.socket | None = None
        self._starting = asyncio.Lock()

    async def look(self, file: BinaryIO) -> Media:
        """As `looking.look`. MediaUnreadable also if the file takes too much memory or time, or makes its reader crash.

        OSError if no process can be had, or if somebody has ended it.
        """
        return await self._ask(file)

    async def convert(self, file: BinaryIO, into: BinaryIO) -> Media:
        """As `looking.convert`, with the errors of `look`. What is in `into` is overwritten."""
        into.seek(0)
        into.truncate()
        return await self._ask(file, into)

    async def _ask(self, *files: BinaryIO) -> Media:
        control = await self._started()
        ours, theirs = socket.socketpair()
        with ours:
            with theirs:
                socket.send_fds(control, [REQUEST], [theirs.fileno(), *(file.fileno() for file in files)])
            ours.settimeout(0)
            try:
                async with asyncio.timeout(LOOK_SECONDS):
                    said = await _all_of(ours)
            except TimeoutError:
                raise MediaUnreadable("takes too long to read") from None
        # Whoever hangs up, as we just did or when we are cancelled, has the forker kill the reader.
        return _read(said)

    async def close(self) -> None:
        """End the forker, which ends its readers."""
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
        """The socket to the forker, which is started if there is none, or none any more."""
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
    """What a reader says, and after it the forker: how it ended."""
    loop, said = asyncio.get_running_loop(), b""
    while len(said) < _ANSWER_MAX_BYTES and (more := await loop.sock_recv(answer, _ANSWER_MAX_BYTES)):
        said += more
    return said


def _read(said: bytes) -> Media:
    answer, line, ended = said.rpartition(b"\n")
    if not line:  # the forker has ended before its reader: whoever stops a service may signal all its processes
        raise InterruptedError(errno.EINTR, "its reader was told to end")
    if ended.startswith(b"-"):  # a signal: that of a crash, or that of a limit
        raise MediaUnreadable("cannot be read: it is damaged, or takes too much memory")
    if ended != b"0":
        raise RuntimeError(f"looking into a file failed with {ended!r}; its error is on standard error")
    seen = json.loads(answer)
    if isinstance(seen, dict):
        raise MediaNotTaken(seen["not_taken"]) if "not_taken" in seen else MediaUnreadable(seen["refused"])
    content_type, width, height, lasts = seen
    return Media(content_type, width, height, None if lasts is None else Decimal(lasts))
