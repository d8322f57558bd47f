"""The systemd units: systemd takes them, they start what exists, and their settings are settings."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.cli import farebox
from gateway.settings import load_settings
from gateway.startup.misspelt import misspelt
from tests.missing import not_run

UNITS = Path(__file__).parents[2] / "deploy" / "systemd"
SERVICES = sorted(UNITS.glob("*.service"))
EXPOSURE_MAX = 2.0  # of 10, as `systemd-analyze security` counts; a unit without any hardening has 9.6
INSTALLED = "/opt/farebox/bin/farebox"


def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    program = shutil.which("systemd-analyze")
    if program is None:
        not_run("systemd-analyze is not installed: apt-get install systemd")
    return subprocess.run([program, *arguments], capture_output=True, text=True, check=False)


def test_systemd_takes_every_unit_and_says_nothing_about_it(tmp_path: Path) -> None:
    here = str(Path(sys.executable).with_name("farebox"))
    for unit in (*SERVICES, UNITS / "farebox.target"):
        (tmp_path / unit.name).write_text(unit.read_text().replace(INSTALLED, here))
    answer = analyze("verify", "--man=no", *map(str, sorted(tmp_path.iterdir())))
    assert (answer.returncode, answer.stdout + answer.stderr) == (0, "")


def test_every_service_is_hardened() -> None:
    for unit in SERVICES:
        answer = analyze("security", "--offline=true", "--no-pager", str(unit))
        found = re.search(r"Overall exposure level for \S+: ([\d.]+)", answer.stdout)
        assert found, answer.stdout + answer.stderr
        assert float(found[1]) <= EXPOSURE_MAX, unit.name


def test_every_service_starts_a_command_and_leaves_it_the_time_to_end() -> None:
    for unit in SERVICES:
        text = unit.read_text()
        command = re.search(rf"^ExecStart={INSTALLED} ([\w-]+)", text, re.MULTILINE)
        assert command, unit.name
        assert command[1] in farebox.list_commands(None), unit.name  # type: ignore[arg-type]  # our group needs none
        seconds = re.search(r"^TimeoutStopSec=(\d+)$", text, re.MULTILINE)
        assert seconds, unit.name
        assert int(seconds[1]) > load_settings().grace_seconds + 10, unit.name


def test_the_environment_file_has_settings_that_a_gateway_takes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    lines = (UNITS / "farebox.env").read_text().splitlines()
    given = dict(line.split("=", 1) for line in lines if re.match(r"[A-Z]", line))
    offered = {line[1:].split("=", 1)[0]: "" for line in lines if re.match(r"#[A-Z]", line)}
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("FAREBOX_DATA", str(tmp_path))
    settings = load_settings()
    assert misspelt({**offered, **given}) == {}
    ours = {name.removeprefix("FAREBOX_").lower() for name in offered | given if name.startswith("FAREBOX_")}
    assert ours <= set(type(settings).model_fields)
    assert not settings.in_test_mode
    assert settings.gateway_count >= 2  # or `systemctl reload` could not replace them one by one
