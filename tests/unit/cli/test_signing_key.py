"""`farebox signing-key` on an embedded Redis that nobody runs, as it is after a refused start."""

from __future__ import annotations

import json
import os
import secrets
from pathlib import Path

import pytest
from click.testing import CliRunner

from gateway.cli import farebox
from gateway.settings import Settings
from gateway.startup.signing_key import mark_of


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder with an empty ledger and a signing key."""
    for name in os.environ:
        if name.startswith("FAREBOX_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".farebox" / "redis" / "appendonlydir").mkdir(parents=True)
    Settings().secret("signing-key")
    return tmp_path / ".farebox"


def test_a_key_is_adopted_while_nothing_runs_and_shown_after(data: Path) -> None:
    first = mark_of(Settings().secret("signing-key"))
    assert "none yet" in run("signing-key", "show")
    assert first in run("signing-key", "adopt")
    other = secrets.token_urlsafe(32)
    (data / "signing-key").write_text(other)
    refused = CliRunner().invoke(farebox, ["signing-key", "show", "--json"])
    assert refused.exit_code == 1
    assert json.loads(refused.output) == {
        "source": str(data / "signing-key"),
        "mark": mark_of(other),
        "ledger": first,
        "same": False,
    }
    said = run("signing-key", "adopt")
    assert f"Before, it used {first}" in said
    assert "rotate the secret of every webhook" in said
    assert mark_of(other) in run("signing-key", "show")
    assert not (data / "redis.sock").exists()  # the Redis of the command has ended with it


def run(*arguments: str) -> str:
    answer = CliRunner().invoke(farebox, arguments)
    assert answer.exit_code == 0, answer.output
    return answer.output
