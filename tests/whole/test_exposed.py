"""`FAREBOX_HOST=0.0.0.0 farebox up` in a folder that an earlier version left open, from its demo to Ctrl-C."""

from __future__ import annotations

import os
import signal
import stat
import urllib.error
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.pricing.load import read_card
from tests.whole.everything import Up, metrics_of, started, until

_CARD = (Path(__file__).parents[2] / "pricing.toml").read_text()
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


@pytest.fixture
def card(tmp_path: Path) -> Path:
    path = tmp_path / "pricing.toml"
    path.write_text(_CARD)
    return path


@pytest.fixture
def up(tmp_path: Path, card: Path) -> Iterator[Up]:
    umask = os.umask(0o022)
    try:
        data = tmp_path / "data"
        (data / "redis").mkdir(parents=True)
        settings = {"FAREBOX_HOST": "0.0.0.0", "FAREBOX_RATE_CARD": str(card)}
        with started(data, "--demo", says="still running at", **settings) as running:
            yield running
    finally:
        os.umask(umask)


def test_exposed_it_has_no_test_payments_and_private_files_and_workers_for_its_card_until_ctrl_c(
    up: Up, card: Path
) -> None:
    """One start for all of it: each is six processes' imports."""
    has_no_test_payments(up)
    has_private_files(up)
    has_workers_for_its_card(up, card)
    stops_everything_in_order(up)


def has_no_test_payments(up: Up) -> None:
    assert "test mode    off, because others can reach this gateway (FAREBOX_HOST=0.0.0.0)" in up.log
    assert "TEST_MODE_OFF" in up.log
    assert "PUBLIC_URL_GUESSED" in up.log
    assert "http://0.0.0.0" not in up.log
    assert "charged (from 5 free)" in up.log  # the demo's downloads, by links, went through
    key = (up.data / "demo" / "key").read_text()
    with pytest.raises(urllib.error.HTTPError) as refused:
        up.call("POST", "/v1/subscriptions", key, {"plan": "basic", "interval": "monthly"})
    refused.value.close()
    assert refused.value.code == 403


def has_private_files(up: Up) -> None:
    readable = {
        str(path.relative_to(up.data))
        for path in (up.data, *up.data.rglob("*"))
        if stat.S_IMODE(path.lstat().st_mode) & 0o077
    }
    downloads = {path for path in readable if path.startswith("demo/gen_")}
    assert len(downloads) == 2  # whoever ran the demo keeps their own rights for them
    assert readable - downloads <= {"demo", "up.log"}
    assert any(path.name.startswith("appendonly") for path in (up.data / "redis").rglob("*"))
    assert any(path.suffix == ".png" for path in (up.data / "outputs").rglob("*"))


def has_workers_for_its_card(up: Up, card: Path) -> None:
    """A tool that was added while it ran was sold, and had no worker."""
    card.write_text(_CARD + _SKETCHES)
    until(lambda: _runs(up, "worker sketches"))
    until(lambda: metrics_of(up)["farebox_process_up"].get("worker-sketches") == 1)
    card.write_text(_CARD)
    until(lambda: "none of its generations are open: stopping its worker" in up.log)
    until(lambda: not _runs(up, "worker sketches"))
    until(lambda: "worker-sketches" not in metrics_of(up)["farebox_process_up"])


def stops_everything_in_order(up: Up) -> None:
    children = Path(f"/proc/{up.process.pid}/task/{up.process.pid}/children").read_text().split()
    assert len(children) == len(read_card(_CARD.encode()).tools) + 3  # Redis, gateway, caretaker
    up.process.send_signal(signal.SIGINT)
    assert up.process.wait(timeout=60) == 0
    assert not [pid for pid in children if Path(f"/proc/{pid}").exists()]
    assert up.log.rstrip().endswith("stopped")
    assert "Traceback" not in up.log


def _runs(up: Up, words: str) -> bool:
    children = Path(f"/proc/{up.process.pid}/task/{up.process.pid}/children").read_text().split()
    return any(words in Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ") for pid in children)
