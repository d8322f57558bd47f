"""Every program on docs/clients.md runs as it stands there, with nothing changed but the gateway's address."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.console.stack import Stack
from tests.facades.conftest import NodePackages
from tests.facades.tls import TlsProxy

PAGE = (Path(__file__).parents[2] / "docs" / "clients.md").read_text()
LINES_MAX = 5
ADDRESS = "http://127.0.0.1:8080"
HTTPS_HOST = "farebox.example.com"  # for clients that speak nothing else
# The npm package that each section's JavaScript imports, in the version that the page says was tested.
PACKAGES = {"OpenAI": "openai", "Replicate": "replicate", "fal": "@fal-ai/client"}


def programs(language: str) -> list[tuple[str, str]]:
    """Section → program."""
    found = []
    for section in PAGE.split("\n## ")[1:]:
        name = section.partition("\n")[0]
        found += [(name, code) for code in re.findall(rf"```{language}\n(.*?)```", section, re.DOTALL)]
    return found


def lines_of(program: str) -> int:
    return sum(bool(line) for line in program.splitlines())


@pytest.mark.parametrize(("section", "program"), programs("python"), ids=[one for one, _ in programs("python")])
def test_each_python_program_runs(stack: Stack, https: TlsProxy, tmp_path: Path, section: str, program: str) -> None:
    assert lines_of(program) <= LINES_MAX, section
    run(stack, https, tmp_path / "program.py", program, [sys.executable])


@pytest.mark.parametrize(("section", "program"), programs("javascript"), ids=[one for one, _ in programs("javascript")])
def test_each_javascript_program_runs(
    stack: Stack, https: TlsProxy, node_packages: NodePackages, section: str, program: str
) -> None:
    assert lines_of(program) <= LINES_MAX, section
    (version,) = re.findall(rf"JavaScript `{re.escape(PACKAGES[section])}` ([\d.]+)", PAGE)
    folder = node_packages(f"{PACKAGES[section]}@{version}")
    run(stack, https, folder / "program.mjs", program, [str(shutil.which("node"))])


def run(stack: Stack, https: TlsProxy, file: Path, program: str, command: list[str]) -> None:
    assert ADDRESS in program or HTTPS_HOST in program
    file.write_text(program.replace(ADDRESS, stack.address).replace(HTTPS_HOST, https.host))
    environment = os.environ | {"FAREBOX_KEY": stack.account(top_up=1000).key}
    environment |= {"SSL_CERT_FILE": str(https.certificate)}
    ran = subprocess.run([*command, str(file)], env=environment, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout.strip()
