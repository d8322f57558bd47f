"""The product as a new user starts it: `farebox up`, its demo, and what it survives."""

from __future__ import annotations

import os
import signal
import urllib.request
from collections import defaultdict
from pathlib import Path

import av
from PIL import Image
from prometheus_client.parser import text_string_to_metric_families

from tests.whole.everything import Up, started, until


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


def test_the_workers_follow_the_rate_card_until_ctrl_c_stops_everything_in_order(tmp_path: Path) -> None:
    """A tool that was added while it ran was sold, and had no worker."""
    card = tmp_path / "pricing.toml"
    text = (Path(__file__).parents[2] / "pricing.toml").read_text()
    card.write_text(text)
    with started(tmp_path, says="Farebox is up at", FAREBOX_RATE_CARD=str(card)) as up:
        card.write_text(text + _SKETCHES)
        until(lambda: _runs(up, "worker sketches"))
        until(lambda: _metrics(up)["farebox_process_up"].get("worker-sketches") == 1)
        card.write_text(text)
        until(lambda: "none of its generations are open: stopping its worker" in up.log)
        until(lambda: not _runs(up, "worker sketches"))
        until(lambda: "worker-sketches" not in _metrics(up)["farebox_process_up"])
        children = Path(f"/proc/{up.process.pid}/task/{up.process.pid}/children").read_text().split()
        assert len(children) == 5
        up.process.send_signal(signal.SIGINT)
        assert up.process.wait(timeout=60) == 0
        assert not [pid for pid in children if Path(f"/proc/{pid}").exists()]
        assert up.log.rstrip().endswith("stopped")
        assert "Traceback" not in up.log


def test_all_processes_metrics_are_on_one_page_even_if_some_are_dead_or_stuck(shared_up: Up) -> None:
    """A worker's and the caretaker's were nowhere to be had under `up`."""
    up = shared_up
    processes = {"gateway", "worker-image", "worker-video", "caretaker"}
    until(lambda: _metrics(up)["farebox_process_up"] == dict.fromkeys(processes, 1))
    metrics = _metrics(up)
    assert set(metrics["farebox_store_up"]) == processes
    assert "gateway" in metrics["farebox_http_request_seconds_count"]
    assert set(metrics["process_open_fds"]) == processes
    assert metrics["farebox_background_task_up"]["caretaker"] == 1
    assert set(metrics["farebox_ledger_up"]) == {""}
    os.kill(up.child("gateway caretaker"), signal.SIGSTOP)
    assert _metrics(up)["farebox_process_up"]["caretaker"] == 0
    assert "caretaker" not in _metrics(up)["farebox_store_up"]
    killed = up.child("gateway caretaker")
    os.kill(killed, signal.SIGKILL)
    until(lambda: _metrics(up)["farebox_process_up"]["caretaker"] == 1)
    assert up.child("gateway caretaker") != killed


def _metrics(up: Up) -> dict[str, dict[str, float]]:
    """Each name's last value by process; no name is described twice, and no sample is there twice."""
    with urllib.request.urlopen(f"{up.address}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    families = list(text_string_to_metric_families(text))
    assert len({family.name for family in families}) == len(families)
    samples = [sample for family in families for sample in family.samples]
    assert len({(sample.name, *sorted(sample.labels.items())) for sample in samples}) == len(samples)
    found: dict[str, dict[str, float]] = defaultdict(dict)
    for sample in samples:
        found[sample.name][sample.labels.get("process", "")] = sample.value
    return found


_SKETCHES = """
[tools.sketches]
name = "Sketches"
baseline_model = "sketch"

[models.sketch]
name = "Sketch"
tool = "sketches"
provider = "sandbox"
[[models.sketch.rates]]
credits = 1
"""


def _runs(up: Up, words: str) -> bool:
    children = Path(f"/proc/{up.process.pid}/task/{up.process.pid}/children").read_text().split()
    return any(words in Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ") for pid in children)
