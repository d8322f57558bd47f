"""Two gateways on one port: both serve, a dead one comes back, and they stop one after the other."""

from __future__ import annotations

import http.client
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.free_ports import free_port
from tests.redis_servers import RedisServer
from tests.whole.everything import until

CONNECTIONS = 12  # enough that each process has one: the chance that not is 1 in 2,048
CLIENTS = 6
PAUSE_SECONDS = 0.02  # between a client's requests: together some 200 a second
BOTH = {"gateway-1": 1.0, "gateway-2": 1.0}


@dataclass
class Gateways:
    port: int
    data: Path
    log: Path
    parent: subprocess.Popen[bytes]

    def up(self) -> dict[str, float]:
        """Which processes are on the metrics page, whoever answers."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request("GET", "/metrics")
            page = connection.getresponse().read().decode()
        except OSError:
            return {}
        finally:
            connection.close()
        found = re.findall(r'^farebox_process_up\{process="([\w-]+)"\} (\S+)$', page, re.MULTILINE)
        return {name: float(value) for name, value in found}

    def process(self, number: int) -> int:
        """The process id of one of them."""
        children = Path(f"/proc/{self.parent.pid}/task/{self.parent.pid}/children").read_text().split()
        return next(int(one) for one in children if f"--number\0{number}\0" in Path(f"/proc/{one}/cmdline").read_text())


@pytest.fixture(scope="module")
def gateways(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateways]:
    """Started once: the last test of this file stops them."""
    own_redis = RedisServer(tmp_path_factory.mktemp("gateways-redis"))
    own_redis.start()
    try:
        yield from started(tmp_path_factory.mktemp("gateways"), own_redis)
    finally:
        own_redis.stop()


def started(tmp_path: Path, own_redis: RedisServer) -> Iterator[Gateways]:
    port, log = free_port(), tmp_path / "log"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("FAREBOX_")}
    environment |= {
        "FAREBOX_DATA": str(tmp_path / "data"),
        "FAREBOX_PORT": str(port),
        "FAREBOX_LEDGER_URL": f"redis://127.0.0.1:{own_redis.port}",
    }
    with log.open("wb") as output:
        parent = subprocess.Popen(
            [sys.executable, "-m", "gateway", "gateway", "--processes", "2"],
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    made = Gateways(port, tmp_path / "data", log, parent)
    try:
        until(lambda: made.up() == BOTH)
        yield made
    finally:
        parent.terminate()
        parent.wait(60)


def test_sighup_replaces_both_processes_and_no_request_fails(gateways: Gateways) -> None:
    """Some clients keep their connection, others open one for each request; none repeats a request."""
    key = (gateways.data / "admin-key").read_text()
    before = {gateways.process(number) for number in (1, 2)}
    over, answered, failed = threading.Event(), [0] * CLIENTS, list[str]()

    def ask(number: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", gateways.port, timeout=60)
        while not over.is_set():
            try:
                connection.request(
                    "PUT", f"/v1/admin/accounts/account-{number}", b"{}", {"Authorization": f"Bearer {key}"}
                )
                with connection.getresponse() as response:
                    response.read()
                    assert response.status in {200, 201}, response.status
                answered[number] += 1
            except (OSError, http.client.HTTPException, AssertionError) as error:
                failed.append(repr(error))
                connection.close()
            if number % 2:
                connection.close()
            over.wait(PAUSE_SECONDS)
        connection.close()

    clients = [threading.Thread(target=ask, args=(number,)) for number in range(CLIENTS)]
    for client in clients:
        client.start()
    try:
        until(lambda: all(answered))
        gateways.parent.send_signal(signal.SIGHUP)
        until(lambda: b"all processes are replaced" in gateways.log.read_bytes())
        seen = list(answered)
        until(lambda: all(now > then for now, then in zip(answered, seen, strict=True)))
    finally:
        over.set()
        for client in clients:
            client.join()
    assert failed == []
    assert before.isdisjoint({gateways.process(number) for number in (1, 2)})


def test_both_serve_a_dead_one_comes_back_and_requests_in_flight_finish(gateways: Gateways) -> None:
    os.kill(gateways.process(2), signal.SIGKILL)
    until(lambda: b"restarting it" in gateways.log.read_bytes())
    until(lambda: gateways.up() == BOTH)

    key = (gateways.data / "admin-key").read_text()
    connections = [http.client.HTTPConnection("127.0.0.1", gateways.port, timeout=60) for _ in range(CONNECTIONS)]
    for number, connection in enumerate(connections):
        connection.putrequest("PUT", f"/v1/admin/accounts/account-{number}")
        connection.putheader("Authorization", f"Bearer {key}")
        connection.putheader("Content-Type", "application/json")
        connection.putheader("Content-Length", "2")
        connection.endheaders(b"{")
    until(lambda: gateways.up() == BOTH)  # an answer after theirs began
    gateways.parent.send_signal(signal.SIGTERM)
    until(lambda: gateways.up() in ({}, {"gateway-1": 1.0, "gateway-2": 0.0}))
    for connection in connections:
        connection.send(b"}")
        with connection.getresponse() as response:
            assert response.status in {200, 201}
        connection.close()
    assert gateways.parent.wait(60) == 0
