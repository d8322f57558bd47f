"""What uses the servers: two gateways, a worker, a caretaker and the queue's Redis, each the Procfile's own command.

Another run may have it with other programs.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from chaos.failovers.network import Machine
from chaos.failovers.servers import Server, redis_arguments
from chaos.processes import CARD, Said
from gateway.ledger.ledger import Ledger
from gateway.local.supervisor import Program, Supervisor
from gateway.redis_link.connections import connect_ledger
from tests.free_ports import free_port

LEASE_SECONDS = 3.0
GATEWAYS = ("gateway-1", "gateway-2")
_PROGRAMS = (*GATEWAYS, "worker-image", "caretaker")
_COMMAND = (sys.executable, "-P", "-m", "gateway")
_KILL_AFTER_SECONDS = 10


class Installation:
    """All of them, from `start` to `stop`."""

    def __init__(self, folder: Path, ledger_url: str, wait_replicas: int, programs: Sequence[str] = _PROGRAMS) -> None:
        self.said = Said()
        self.card = folder / "pricing.toml"
        self.card.write_text(CARD.read_text())
        self.log_path = folder / "chaos.log"
        self.admin_key = "fbx_" + secrets.token_urlsafe(32)
        self.ports = {name: free_port() for name in GATEWAYS}
        self.addresses = [f"http://127.0.0.1:{port}" for port in self.ports.values()]
        here, port = Machine("queue", "127.0.0.1", ""), free_port()
        self._queue = Server(here, folder / "queue", port, redis_arguments(here, folder / "queue", port))
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("FAREBOX_")},
            "FAREBOX_DATA": str(folder),
            "FAREBOX_RATE_CARD": str(self.card),
            "FAREBOX_LEDGER_URL": ledger_url,
            "FAREBOX_QUEUE_URL": f"redis://{self._queue.address}",
            "FAREBOX_WAIT_REPLICAS": str(wait_replicas),
            "FAREBOX_OUTPUTS_URL": (folder / "store").as_uri(),
            "FAREBOX_ADMIN_KEY": self.admin_key,
            "FAREBOX_TEST_MODE": "1",
            "FAREBOX_LEASE_SECONDS": str(LEASE_SECONDS),
            "FAREBOX_DISPATCH_SECONDS": "1",
            "FAREBOX_GRACE_SECONDS": "3",
            "FAREBOX_WEBHOOK_NETWORKS": "127.0.0.0/8",
            "FAREBOX_LOG_FORMAT": "json",
        }
        if wait_replicas:
            self.environment["FAREBOX_REQUIRE_DURABLE"] = "1"
        self.ledger = Ledger(
            connect_ledger(ledger_url),
            lease_ms=round(LEASE_SECONDS * 1000),
            dispatch_ms=1000,
            wait_replicas=wait_replicas,
        )
        self._programs = programs
        self._log = self.log_path.open("w", buffering=1)
        self._supervisor: Supervisor | None = None

    async def start(self) -> None:
        """Start everything, and return when the queue's Redis answers; the rest is on its way."""
        self._supervisor = supervisor = Supervisor(self.environment, self._show, _KILL_AFTER_SECONDS)
        self._queue.start()
        await self._queue.answers()
        for name in self._programs:
            own = {"FAREBOX_PORT": str(self.ports[name])} if name in self.ports else {}
            supervisor.start(Program(name, _with(own, *name.rstrip("-12").split("-"))))

    def start_one(self, program: Program) -> None:
        """Start another program beside them."""
        if self._supervisor is None:
            raise RuntimeError("start it first")
        self._supervisor.start(program)

    async def stop(self) -> None:
        """End everything, and close the log."""
        if self._supervisor is not None:
            await self._supervisor.stop()
        await self._queue.close()
        await self.ledger.close()
        self._log.close()

    def signal(self, name: str, number: signal.Signals) -> None:
        """Send a signal to a process, if it runs."""
        pid = None if self._supervisor is None else self._supervisor.process(name)
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def command(self, *words: str) -> tuple[str, ...]:
        """An operator's `farebox` command, to be run in `environment`."""
        return _with({}, *words)

    def _show(self, name: str, line: str) -> None:
        self._log.write(f"{name:14} {line}\n")
        self.said.read(name, line)


def _with(environment: dict[str, str], *words: str) -> tuple[str, ...]:
    env = shutil.which("env") or "/usr/bin/env"
    return (env, *(f"{name}={value}" for name, value in environment.items()), *_COMMAND, *words)
