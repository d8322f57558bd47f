"""The same through the official package for JavaScript."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.console.stack import Stack
from tests.facades.conftest import NodePackages
from tests.facades.openai_clients import charged, generations

PROGRAM = Path(__file__).with_name("openai_program.mjs")
VERSION = "7.59.0"


@pytest.mark.long  # tests/facades/test_clients_page.py always runs the page's program
def test_a_program_in_javascript_runs(stack: Stack, node_packages: NodePackages) -> None:
    account, poor = stack.account(top_up=1000), stack.account(free=False)
    program = node_packages(f"openai@{VERSION}") / "program.mjs"
    program.write_text(PROGRAM.read_text())
    command = ["node", str(program), f"{stack.address}/openai/v1", account.key, poor.key]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout) == {
        "made": ["683x1024", [True, True]],
        "events": ["image_generation.completed"],
        "edited": 1,
        "video": ["completed", "5", "1280x720", "ftyp"],
        "slow": 1,
        "errors": {
            "failed": ["BadRequestError", 400, "moderated"],
            "size": ["BadRequestError", 400, "invalid_settings"],
            "gated": ["PermissionDeniedError", 403, "subscription_required"],
            "poor": ["APIError", 402, "insufficient_credits"],
        },
    }
    assert charged(stack, account) == 2 * 35 + 5 + 35 + 30 + 5
    assert len(generations(stack, account)) == 1 + 1 + 1 + 1 + 1 + 1, "a slow call was retried, and made once"
