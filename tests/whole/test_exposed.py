"""`FAREBOX_HOST=0.0.0.0 farebox up` on a machine with other users, in a folder that an earlier version left open."""

from __future__ import annotations

import os
import stat
import urllib.error
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.whole.everything import Up, started


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Up]:
    umask = os.umask(0o022)
    try:
        data = tmp_path / "data"
        (data / "redis").mkdir(parents=True)
        with started(data, "--demo", says="still running at", FAREBOX_HOST="0.0.0.0") as running:
            yield running
    finally:
        os.umask(umask)


def test_an_exposed_gateway_has_no_test_payments_and_private_files(up: Up) -> None:
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
