"""The product as a new user starts it: `farebox up`, its demo, and what it survives."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import pytest
from PIL import Image

WAIT_SECONDS = 90


@dataclass(frozen=True)
class Up:
    """A running `farebox up` with everything in a folder of its own."""

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
        with urllib.request.urlopen(request, timeout=10) as answer:
            content: dict[str, Any] = json.load(answer)
            return content

    def child(self, words: str) -> int:
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        found = [int(pid) for pid in children if words in Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")]
        assert len(found) == 1, f"{words}: {found}"
        return found[0]


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


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Up]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("FAREBOX_")}
    environment |= {"FAREBOX_DATA": str(tmp_path), "FAREBOX_PORT": str(port), "FAREBOX_LEASE_SECONDS": "2"}
    with (tmp_path / "up.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "gateway", "up", "--demo"], env=environment, stdout=log, stderr=log
        )
        started = Up(process, tmp_path, f"http://127.0.0.1:{port}")
        try:
            until(lambda: "still up at" in started.log)
            yield started
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
            process.wait(timeout=60)


def test_up_ends_in_an_image_and_a_playable_video_with_receipts(up: Up) -> None:
    with Image.open(next((up.data / "demo").glob("*.png"))) as image:
        image.load()
        assert image.size == (1024, 1024)
    with av.open(next((up.data / "demo").glob("*.mp4"))) as video:
        frames = sum(1 for _ in video.decode(video=0))
        assert frames == 5 * 24
    assert "charged (from 5 free)" in up.log
    assert "charged (from 30 free)" in up.log
    key = (up.data / "demo" / "key").read_text()
    assert up.call("GET", "/v1/balance", key)["available"] == 65
    assert (up.data / "demo" / "key").stat().st_mode & 0o077 == 0
    assert key not in up.log
    assert (up.data / "admin-key").read_text() not in up.log


def test_ctrl_c_stops_everything_in_order_and_leaves_nothing_behind(up: Up) -> None:
    children = Path(f"/proc/{up.process.pid}/task/{up.process.pid}/children").read_text().split()
    assert len(children) == 5
    up.process.send_signal(signal.SIGINT)
    assert up.process.wait(timeout=60) == 0
    assert not [pid for pid in children if Path(f"/proc/{pid}").exists()]
    assert up.log.rstrip().endswith("stopped")
    assert "Traceback" not in up.log


def test_a_gateway_killed_right_after_a_202_loses_nothing(up: Up) -> None:
    key = (up.data / "demo" / "key").read_text()
    gateway = up.child("gateway gateway")
    body = {"tool": "image", "model": "flux-dev", "prompt": "a kill", "sandbox": {"delay_seconds": 1}}
    made = up.call("POST", "/v1/generations", key, body)
    os.kill(gateway, signal.SIGKILL)
    ended = until(
        lambda: (found := up.call("GET", f"/v1/generations/{made['id']}", key))["status"] == "succeeded" and found
    )
    assert ended["credits"] == {"held": 0, "committed": 5, "refunded": 0, "allocation": ended["credits"]["allocation"]}
    assert up.child("gateway gateway") != gateway


def test_redis_killed_and_started_again_has_everything_that_was_acknowledged(up: Up) -> None:
    key = (up.data / "demo" / "key").read_text()
    body = {"tool": "image", "model": "flux-dev", "prompt": "an outage", "sandbox": {"delay_seconds": 2}}
    made = up.call("POST", "/v1/generations", key, body)
    os.kill(up.child("redis-server"), signal.SIGKILL)
    ended = until(
        lambda: (found := up.call("GET", f"/v1/generations/{made['id']}", key))["status"] == "succeeded" and found
    )
    assert ended["credits"]["committed"] == 5
    assert until(lambda: up.call("GET", "/v1/balance", key))["available"] == 60
