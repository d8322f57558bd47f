"""What runs: everything that `farebox up` runs, twice where two are more interesting than one.

Two Redis (the ledger's and the queue's, both durable, both `farebox redis`), two gateways, two image workers, a video
worker, one whose provider is elsewhere, two caretakers. Each is the Procfile's own command line, supervised as in
`farebox up`: started again when it dies. Each reaches each Redis over a line of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import secrets
import shutil
import signal
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from redis.asyncio import Redis
from redis.exceptions import RedisError

from chaos.box import Box
from chaos.lines import Line
from gateway.ledger.ledger import Ledger
from gateway.local.supervisor import Program, Supervisor
from gateway.redis_link.connections import connect_ledger, connect_queue
from gateway.settings import load_settings
from tests.free_ports import free_port

LEASE_SECONDS = 1.5
GATEWAYS = ("gateway-1", "gateway-2")
IMAGE_WORKERS = ("worker-image-1", "worker-image-2")
PROVIDER_WORKER = "worker-print"
WORKERS = (*IMAGE_WORKERS, "worker-video", PROVIDER_WORKER)
CARETAKERS = ("caretaker-1", "caretaker-2")
LEDGER, QUEUE = "ledger", "queue"
REDIS = (LEDGER, QUEUE)
FAREBOX = (*GATEWAYS, *WORKERS, *CARETAKERS)
EVERYTHING = (*REDIS, *FAREBOX)

_KILL_AFTER_SECONDS = 60
_CHECK_SECONDS = 0.05
CARD = Path(__file__).with_name("pricing.toml")
_BOXES = "http://127.0.0.1:9", "http://127.0.0.1:19"  # on the card

AttemptName = tuple[str, int]
"""A generation and the number of one attempt at it."""


@dataclass(slots=True)
class Said:
    """What the processes logged, as far as it is counted; the whole is in the log file."""

    begun: dict[AttemptName, str] = field(default_factory=dict)
    """Which process began an attempt."""
    ended: set[AttemptName] = field(default_factory=set)
    refused: Counter[str] = field(default_factory=Counter)
    """Stale attempts that were refused, by the transition that they tried."""
    rescues: Counter[str] = field(default_factory=Counter)
    not_stored: Counter[str] = field(default_factory=Counter)
    """Outputs that waited for the store, and inputs that were refused, while it was full or away."""
    late: set[str] = field(default_factory=set)
    """Jobs that a provider finished after the generation had left it, and that were counted."""
    ready: Counter[str] = field(default_factory=Counter)
    """How often a process said that it is ready."""
    errors: Counter[str] = field(default_factory=Counter)
    """Lines of the level `error`, by process kind and event."""

    def read(self, name: str, line: str) -> None:
        """Count one line."""
        try:
            event = json.loads(line)
        except ValueError:
            return
        attempt = (event.get("generation", ""), event.get("attempt", 0))
        match event.get("event"):
            case "attempt_begun":
                self.begun[attempt] = name
            case "attempt_ended":
                self.ended.add(attempt)
            case "stale_attempt_refused":
                self.refused[event["transition"]] += 1
            case "waited_for_store":
                self.not_stored["output"] += 1
            case "input_not_stored":
                self.not_stored["input"] += 1
            case "provider_succeeded_late":
                self.late.add(event["job"])
            case "gateway_ready" | "worker_ready" | "caretaker_ready":
                self.ready[name] += 1
            case "rescued":
                self.rescues[event["action"]] += 1
        if event.get("level") in {"error", "critical"}:
            self.errors[f"{name.rstrip('-12')}: {event['event']}"] += 1

    def unfinished(self, name: str) -> list[AttemptName]:
        """The attempts that a process began and did not end."""
        return [attempt for attempt, who in self.begun.items() if who == name and attempt not in self.ended]


def _environment(folder: Path, outputs: Path, card: Path, admin_key: str, box_secret: str) -> dict[str, str]:
    """What every process is started with."""
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("FAREBOX_")},
        "FAREBOX_DATA": str(folder),
        "FAREBOX_RATE_CARD": str(card),
        "FAREBOX_OUTPUTS_URL": outputs.as_uri(),
        "FAREBOX_ADMIN_KEY": admin_key,
        "FAREBOX_TEST_MODE": "1",
        "FAREBOX_REQUIRE_DURABLE": "1",
        "FAREBOX_LEASE_SECONDS": str(LEASE_SECONDS),
        "FAREBOX_DISPATCH_SECONDS": "1",
        "FAREBOX_GRACE_SECONDS": "3",
        "FAREBOX_WEBHOOK_NETWORKS": "127.0.0.0/8",
        "FAREBOX_LOG_FORMAT": "json",
        "CHAOS_BOX_SECRET": box_secret,
    }


class Processes:
    """All of them, from `start` to `stop`."""

    def __init__(
        self,
        folder: Path,
        outputs: Path,
        boxes: Sequence[Box],
        dice: random.Random,
        code: Path | None,
        *,
        python: Path = Path(sys.executable),
    ) -> None:
        """Everything lives in `folder`; `code` has another Farebox than the one that is installed, or is None.

        `python` has the Farebox that all processes but both Redis start with.
        """
        self.said = Said()
        self.card = folder / "pricing.toml"
        text = CARD.read_text()
        for there, box in zip(_BOXES, boxes, strict=True):
            text = text.replace(f'"{there}"', f'"{box.address}"')
        self.card.write_text(text)
        self.log_path = folder / "chaos.log"
        self.admin_key = "fbx_" + secrets.token_urlsafe(32)
        self.lines = {
            (name, role): Line(self._socket(folder, role), random.Random(dice.random()))
            for name in FAREBOX
            for role in REDIS
        }
        self.environment = _environment(folder, outputs, self.card, self.admin_key, boxes[0].secret)
        if code is not None:
            self.environment["PYTHONPATH"] = str(code)
        self.ports = {name: free_port() for name in GATEWAYS}
        self.addresses = [f"http://127.0.0.1:{port}" for port in self.ports.values()]
        self.ledger_url, self.queue_url = (f"unix://{self._socket(folder, role)}" for role in REDIS)
        self.ledger = Ledger(connect_ledger(self.ledger_url), lease_ms=round(LEASE_SECONDS * 1000), dispatch_ms=1000)
        self._folder = folder
        self._pythons = dict.fromkeys(FAREBOX, python)
        self._log = self.log_path.open("w", buffering=1)
        self._supervisor: Supervisor | None = None

    async def start(self) -> None:
        """Start everything, and return when both Redis answer; the rest is on its way."""
        for line in self.lines.values():
            await line.listen()
        self._supervisor = supervisor = Supervisor(self.environment, self._show, _KILL_AFTER_SECONDS)
        for role in REDIS:
            supervisor.start(Program(role, self._with({"FAREBOX_DATA": str(self._folder / role)}, "redis"), stage=0))
        for role in REDIS:
            await self.answers(role)
        for name in FAREBOX:
            supervisor.start(self._program(name))

    async def stop(self) -> None:
        """End everything, also what is frozen, and close the log."""
        if self._supervisor is not None:
            for name in EVERYTHING:
                self.signal(name, signal.SIGCONT)
            for line in self.lines.values():
                line.restore()
            await self._supervisor.stop()
        for line in self.lines.values():
            await line.close()
        await self.ledger.close()
        self._log.close()

    def command(self, *words: str) -> tuple[str, ...]:
        """An operator's `farebox` command, to be run in `environment`."""
        return self._with(self._own(CARETAKERS[0]), *words)

    def process(self, name: str) -> int | None:
        """The id of a process, while it runs."""
        return None if self._supervisor is None else self._supervisor.process(name)

    async def replace(self, name: str, python: Path) -> None:
        """End a process, and start it with another Python; return when it is ready."""
        if self._supervisor is None:
            raise RuntimeError("start it first")
        await self._supervisor.end(name)
        self._pythons[name], before = python, self.said.ready[name]
        self._supervisor.start(self._program(name))
        while self.said.ready[name] == before:  # noqa: ASYNC110 - another process
            await asyncio.sleep(_CHECK_SECONDS)

    async def running(self, name: str) -> int:
        """The id of a process, as soon as it runs."""
        while True:
            if (pid := self.process(name)) is not None:
                return pid
            await asyncio.sleep(_CHECK_SECONDS)

    async def replaced(self, name: str, old: int) -> None:
        """Return as soon as another process than `old` runs."""
        while True:
            if await self.running(name) != old:
                return
            await asyncio.sleep(_CHECK_SECONDS)

    def signal(self, name: str, number: signal.Signals) -> bool:
        """Send a signal to a process; False if it does not run just now."""
        pid = self.process(name)
        if pid is None:
            return False
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
        return True

    def redis(self, role: str) -> Redis:
        """A connection to a Redis of our own, past every line."""
        return connect_queue(self.ledger_url if role == LEDGER else self.queue_url)

    async def answers(self, role: str) -> None:
        """Return when a Redis answers."""
        async with self.redis(role) as redis:
            while True:
                with contextlib.suppress(RedisError, OSError):
                    await redis.ping()
                    return
                await asyncio.sleep(_CHECK_SECONDS)

    def _show(self, name: str, line: str) -> None:
        self._log.write(f"{name:14} {line}\n")
        self.said.read(name, line)

    def _own(self, name: str) -> dict[str, str]:
        own = {
            "FAREBOX_LEDGER_URL": f"redis://127.0.0.1:{self.lines[name, LEDGER].port}",
            "FAREBOX_QUEUE_URL": f"redis://127.0.0.1:{self.lines[name, QUEUE].port}",
        }
        if name in self.ports:
            own["FAREBOX_PORT"] = str(self.ports[name])
        if name == PROVIDER_WORKER:  # what the provider may call: a gateway, which is killed and frozen like the other
            own["FAREBOX_PUBLIC_URL"] = self.addresses[0]
        return own

    def _program(self, name: str) -> Program:
        return Program(name, self._with(self._own(name), *_words(name), python=self._pythons[name]))

    @staticmethod
    def _with(environment: dict[str, str], *words: str, python: Path = Path(sys.executable)) -> tuple[str, ...]:
        """A command of ours with an environment of its own: `env` becomes the command, so the process is the same."""
        env, own = shutil.which("env") or "/usr/bin/env", [f"{name}={value}" for name, value in environment.items()]
        return (env, *own, str(python), "-P", "-m", "gateway", *words)

    @staticmethod
    def _socket(folder: Path, role: str) -> Path:
        return load_settings(data=folder / role).redis_socket


def _words(name: str) -> tuple[str, ...]:
    """The Procfile's command of a process: `worker-image-1` is `worker image`."""
    words = name.rstrip("-12").split("-")
    return tuple(words)
