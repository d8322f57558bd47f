"""`make chaos REMOTE=300`: a worker on a machine of its own, with nothing but HTTPS to the gateway, which is cut off.

Its machine is a network namespace. On the other side of its cable, Caddy listens, with the example of `deploy/` and a
certificate that only its own file vouches for, and nothing else does. So many generations are ordered, and run there
at once; then the cable is pulled, until all leases have lapsed; then it is plugged in again, and everything must end.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console

from chaos.checks import Checks
from chaos.counting import check_ledger, count_books, settle
from chaos.failovers.installation import Installation
from chaos.failovers.network import GATEWAYS, Machine, Network, enter_network
from chaos.failovers.servers import Server, redis_arguments
from chaos.findings import Findings
from chaos.given import Given
from chaos.load import Load, Order
from gateway.domain import State
from gateway.local.supervisor import Program
from tests.free_ports import free_port
from tests.proxies import caddy, certificate

LEASE_SECONDS = 10
_ACCOUNTS = 10
_GRANTED = 10_000
_SECONDS_EACH = 120  # how long a generation takes: so long that all of them run at once
_PATIENCE_SECONDS = 600
_CHECK_SECONDS = 0.1
_WORKER = "worker-remote"
_EXPECTED_ERRORS = {f"{_WORKER}: STORE_UNAVAILABLE"}  # it is the gateway's, which is cut off


@dataclass(slots=True)
class Run:
    """Everything of a run, and what came of it."""

    count: int
    installation: Installation
    load: Load
    network: Network
    machine: Machine
    findings: Findings = field(default_factory=Findings)
    checks: Checks = field(default_factory=Checks)
    problems: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)

    def figures(self) -> dict[str, Any]:
        """Everything, by name."""
        findings, said = self.findings, self.installation.said
        unexpected = [
            f"logged as an error: {what} ({times} times)"
            for what, times in said.errors.items()
            if what not in _EXPECTED_ERRORS
        ]
        return {
            "generations": self.count,
            "acknowledged": len(self.load.acknowledged),
            "lease, seconds": LEASE_SECONDS,
            "seconds": {name: round(seconds, 1) for name, seconds in self.seconds.items()},
            "ended": dict(findings.ended),
            "attempts": len(said.begun),
            "rescues": dict(said.rescues),
            "stale results refused": dict(said.refused),
            "errors logged": dict(said.errors),
            "outputs downloaded": findings.outputs,
            "journal entries": findings.entries,
            "credits charged": str(findings.charged),
            "lost": len(findings.lost),
            "double": len(findings.double),
            "wrong": len(findings.wrong),
            "differences of the audit": len(findings.differences),
            "problems": [*findings.problems, *self.problems, *self.load.problems, *self.checks.problems, *unexpected],
        }


def main(count: int) -> int:
    """Run it; the exit code."""
    console = Console()
    enter_network()
    network, proxy = Network(), shutil.which("caddy")
    if not network.may_cut or proxy is None:
        missing = "network namespaces (root, unshare, ip)" if proxy else "Caddy (apt-get install caddy)"
        console.print(f"REMOTE needs {missing}: without, nothing was tried.")
        return 2
    folder = Path(tempfile.mkdtemp(prefix="farebox-remote-"))
    try:
        figures = asyncio.run(_run(count, network, folder))
    except Exception:  # noqa: BLE001 - whatever broke, the logs say more
        console.print_exception()
        figures = {"problems": ["it broke off"]}
    console.print_json(json.dumps(figures))
    if path := os.environ.get("REPORT"):
        Path(path).write_text(json.dumps(figures, indent=2))
    if figures["problems"]:
        console.print(f"[bold red]Something is wrong.[/] The logs are kept: {folder}", soft_wrap=True)
        return 1
    shutil.rmtree(folder)
    return 0


async def _run(count: int, network: Network, folder: Path) -> dict[str, Any]:
    here, port = Machine("ledger", "127.0.0.1", ""), free_port()
    ledger = Server(here, folder / "ledger", port, redis_arguments(here, folder / "ledger", port))
    run = _prepared(count, network, folder, f"redis://{ledger.address}")
    ledger.start()
    try:
        await ledger.answers()
        await run.installation.start()
        with _proxy(folder, run.installation.ports["gateway-1"]) as address:
            await _work(run, folder, address)
    finally:
        await run.load.close()
        await run.installation.stop()
        await ledger.close()
    return run.figures()


def _prepared(count: int, network: Network, folder: Path, ledger_url: str) -> Run:
    installation = Installation(folder, ledger_url, 0, ("gateway-1", "caretaker"))
    card = installation.card.read_text()
    for before, after in {
        "concurrency = { image = 8,": f"concurrency = {{ image = {-(-count // _ACCOUNTS)},",
        'provider_timeout = "30s"': 'provider_timeout = "10m"',
        "attempts_max = 3\n\n[tools.video]": "attempts_max = 20\n\n[tools.video]",  # a busy machine may lose more
    }.items():
        if card.count(before) != 1:
            raise RuntimeError(f"the card of chaos has changed: {before}")
        card = card.replace(before, after)
    installation.card.write_text(card)
    installation.environment["FAREBOX_LEASE_SECONDS"] = str(LEASE_SECONDS)
    load = Load(installation.addresses[:1], installation.admin_key, 1, Given(installation.card), 0, short=True)
    return Run(count, installation, load, network, network.machine("gpus"))


@contextmanager
def _proxy(folder: Path, gateway: int) -> Iterator[str]:
    """Caddy before the gateway, at the only address that the other machine reaches; yields it."""
    certificate(folder, GATEWAYS)
    port = free_port()
    command = caddy(folder, gateway, port, GATEWAYS)
    with (folder / "proxy.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env={"HOME": str(folder), "PATH": "/usr/bin"})
    try:
        yield f"https://{GATEWAYS}:{port}"
    finally:
        process.kill()  # SIGTERM lets it wait for the worker's open requests
        process.wait()


async def _work(run: Run, folder: Path, address: str) -> None:
    await run.load.open_alone()
    _check_walls(run, folder, address)
    for number in range(_ACCOUNTS):
        await run.load.make_account(f"account-{number}", "large")
        await run.load.grant(f"account-{number}", _GRANTED, "at first")
    run.installation.start_one(await _worker(run, folder, address))
    with _timed(run, "until all ran at once"):
        await asyncio.gather(*(_order(run, number) for number in range(run.count)))
        await _until_running(run, run.count)
    run.network.cut(run.machine)
    with _timed(run, "cut off"):
        await _until_running(run, 0)  # a caretaker took all of them away
    run.network.mend(run.machine)
    with _timed(run, "until all had ended"):
        if not await settle(run.installation):
            run.problems.append("it never came to rest")
    shown = await count_books(run.findings, run.load, run.checks)
    run.problems += [f"{name} {one['status']}" for name, one in shown.items() if one["status"] != State.SUCCEEDED]
    if len(run.load.acknowledged) != run.count:
        run.problems.append(f"{run.count} were ordered, {len(run.load.acknowledged)} acknowledged")
    await check_ledger(run.findings, run.installation.ledger.redis, run.installation)


def _check_walls(run: Run, folder: Path, address: str) -> None:
    """From the other machine, the proxy answers, and neither Redis nor gateway do at any address that leads here."""
    proxy = int(address.rpartition(":")[2])
    listening = {int(url.rpartition(":")[2]) for url in (run.installation.environment["FAREBOX_LEDGER_URL"],
                 run.installation.environment["FAREBOX_QUEUE_URL"], *run.load.gateways)}  # fmt: skip
    script = "import socket, sys\nfor port in sys.argv[2:]: print(socket.socket().connect_ex((sys.argv[1], int(port))))"
    words = (sys.executable, "-c", script, GATEWAYS, str(proxy), *map(str, sorted(listening)))
    said = subprocess.run(run.machine.command(*words), capture_output=True, text=True, check=True, cwd=folder).stdout
    first, *others = said.split()
    if first != "0" or "0" in others:
        run.problems.append(f"the other machine reaches more or less than the proxy: {said.split()}")


async def _worker(run: Run, folder: Path, address: str) -> Program:
    """The worker, on its machine, with its own key and nothing of ours."""
    made = await run.load.operate("POST", "/v1/admin/keys", {"scope": "worker"}, "worker key")
    own = {
        "PATH": os.environ["PATH"],
        "FAREBOX_DATA": str(folder / "remote"),
        "FAREBOX_RATE_CARD": str(run.installation.card),
        "FAREBOX_LOG_FORMAT": "json",
        "FAREBOX_LEASE_SECONDS": str(LEASE_SECONDS),
        "FAREBOX_WORKER_KEY": made.body["key"],
        "SSL_CERT_FILE": str(folder / "fullchain.pem"),
    }
    settings = [f"{name}={value}" for name, value in own.items()]
    kept = 'exec env -i FAREBOX_PARENT_FD="$FAREBOX_PARENT_FD" "$@"'
    command = (sys.executable, "-P", "-m", "gateway", "worker", "image", "--jobs", str(run.count), "--via", address)
    return Program(_WORKER, tuple(run.machine.command("sh", "-c", kept, "worker", *settings, *command)))


async def _order(run: Run, number: int) -> None:
    body = {
        "tool": "image",
        "model": "sketch",
        "prompt": f"remote {number}",
        "metadata": {"key": f"order-{number}"},
        "sandbox": {"delay_seconds": _SECONDS_EACH},
    }
    await run.load.submit(Order(f"order-{number}", f"account-{number % _ACCOUNTS}", body))


async def _until_running(run: Run, count: int) -> None:
    async with asyncio.timeout(_PATIENCE_SECONDS):
        while (await run.installation.ledger.totals()).running.get("image", 0) != count:  # noqa: ASYNC110
            await asyncio.sleep(_CHECK_SECONDS)


@contextmanager
def _timed(run: Run, name: str) -> Iterator[None]:
    started = time.monotonic()
    yield
    run.seconds[name] = time.monotonic() - started
