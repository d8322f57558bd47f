"""Kill processes under load, let it settle, and count what was lost: `make chaos`, with SEED= and STEPS=.

Runs the real thing (`farebox up`: Redis, gateway, workers, caretaker) in a folder of its own, on a free port. Clients
submit with idempotency keys and retry; meanwhile a random child is killed with -9, STEPS times. Afterwards every
acknowledged generation must be final, charged for what was delivered and nothing else, with nothing held.
"""

from __future__ import annotations

import asyncio
import os
import random
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from rich.console import Console
from rich.progress import track
from rich.table import Table

ACCOUNTS = 5
CREDITS = 1000
PRICE = 5
CLIENTS = 10
SETTLE_SECONDS = 180
FINAL = frozenset({"succeeded", "failed", "cancelled"})
FAULTS = ("redis", "gateway", "worker image", "caretaker")
_RETRIED_FROM = 500
_FOUND = 200
_ACCEPTED = frozenset({_FOUND, 202})


@dataclass(slots=True)
class Load:
    """What clients asked for: requests sent, and the generations acknowledged, by account."""

    address: str
    admin: str
    keys: dict[str, str] = field(default_factory=dict)
    requests: int = 0
    acknowledged: dict[str, str] = field(default_factory=dict)
    stopping: bool = False

    async def call(
        self, http: aiohttp.ClientSession, method: str, path: str, key: str, body: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """Send one request until it is answered, with one idempotency key."""
        headers = {"Authorization": f"Bearer {key}"}
        if method != "GET":
            headers["Idempotency-Key"] = secrets.token_hex(8)
        while True:
            self.requests += 1
            try:
                async with http.request(method, self.address + path, json=body, headers=headers) as answer:
                    if answer.status < _RETRIED_FROM:
                        content: dict[str, Any] = await answer.json()
                        return {"http_status": answer.status, **content}
            except (aiohttp.ClientError, TimeoutError):
                pass
            await asyncio.sleep(0.2)

    async def make_accounts(self, http: aiohttp.ClientSession) -> None:
        """Accounts with enough top-up credits for the whole run."""
        for number in range(ACCOUNTS):
            name = f"chaos-{number}"
            path = f"/v1/admin/accounts/{name}"
            await self.call(http, "PUT", path, self.admin, {})
            grant = {"bucket": "top_up", "credits": CREDITS, "reason": "chaos"}
            await self.call(http, "POST", f"{path}/grants", self.admin, grant)
            made = await self.call(http, "POST", f"{path}/keys", self.admin, {})
            self.keys[name] = made["key"]

    async def submit(self, http: aiohttp.ClientSession, dice: random.Random) -> None:
        """One client: submit to random accounts until told to stop."""
        while not self.stopping:
            name = dice.choice(sorted(self.keys))
            sandbox = {"delay_seconds": dice.choice([0, 1, 3]), "deliver": dice.choice([1, 2])}
            body = {"tool": "image", "model": "flux-dev", "prompt": "chaos", "outputs": 2, "sandbox": sandbox}
            answer = await self.call(http, "POST", "/v1/generations", self.keys[name], body)
            if answer["http_status"] in _ACCEPTED:
                self.acknowledged[answer["id"]] = name
            await asyncio.sleep(dice.uniform(0.2, 0.6))


def main() -> int:
    """Run, print the table, exit 1 on any loss."""
    seed, steps = int(os.environ.get("SEED", "1")), int(os.environ.get("STEPS", "20"))
    console = Console()
    console.print(f"chaos: SEED={seed} STEPS={steps}")
    with tempfile.TemporaryDirectory(prefix="farebox-chaos-") as folder:
        environment = {
            **os.environ,
            "FAREBOX_DATA": folder,
            "FAREBOX_PORT": str(_free_port()),
            "FAREBOX_LEASE_SECONDS": "2",
            "FAREBOX_ADMIN_KEY": secrets.token_hex(16),
        }
        log = Path(folder, "up.log")
        with log.open("w") as file:
            command = [sys.executable, "-m", "gateway", "up"]
            up = subprocess.Popen(command, env=environment, stdout=file, stderr=file)
            try:
                problems = asyncio.run(_torment(up.pid, environment, random.Random(seed), steps, console))
            finally:
                up.send_signal(signal.SIGINT)
                up.wait(timeout=60)
        if problems:
            console.print(f"the log's last lines:\n{log.read_text()[-3000:]}", markup=False)
    return 1 if problems else 0


async def _torment(
    up: int, environment: dict[str, str], dice: random.Random, steps: int, console: Console
) -> list[str]:
    load = Load(f"http://127.0.0.1:{environment['FAREBOX_PORT']}", environment["FAREBOX_ADMIN_KEY"])
    faults: Counter[str] = Counter()
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=15)) as http:
        await load.make_accounts(http)
        clients = [asyncio.create_task(load.submit(http, random.Random(dice.random()))) for _ in range(CLIENTS)]
        for _ in track(range(steps), description="killing", console=console):
            await asyncio.sleep(dice.uniform(0.5, 2.0))
            fault = dice.choice(FAULTS)
            faults[fault] += _kill(up, fault)
        load.stopping = True
        await asyncio.gather(*clients)
        problems = await _settled(load, http)
    table = Table("what", "count")
    for fault in FAULTS:
        table.add_row(f"kill -9 {fault}", str(faults[fault]))
    table.add_row("requests", str(load.requests))
    table.add_row("acknowledged", str(len(load.acknowledged)))
    table.add_row("lost or wrong", str(len(problems)))
    console.print(table)
    for problem in problems:
        console.print(problem)
    return problems


def _kill(up: int, fault: str) -> int:
    """Kill one child of our own `farebox up`; 0 if it is not there just now."""
    for pid in Path(f"/proc/{up}/task/{up}/children").read_text().split():
        try:
            command = Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
        except OSError:
            continue
        if f"gateway {fault}" in command or (fault == "redis" and "redis-server" in command):
            os.kill(int(pid), signal.SIGKILL)
            return 1
    return 0


async def _settled(load: Load, http: aiohttp.ClientSession) -> list[str]:
    """Wait until everything is final, then say what is wrong with it."""
    problems: list[str] = []
    charged: Counter[str] = Counter()
    deadline = time.monotonic() + SETTLE_SECONDS
    for generation, account in load.acknowledged.items():
        while True:
            found = await load.call(http, "GET", f"/v1/generations/{generation}", load.keys[account])
            if found.get("status") in FINAL or found["http_status"] != _FOUND or time.monotonic() > deadline:
                break
            await asyncio.sleep(0.3)
        if found.get("status") not in FINAL:
            problems.append(f"{generation}: {found.get('status', found['http_status'])}, not final")
            continue
        paid = found["credits"]
        charged[account] += paid["committed"]
        if (
            paid["committed"] != PRICE * len(found["outputs"])
            or paid["held"]
            or paid["committed"] + paid["refunded"] != 2 * PRICE
        ):
            problems.append(f"{generation}: delivered {len(found['outputs'])}, credits {paid}")
    for account, key in load.keys.items():
        balance = await load.call(http, "GET", "/v1/balance", key)
        free = balance["buckets"]["free"]["available"]
        if balance["held"]:
            problems.append(f"{account}: {balance['held']} still held")
        if free + balance["buckets"]["top_up"]["available"] != 100 + CREDITS - charged[account]:
            problems.append(f"{account}: charged {charged[account]}, but has {balance['available']}")
    return problems


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


if __name__ == "__main__":
    raise SystemExit(main())
