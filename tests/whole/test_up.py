"""The product as a new user starts it: `farebox up`, its demo, and what it survives."""

from __future__ import annotations

import os
import signal

import av
from PIL import Image

from gateway.pricing.load import default_card_path, load_card
from tests.whole.everything import Up, metrics_of, until


def test_up_ends_in_an_image_and_a_playable_video_with_receipts(shared_up: Up) -> None:
    up = shared_up
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


def test_a_gateway_killed_right_after_a_202_loses_nothing(shared_up: Up) -> None:
    up, key = shared_up, shared_up.account("whose-gateway-is-killed")
    gateway = up.child("gateway gateway")
    body = {"tool": "image", "model": "flux-dev", "prompt": "a kill", "sandbox": {"delay_seconds": 1}}
    made = up.call("POST", "/v1/generations", key, body)
    os.kill(gateway, signal.SIGKILL)
    ended = until(
        lambda: (found := up.call("GET", f"/v1/generations/{made['id']}", key))["status"] == "succeeded" and found
    )
    assert ended["credits"] == {"held": 0, "committed": 5, "refunded": 0, "allocation": ended["credits"]["allocation"]}
    assert up.child("gateway gateway") != gateway


def test_redis_killed_and_started_again_has_everything_that_was_acknowledged(shared_up: Up) -> None:
    up, key = shared_up, shared_up.account("whose-redis-is-killed")
    body = {"tool": "image", "model": "flux-dev", "prompt": "an outage", "sandbox": {"delay_seconds": 2}}
    made = up.call("POST", "/v1/generations", key, body)
    os.kill(up.child("redis-server"), signal.SIGKILL)
    ended = until(
        lambda: (found := up.call("GET", f"/v1/generations/{made['id']}", key))["status"] == "succeeded" and found
    )
    assert ended["credits"]["committed"] == 5
    assert until(lambda: up.call("GET", "/v1/balance", key))["available"] == 95


def test_all_processes_metrics_are_on_one_page_even_if_some_are_dead_or_stuck(shared_up: Up) -> None:
    """A worker's and the caretaker's were nowhere to be had under `up`."""
    up = shared_up
    tools = load_card(default_card_path(None)).tools
    processes = {"gateway", "caretaker", *(f"worker-{tool}" for tool in tools)}
    until(lambda: metrics_of(up)["farebox_process_up"] == dict.fromkeys(processes, 1))
    metrics = metrics_of(up)
    assert set(metrics["farebox_store_up"]) == processes
    assert "gateway" in metrics["farebox_http_request_seconds_count"]
    assert set(metrics["process_open_fds"]) == processes
    assert metrics["farebox_background_task_up"]["caretaker"] == 1
    assert set(metrics["farebox_ledger_up"]) == {""}
    os.kill(up.child("gateway caretaker"), signal.SIGSTOP)
    assert metrics_of(up)["farebox_process_up"]["caretaker"] == 0
    assert "caretaker" not in metrics_of(up)["farebox_store_up"]
    killed = up.child("gateway caretaker")
    os.kill(killed, signal.SIGKILL)
    until(lambda: metrics_of(up)["farebox_process_up"]["caretaker"] == 1)
    assert up.child("gateway caretaker") != killed
