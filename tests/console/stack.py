"""All of Farebox as `farebox up` runs it, in a folder of its own, for the browser to look at."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gateway.local.lifeline import Lifeline
from tests.free_ports import free_port

_ROOT = Path(__file__).parents[2]
_WAIT_SECONDS = 170  # until pytest itself gives up on a test; nothing asserts it
_FINAL = frozenset({"succeeded", "failed", "cancelled"})

# Everything that is started ends with this test run, also when it is killed.
_lifeline = Lifeline()


@dataclass(frozen=True, slots=True)
class Account:
    """An account and a key of it."""

    name: str
    key: str


@contextmanager
def running_stack(folder: Path) -> Iterator[Stack]:
    """A stack, from when it is ready."""
    running = Stack(folder)
    try:
        running.start()
        yield running
    finally:
        running.stop()


@dataclass
class Stack:
    """A running `farebox up` in test mode, with local payments and the default rate card."""

    folder: Path
    port: int = field(default_factory=free_port)
    more: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None
    _names: itertools.count[int] = field(default_factory=itertools.count)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def admin(self) -> str:
        return (self.folder / "admin-key").read_text().strip()

    @property
    def log(self) -> str:
        return (self.folder / "up.log").read_text()

    def start(self) -> None:
        """Start it, and return when it is ready."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("FAREBOX_")}
        environment |= {
            "FAREBOX_DATA": str(self.folder),
            "FAREBOX_PORT": str(self.port),
            "FAREBOX_PAYMENTS": "local",
            "FAREBOX_GRACE_SECONDS": "0",
            "FAREBOX_WEBHOOK_NETWORKS": "127.0.0.0/8",
            **self.more,
        }
        command = [sys.executable, "-m", "gateway.local.lifeline", str(_lifeline.reading_fd)]
        with (self.folder / "up.log").open("wb") as log:
            self.process = subprocess.Popen(
                [*command, sys.executable, "-m", "gateway", "up"],
                pass_fds=[_lifeline.reading_fd],
                cwd=_ROOT,
                env=environment,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        deadline = time.monotonic() + _WAIT_SECONDS
        while "Farebox is up" not in self.log:
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"farebox up did not start:\n{self.log}")
            time.sleep(0.1)

    def kill_gateway(self) -> None:
        """End the gateway as a crash would; `farebox up` starts another."""
        self.wait_until_ready()  # after an earlier kill there may be none yet
        assert self.process is not None
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        gateways = [pid for pid in children if b"\0gateway\0gateway\0" in Path(f"/proc/{pid}/cmdline").read_bytes()]
        (pid,) = gateways
        os.kill(int(pid), signal.SIGKILL)

    def wait_until_ready(self) -> None:
        """Return when the gateway accepts work (again)."""
        deadline = time.monotonic() + _WAIT_SECONDS
        while True:
            try:
                with urllib.request.urlopen(f"{self.address}/readyz", timeout=60):
                    return
            except OSError:
                assert time.monotonic() < deadline, self.log
                time.sleep(0.1)

    def stop(self) -> None:
        """End it."""
        if self.process is not None:
            self.process.terminate()
            self.process.wait()

    def call(self, method: str, path: str, key: str, body: dict[str, Any] | None = None) -> Any:
        """One call of the API; an error answer is an AssertionError with its text."""
        request = urllib.request.Request(
            self.address + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {key}", "Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{method} {path}: {error.code} {error.read().decode()}") from None

    def account(self, *, plan: str | None = None, top_up: float = 0, free: bool = True) -> Account:
        """A new account; without `free` it has spent its daily credits."""
        name = f"ann-{next(self._names)}"
        self.call("PUT", f"/v1/admin/accounts/{name}", self.admin, {})
        account = Account(name, self.call("POST", f"/v1/admin/accounts/{name}/keys", self.admin, {})["key"])
        if plan is not None:
            subscription = {"plan": plan, "interval": "monthly"}
            self.call("PUT", f"/v1/admin/accounts/{name}/subscription", self.admin, subscription)
        if top_up:
            self.grant(account, top_up)
        if not free:
            adjustment = {"bucket": "free", "credits": -100, "reason": "a test of the other buckets"}
            self.call("POST", f"/v1/admin/accounts/{name}/adjustments", self.admin, adjustment)
        return account

    def limited(self, account: Account) -> Account:
        """The account by another key of it, whose limit is below the price of every call."""
        limit = {"limit": {"credits": 1, "period": "daily"}}
        made = self.call("POST", f"/v1/admin/accounts/{account.name}/keys", self.admin, limit)
        return Account(account.name, made["key"])

    def grant(self, account: Account, amount: float) -> None:
        """Give an account top-up credits."""
        body = {"bucket": "top_up", "credits": amount, "reason": "a test"}
        self.call("POST", f"/v1/admin/accounts/{account.name}/grants", self.admin, body)

    def generate(self, account: Account, **wishes: Any) -> Any:
        """Ask for a generation: one image of FLUX dev unless said otherwise."""
        body = {"tool": "image", "model": "flux-dev", "prompt": "a fox in the snow"} | wishes
        return self.call("POST", "/v1/generations", account.key, body)

    def ended(self, account: Account, **wishes: Any) -> Any:
        """A generation that has ended."""
        made = self.generate(account, **wishes)
        deadline = time.monotonic() + _WAIT_SECONDS
        while made["status"] not in _FINAL:
            assert time.monotonic() < deadline, made
            time.sleep(0.1)
            made = self.call("GET", f"/v1/generations/{made['id']}", account.key)
        return made
