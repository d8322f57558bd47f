"""`python -m gateway.media`: look into the file on standard input, and write what it is to standard output.

See `gateway.media.apart`, which starts it.
"""

from __future__ import annotations

import contextlib
import json
import resource
import signal
import sys
from pathlib import Path

from gateway.errors import MediaUnreadable
from gateway.media.apart import MEMORY_MAX_BYTES
from gateway.media.looking import LOOK_SECONDS, look


def main() -> None:
    """One look, within the limits of memory and time."""
    _keep_within_limits()
    for told_to_end in (signal.SIGINT, signal.SIGTERM):  # meant for who waits for us, and who then ends us if need be
        signal.signal(told_to_end, signal.SIG_IGN)
    try:
        seen = look(sys.stdin.buffer)
    except MediaUnreadable as refusal:
        json.dump({"refused": str(refusal)}, sys.stdout)
        return
    except MemoryError:  # outside of what the readers catch, as where their modules are loaded
        json.dump({"refused": "takes too much memory to read"}, sys.stdout)
        return
    lasts = None if seen.duration_seconds is None else str(seen.duration_seconds)
    json.dump([seen.content_type, seen.width, seen.height, lasts], sys.stdout)


def _keep_within_limits() -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (round(2 * LOOK_SECONDS),) * 2)  # if nobody is left to stop it
    with contextlib.suppress(OSError, ValueError):  # macOS has no such limit
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_MAX_BYTES, MEMORY_MAX_BYTES))
    with contextlib.suppress(OSError):  # Linux's word for who goes first where memory is short
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")


if __name__ == "__main__":
    main()
