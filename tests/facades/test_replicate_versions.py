"""The older and the newer versions of the `replicate` package, each in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.console.stack import Account, Stack
from tests.facades.conftest import Installed
from tests.facades.openai_clients import charged, generations, refusals
from tests.made_media import picture

PROGRAM = Path(__file__).with_name("replicate_program.py")
# Version → its base URL below the gateway's, and what it needs that this environment may not have.
VERSIONS = {"0.34.2": ("/replicate", ()), "1.0.7": ("/replicate", ()), "2.0.0b4": ("/replicate/v1", ("distro",))}


@pytest.mark.long
@pytest.mark.parametrize("version", VERSIONS)
def test_a_program_written_for_replicate_runs(stack: Stack, installed: Installed, tmp_path: Path, version: str) -> None:
    account, poor = stack.account(top_up=1000), stack.account(free=False)
    below, more = VERSIONS[version]
    packages = installed(f"replicate=={version}", *more)
    file = tmp_path / "picture.png"
    file.write_bytes(picture("PNG"))

    def run(of: Account, *arguments: str) -> dict[str, Any]:
        environment = os.environ | {
            "PYTHONPATH": str(packages),
            "REPLICATE_BASE_URL": stack.address + below,
            "REPLICATE_API_TOKEN": of.key,
        }
        command = [sys.executable, str(PROGRAM), *arguments]
        program = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=100)
        assert program.returncode == 0, program.stderr
        seen: dict[str, Any] = json.loads(program.stdout)
        return seen

    seen = run(account, str(file))
    errors = seen.pop("errors") | run(poor)["errors"]
    errors["limited"] = run(stack.limited(account))["errors"]["poor"]
    assert seen == {"made": ["http", "http"], "edited": 1}
    assert {name: error[1] for name, error in errors.items()} == {
        "failed": None,
        "setting": 422,
        "model": 404,
        "poor": 402,
        "limited": 402,
    }
    assert errors["failed"][0] == "ModelError"
    assert "content policy" in errors["failed"][2]
    assert "Not enough credits" in errors["poor"][2]
    made = generations(stack, account)
    assert [len(one.get("inputs", [])) for one in made] == [0, 1, 0]
    assert charged(stack, account) == sum(one["price"]["credits"] for one in made[1:])
    assert generations(stack, poor) == []
    assert "limit" in errors["limited"][2]
    assert refusals(stack, poor) == refusals(stack, account) == 1, "402 is not retried"
