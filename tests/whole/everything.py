"""`farebox up` as a process of its own, with everything in a folder of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from tests.free_ports import free_port

WAIT_SECONDS = 170  # until pytest itself gives up on a test


@dataclass(frozen=True)
class Up:
    """A running `farebox up`."""

    process: subprocess.Popen[bytes]
    data: Path
    address: str

    @property
    def log(self) -> str:
        return (self.data / "up.log").read_text()

    def call(self, method: str, path: str, key: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        request = urllib.request.Request(
            self.address + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {key}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            content: dict[str, Any] = json.load(answer)
            return content

    def account(self, name: str) -> str:
        """A new account; a key of it."""
        admin = (self.data / "admin-key").read_text().strip()
        self.call("PUT", f"/v1/admin/accounts/{name}", admin, {})
        return str(self.call("POST", f"/v1/admin/accounts/{name}/keys", admin, {})["key"])

    def child(self, words: str) -> int:
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        found = [int(pid) for pid in children if words in Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")]
        assert len(found) == 1, f"{words}: {found}"
        return found[0]

    def stop(self) -> int:
        """Ctrl-C; its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        return self.process.wait(timeout=60)


def until(what: Callable[[], Any]) -> Any:
    """What `what` returns as soon as it is true; errors of a gateway that is away count as not yet."""
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        try:
            if found := what():
                return found
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            pass
        time.sleep(0.1)
    raise AssertionError(f"did not happen within {WAIT_SECONDS} s")


@contextmanager
def started(data: Path, *arguments: str, says: str, **settings: str) -> Iterator[Up]:
    """`farebox up` with these settings, from when its log says so until it has stopped."""
    port = free_port()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("FAREBOX_")}
    environment |= {"FAREBOX_DATA": str(data), "FAREBOX_PORT": str(port), **settings}
    with (data / "up.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "gateway", "up", *arguments], env=environment, stdout=log, stderr=log
        )
        up = Up(process, data, f"http://127.0.0.1:{port}")
        try:
            until(lambda: says in up.log)
            yield up
        finally:
            up.stop()


def metrics_of(up: Up) -> dict[str, dict[str, float]]:
    """Each name's last value by process; no name is described twice, and no sample is there twice."""
    with urllib.request.urlopen(f"{up.address}/metrics", timeout=60) as answer:
        text = answer.read().decode()
    families = list(text_string_to_metric_families(text))
    assert len({family.name for family in families}) == len(families)
    samples = [sample for family in families for sample in family.samples]
    assert len({(sample.name, *sorted(sample.labels.items())) for sample in samples}) == len(samples)
    found: dict[str, dict[str, float]] = defaultdict(dict)
    for sample in samples:
        found[sample.name][sample.labels.get("process", "")] = sample.value
    return found
