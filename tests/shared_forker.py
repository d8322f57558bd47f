"""One forker (`gateway.media.isolation`) for all that a test process opens: each takes 0.2 seconds of CPU to start.

Hundreds of tests have a worker or a gateway look into one file. Each file still has a reader of its own, and tests that
replace the forker have theirs.
"""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from unittest.mock import patch

from gateway.media import Readers, isolation


@dataclass
class SharedForker:
    """Is started when it is first needed."""

    process: subprocess.Popen[bytes] | None = None
    control: socket.socket | None = None

    def started(self) -> socket.socket:
        """The socket to it."""
        if self.process is not None and self.process.poll() is not None:
            self.stop()
        if self.control is None:
            self.control, theirs = socket.socketpair()
            self.control.settimeout(0)
            environment = {name: os.environ[name] for name in isolation._ENVIRONMENT if name in os.environ}  # noqa: SLF001 - as `Readers` does
            with theirs:
                self.process = subprocess.Popen(isolation._FORKER, stdin=theirs.fileno(), env=environment)  # noqa: SLF001 - likewise
        return self.control

    def stop(self) -> None:
        """End it, and with it its readers."""
        if self.process is not None and self.control is not None:
            self.control.close()
            self.process.wait()
        self.process = self.control = None


@contextmanager
def forker_is_shared() -> Iterator[None]:
    """Have all `Readers` of this process share one, and end it."""
    shipped, start, shared = isolation._FORKER, Readers._started, SharedForker()  # noqa: SLF001 - what is shared here

    async def started(readers: Readers) -> socket.socket:
        return shared.started() if shipped == isolation._FORKER else await start(readers)  # noqa: SLF001 - likewise

    with patch.object(Readers, "_started", started):
        yield
    shared.stop()
