"""A gateway with few file descriptors, and hundreds of connections that say nothing: who else comes is served."""

from __future__ import annotations

import contextlib
import http.client
import os
import resource
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.free_ports import free_port
from tests.redis_servers import RedisServer
from tests.whole.everything import until

FILES = 512  # of which the gateway serves 256 clients, 64 of an address
FLOOD = 400


@pytest.fixture
def port(tmp_path: Path, own_redis: RedisServer) -> Iterator[int]:
    """A gateway that may open few files, and cannot raise that."""
    port = free_port()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("FAREBOX_")}
    environment |= {
        "FAREBOX_DATA": str(tmp_path / "data"),
        "FAREBOX_PORT": str(port),
        "FAREBOX_LEDGER_URL": f"redis://127.0.0.1:{own_redis.port}",
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "gateway", "gateway"],
        env=environment,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (FILES // 2, FILES)),  # noqa: PLW1509 - no threads
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        until(lambda: status(port, "/readyz") == 200)
        yield port
    finally:
        process.terminate()
        process.wait(30)


def status(port: int, path: str, source: str = "127.0.0.1") -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20, source_address=(source, 0))
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    finally:
        connection.close()


@contextlib.contextmanager
def half_open(port: int, source: str) -> Iterator[list[socket.socket]]:
    """Connections that have begun a request and do not go on."""
    made: list[socket.socket] = []
    try:
        for _ in range(FLOOD):
            made.append(socket.create_connection(("127.0.0.1", port), timeout=20, source_address=(source, 0)))
            with contextlib.suppress(ConnectionError):  # ended already, to make room
                made[-1].sendall(b"GET /v1/balance HTTP/1.1\r\nHost: x\r\n")
        yield made
    finally:
        for one in made:
            one.close()


def test_half_open_connections_lock_out_neither_others_nor_their_own_address_nor_health_probes(port: int) -> None:
    """800 of them did, at `ulimit -n 1024`, for as long as somebody liked."""
    with half_open(port, "127.0.0.1") as flood:
        for source in ("127.0.0.2", "127.0.0.1"):
            for path in ("/healthz", "/readyz", "/v1/rate-card"):
                assert status(port, path, source) == 200, (source, path)
        open_still = 0
        for one in flood:
            one.settimeout(0)
            try:
                one.recv(1)
            except BlockingIOError:
                open_still += 1
            except ConnectionError:
                pass
        assert open_still <= FILES // 2 // 4
    assert status(port, "/v1/rate-card") == 200


def test_a_process_that_may_open_too_few_files_says_what_to_do(tmp_path: Path) -> None:
    refused = subprocess.run(
        [sys.executable, "-m", "gateway", "gateway"],
        env={**os.environ, "FAREBOX_DATA": str(tmp_path)},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (128, 200)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert refused.returncode == 2
    assert "limited to 200 open files, and Farebox needs at least 256" in refused.stderr
    assert "ulimit -n 4096" in refused.stderr
