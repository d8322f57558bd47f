"""A durable Redis of a benchmark's own."""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gateway.embedded import durable_arguments, find_redis


@contextmanager
def durable_redis() -> Iterator[Path]:
    """Start a server in a folder that goes with it; its unix socket."""
    with tempfile.TemporaryDirectory(prefix="farebox-bench-") as folder:
        socket = Path(folder, "redis.sock")
        command = [find_redis().path, *durable_arguments(), "--dir", folder, "--unixsocket", str(socket), "--port", "0"]
        server = subprocess.Popen([str(part) for part in command], stdout=subprocess.DEVNULL)
        while not socket.exists():
            time.sleep(0.05)
        try:
            yield socket
        finally:
            server.terminate()
            server.wait()
