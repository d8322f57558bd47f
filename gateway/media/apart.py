"""Look into a stranger's file in a process of its own, which may take only so much memory and time.

FFmpeg believes what a file says of itself: 600 bytes of MP4 that speak of 20 million samples make it allocate a
gigabyte before it reads the first, and no option bounds that. And whatever else a file may do to code in C, it does it
to a process that knows no key and serves nobody. To start one takes 0.1 seconds.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import os
import signal
import sys
from decimal import Decimal
from typing import BinaryIO

from gateway.errors import MediaUnreadable
from gateway.media.looking import LOOK_SECONDS, Media

MEMORY_MAX_BYTES = 1536 * 1024 * 1024  # the largest images that are taken need 1.1 GB as GIF or WebP, 0.7 as JPEG

_LOOK = (sys.executable, "-P", "-m", "gateway.media")  # -P: a folder named gateway where we happen to run is not ours
_TOLD_TO_END = frozenset({signal.SIGHUP, signal.SIGINT, signal.SIGTERM})
_ENVIRONMENT = ("LANG", "LD_LIBRARY_PATH", "PATH", "PYTHONHOME", "PYTHONPATH", "TMPDIR")  # no secret is among them


async def look_apart(file: BinaryIO) -> Media:
    """As `looking.look`. MediaUnreadable also if the file takes too much memory or time, or makes its reader crash.

    OSError if no process can be started, or if somebody ended it.
    """
    environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
    process = await asyncio.create_subprocess_exec(*_LOOK, stdin=file, stdout=asyncio.subprocess.PIPE, env=environment)
    try:
        async with asyncio.timeout(LOOK_SECONDS):
            said, _ = await process.communicate()
    except TimeoutError:
        raise MediaUnreadable("takes too long to read") from None
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    ended = await process.wait()
    if -ended in _TOLD_TO_END:  # whoever stops a service signals all its processes; the file is not to blame
        raise InterruptedError(errno.EINTR, "its reader was told to end")
    if ended < 0:  # a signal: that of a crash, or that of a limit
        raise MediaUnreadable("cannot be read: it is damaged, or takes too much memory")
    if ended > 0:
        raise RuntimeError(f"looking into a file failed with {ended}; its error is on standard error")
    return _read(said)


def _read(said: bytes) -> Media:
    answer = json.loads(said)
    if isinstance(answer, dict):
        raise MediaUnreadable(answer["refused"])
    content_type, width, height, lasts = answer
    return Media(content_type, width, height, None if lasts is None else Decimal(lasts))
