"""The processes that are measured: a durable Redis, the gateway, workers. They end with us, however we end."""

from __future__ import annotations

import asyncio
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.ledger.ledger import Ledger
from gateway.ledger.policy_of_card import policy_of
from gateway.local.embedded import durable_arguments, find_redis
from gateway.local.lifeline import Lifeline
from gateway.pricing.load import default_card_path, load_card
from gateway.redis_link.connections import connect_ledger
from tests.free_ports import free_port

START_SECONDS = 30
END_SECONDS = 10
_LINES_SHOWN = 60  # of a gateway's log, if what it was asked failed
_LIFELINE = Lifeline()


@contextmanager
def child(
    command: Sequence[str],
    *,
    environment: Mapping[str, str] | None = None,
    log: Path | None = None,
    tied: bool = True,
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program until the end of the block. Its output goes to `log`, or nowhere.

    It ends even if we are killed, unless `tied` is False: tying takes a moment, which counts where a start is timed.
    """
    tie = [sys.executable, "-m", "gateway.local.lifeline", str(_LIFELINE.reading_fd)]
    with (log or Path(os.devnull)).open("ab") as output:
        process = subprocess.Popen(
            [*tie, *command] if tied else command,
            env={**_own_environment(), **(environment or {})},
            pass_fds=[_LIFELINE.reading_fd],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,  # Ctrl-C is ours to hand on, in order: Redis last
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


async def asked(module: str, question: Mapping[str, Any]) -> dict[str, Any]:
    """Run a module of this package in a process of its own: JSON in, JSON out."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway.local.lifeline", str(_LIFELINE.reading_fd), sys.executable, "-m", module),
        pass_fds=[_LIFELINE.reading_fd],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        said, _ = await process.communicate(json.dumps(question).encode())
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0:
        raise RuntimeError(f"{module} ended with {process.returncode}")
    answer: dict[str, Any] = json.loads(said)
    return answer


@contextmanager
def durable_redis() -> Iterator[Path]:
    """Start a server in a folder that goes with it; its unix socket.

    The append-only file is not rewritten meanwhile: a rewrite in one round and not in the next would be noise, and
    some subjects read what the product wrote from that file.
    """
    with tempfile.TemporaryDirectory(prefix="farebox-bench-", ignore_cleanup_errors=True) as folder:
        path = Path(folder, "redis.sock")
        command = [find_redis().path, *durable_arguments(), "--auto-aof-rewrite-percentage", "0"]
        command += ["--dir", folder, "--unixsocket", str(path), "--port", "0"]
        with child([str(part) for part in command]) as process:
            wait_until(lambda: _listens(path), process)
            yield path


@contextmanager
def gateway_at(redis_socket: Path, *, tied: bool = True, processes: int = 1) -> Iterator[Running]:
    """The real `farebox gateway` on this Redis, ready; its log goes to a file, as a service's would."""
    port = free_port()
    command = [sys.executable, "-m", "gateway", "gateway", "--processes", str(processes)]
    log = redis_socket.parent / "gateway.log"
    with child(command, environment=environment(redis_socket, port), log=log, tied=tied) as process:
        wait_until(lambda: answers(port), process, log)
        try:
            yield Running(port, process.pid)
        except Exception:
            print("".join(log.read_text().splitlines(keepends=True)[-_LINES_SHOWN:]), file=sys.stderr)
            raise


@contextmanager
def peer_at(module: str, *arguments: object) -> Iterator[Running]:
    """A server of `benchmarks/peers/`, ready."""
    port = free_port()
    command = [sys.executable, "-m", f"benchmarks.peers.{module}", str(port), *map(str, arguments)]
    with child(command) as process:
        wait_until(lambda: answers(port), process)
        yield Running(port, process.pid)


@asynccontextmanager
async def ledger_at(redis_socket: Path) -> AsyncIterator[Ledger]:
    """The product's ledger on this Redis, with the policy of the default rate card."""
    # As the gateway connects, so that the product's own pool and policy of retries are measured.
    ledger = Ledger(connect_ledger(f"unix://{redis_socket}"))
    await ledger.start()
    await ledger.publish(policy_of(load_card(default_card_path())))
    try:
        yield ledger
    finally:
        await ledger.close()


def environment(redis_socket: Path, port: int = 0) -> dict[str, str]:
    """What a process of Farebox is told: its data folder is the Redis's, so it takes that for its embedded one."""
    return {
        "FAREBOX_DATA": str(redis_socket.parent),
        "FAREBOX_PORT": str(port),
        "FAREBOX_LOG_FORMAT": "json",
    }


def cpu_seconds(pid: int) -> float:
    """The CPU time that a process and its children have used so far; the kernel counts it in steps of 10 ms."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    used = sum(int(ticks) for ticks in fields[11:15]) / os.sysconf("SC_CLK_TCK")
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return used + sum(cpu_seconds(int(child)) for child in children)


@dataclass(frozen=True, slots=True)
class Running:
    """A server that answers."""

    port: int
    pid: int

    @property
    def memory_mb(self) -> float:
        """Its resident memory."""
        found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{self.pid}/status").read_text())
        return int(found[1]) / 1024 if found else float("nan")


def answers(port: int, path: str = "/readyz") -> bool:
    """Whether a server on this machine answers 200 at `path`."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
            connection.sendall(f"GET {path} HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n".encode())
            return connection.recv(64).startswith(b"HTTP/1.1 200")
    except OSError:
        return False


def _listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as connection:
        return connection.connect_ex(str(path)) == 0


def _own_environment() -> dict[str, str]:
    """Ours, without what whoever runs the benchmark has set for a Farebox of theirs.

    Python keeps the bytecode of Farebox as pip keeps that of the libraries: else each start would compile it anew.
    """
    ours = {name: value for name, value in os.environ.items() if not name.startswith("FAREBOX_")}
    ours.pop("PYTHONDONTWRITEBYTECODE", None)
    return ours


def wait_until(condition: Callable[[], bool], process: subprocess.Popen[bytes], log: Path | None = None) -> None:
    """Return as soon as `condition` holds; an error with the end of the log if the process ends or takes too long."""
    deadline = time.monotonic() + START_SECONDS
    while not condition():
        if process.poll() is not None or time.monotonic() > deadline:
            said = log.read_text()[-2000:] if log is not None else ""
            raise RuntimeError(f"{process.args!r} did not start\n{said}")
        time.sleep(0.005)
