from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from gateway.cli import farebox
from gateway.client.settings import ClientSettings
from gateway.local.supervisor import PARENT_VARIABLE
from gateway.settings import Settings
from gateway.startup.exposure import warnings
from gateway.startup.misspelt import misspelt


def test_a_misspelt_setting_is_named_with_the_nearest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAREBOX_PROT", "9000")
    told = {"variable": "FAREBOX_PROT", "did_you_mean": "FAREBOX_PORT"}
    assert ("SETTING_UNKNOWN", told) in warnings(Settings(data=tmp_path))


def test_right_ones_our_own_and_those_of_others_are_not_named() -> None:
    right = {f"FAREBOX_{name.upper()}" for of in (Settings, ClientSettings) for name in of.model_fields}
    others = {PARENT_VARIABLE, "FAREBOX_WEBHOOK_SECRET", "FAREBOX_XYZZY", "PROT"}
    assert misspelt(dict.fromkeys(right | others, "")) == {}


@pytest.mark.parametrize("command", [["pricing", "check"], ["audit", "--help"]])
def test_every_command_says_it_on_standard_error(command: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAREBOX_PROT", "9000")
    said = CliRunner().invoke(farebox, command)
    assert "FAREBOX_PROT is not a Farebox setting and is ignored. Did you mean FAREBOX_PORT?" in said.stderr
    assert "FAREBOX_PROT" not in said.stdout
