"""A durable Redis on a clock of ours: what expires in a year does so in minutes.

`clock.c` is compiled and preloaded. The clock is moved by one write, and Redis has it at once.
"""

from __future__ import annotations

import asyncio
import math
import shutil
import struct
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from redis.exceptions import RedisError

from benchmarks.servers import child, wait_until
from gateway.ledger.ledger import Ledger
from gateway.local.embedded import durable_arguments, find_redis
from gateway.redis_link.connections import connect_ledger

MISSING = "there is no C compiler (Debian: apt install gcc libc6-dev) for benchmarks/clock.c: what needs it was not run"
_SOURCE = Path(__file__).with_name("clock.c")
_AGAIN_SECONDS = 0.02


def compiler() -> str | None:
    """The C compiler of this machine."""
    return shutil.which("cc") or shutil.which("gcc")


@dataclass(frozen=True, slots=True)
class MovedRedis:
    """A running server, its files, and its clock."""

    socket: Path
    clock: Path

    def set(self, at_seconds: float) -> None:
        """Set its clock, to seconds since the epoch or up to one more; it goes on from there."""
        ahead = math.ceil(at_seconds - time.time())
        with self.clock.open("r+b") as file:
            file.write(struct.pack("q", ahead))


@asynccontextmanager
async def moved_redis(folder: Path, at_seconds: float) -> AsyncIterator[MovedRedis]:
    """A server on the files of `folder`, which may have been another's, with its clock at `at_seconds`.

    Ready, with its files loaded. They are flushed by the system alone until `appendfsync` is set.
    """
    compiled = folder.parent / "clock.so"
    if not compiled.exists():
        command = [str(compiler()), "-O2", "-shared", "-fPIC", "-o", str(compiled), str(_SOURCE)]
        await asyncio.to_thread(subprocess.run, command, check=True)
    clock = folder / "clock"
    clock.write_bytes(bytes(8))
    server = MovedRedis(folder / "redis.sock", clock)
    server.set(at_seconds)
    command = [str(find_redis().path), *durable_arguments(), "--appendfsync", "no", "--dir", str(folder)]
    command += ["--auto-aof-rewrite-percentage", "0", "--latency-tracking-info-percentiles", "25 50 75"]
    command += ["--unixsocket", str(server.socket), "--port", "0"]
    moved = {"LD_PRELOAD": str(compiled), "MOVED_CLOCK": str(clock)}
    server.socket.unlink(missing_ok=True)
    with child(command, environment=moved, log=folder / "redis.log") as process:
        wait_until(server.socket.exists, process, folder / "redis.log")
        await _loaded(server.socket, process)
        yield server


async def _loaded(redis_socket: Path, process: subprocess.Popen[bytes]) -> None:
    ledger = Ledger(connect_ledger(f"unix://{redis_socket}"))
    while True:
        try:
            await ledger.redis.ping()
            break
        except RedisError:
            if process.poll() is not None:
                raise RuntimeError(f"Redis has ended: see {redis_socket.with_name('redis.log')}") from None
            await asyncio.sleep(_AGAIN_SECONDS)
    await ledger.close()
