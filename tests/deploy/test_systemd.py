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

ROOT = Path(__file__).parents[2]
UNITS = ROOT / "deploy" / "systemd"
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
    for unit in (*SERVICES, UNITS / "farebox.target", UNITS / "farebox-backup.timer"):
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
        command = re.search(rf"^ExecStart=(?:/bin/sh -c 'exec )?{INSTALLED} ([\w-]+)", text, re.MULTILINE)
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


def test_the_command_for_root_has_the_settings_and_the_user_of_the_services(tmp_path: Path) -> None:
    """Who had set up a machine by docs/deploy.md had no command.

    `farebox` was not in the PATH, and with its whole path it looked for the admin key in the folder it was called in.
    """
    text = (UNITS / "farebox.sh").read_text()
    environment = tmp_path / "farebox.env"
    environment.write_text((UNITS / "farebox.env").read_text() + "FAREBOX_METRICS_KEY='a $b & c'\n")
    program = tmp_path / "setpriv"
    program.write_text('#!/bin/sh\necho "$@"\necho "$FAREBOX_DATA $FAREBOX_METRICS_KEY"\n')
    program.chmod(0o755)
    root = tmp_path / "id"
    for user, code in (("0", 0), ("1000", 1)):
        root.write_text(f"#!/bin/sh\necho {user}\n")
        root.chmod(0o755)
        command = [
            "/bin/sh",
            "-c",
            text.replace("/etc/farebox/farebox.env", str(environment)),
            "farebox",
            "ops",
            "list",
        ]
        answer = subprocess.run(
            command, capture_output=True, text=True, check=False, env={"PATH": f"{tmp_path}:/usr/bin:/bin"}
        )
        assert answer.returncode == code, answer.stderr
        if code == 0:
            called, settings = answer.stdout.splitlines()
            assert called == f"--reuid farebox --regid farebox --init-groups {INSTALLED} ops list"
            assert settings == "/var/lib/farebox a $b & c"
        else:
            assert "as root" in answer.stderr


def test_the_page_installs_every_file_and_what_it_names_is_there() -> None:
    page = (ROOT / "docs" / "deploy.md").read_text()
    lines = "\n".join(re.findall(r"^```sh\n(.*?)^```", page, re.MULTILINE | re.DOTALL))
    patterns = re.findall(r"deploy/(?!farebox-)[\w./*-]+", lines)  # not Kubernetes' own deploy/farebox-gateway
    named = {path for pattern in patterns for path in ROOT.glob(pattern)}
    assert all(any(ROOT.glob(pattern)) for pattern in patterns)
    assert set(UNITS.iterdir()) <= named
