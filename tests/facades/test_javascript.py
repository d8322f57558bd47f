"""The official packages for JavaScript: success, failure, cancel and no credits, in one process for each package."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.console.stack import Account, Stack
from tests.facades.conftest import NodePackages
from tests.facades.openai_clients import charged, generations, refusals

HERE = Path(__file__).parent


@pytest.fixture
def account(stack: Stack) -> Account:
    return stack.account(top_up=1000)


@pytest.fixture
def poor(stack: Stack) -> Account:
    return stack.account(free=False)


def seen_by(stack: Stack, folder: Path, name: str, *accounts: Account) -> tuple[Any, dict[str, list[Any]]]:
    """What a program saw, and its errors."""
    program = folder / name
    program.write_text((HERE / name).read_text())
    command = ["node", str(program), stack.address, *(one.key for one in accounts)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    seen = json.loads(ran.stdout)
    return seen, seen.pop("errors")


def test_a_program_written_for_openai_runs(
    stack: Stack, node_packages: NodePackages, account: Account, poor: Account
) -> None:
    seen, errors = seen_by(
        stack, node_packages("openai@7.59.0"), "openai_program.mjs", account, poor, stack.limited(account)
    )
    assert seen == {
        "made": ["683x1024", [True, True]],
        "events": ["image_generation.completed"],
        "edited": 1,
        "cancelled": ["failed", "cancelled"],
        "video": ["completed", "5", "1280x720", "ftyp"],
        "slow": 1,
    }
    assert {name: error[:3] for name, error in errors.items()} == {
        "failed": ["BadRequestError", 400, "moderated"],
        "size": ["BadRequestError", 400, "invalid_settings"],
        "gated": ["PermissionDeniedError", 403, "subscription_required"],
        "poor": ["APIError", 402, "insufficient_credits"],
        "limited": ["APIError", 402, "limit_reached"],
    }
    assert "Not enough credits" in errors["poor"][3]
    assert refusals(stack, poor) == refusals(stack, account) == 1, "402 is not retried"
    assert charged(stack, account) == 2 * 35 + 5 + 35 + 30 + 5
    assert len(generations(stack, account)) == 1 + 1 + 1 + 2 + 1 + 1, "a slow call was retried, and made once"
    assert generations(stack, poor) == []


def test_a_program_written_for_replicate_runs(
    stack: Stack, node_packages: NodePackages, account: Account, poor: Account
) -> None:
    seen, errors = seen_by(
        stack, node_packages("replicate@1.4.0"), "replicate_program.mjs", account, poor, stack.limited(account)
    )
    assert seen == {
        "made": [True, True],
        "events": ["output", "done"],
        "cancelled": ["canceled", None],
        "listed": 3,
        "edited": 1,
    }
    assert {name: error[:2] for name, error in errors.items()} == {
        "failed": ["Error", None],
        "setting": ["ApiError", 422],
        "gated": ["ApiError", 403],
        "poor": ["ApiError", 402],
        "limited": ["ApiError", 402],
    }
    assert "moderated: " in errors["failed"][2]
    assert "Not enough credits" in errors["poor"][2]
    assert refusals(stack, poor) == refusals(stack, account) == 1, "402 is not retried"
    made = generations(stack, account)
    assert [len(one.get("inputs", [])) for one in made] == [0, 1, 0, 0, 0]
    assert charged(stack, account) == sum(one["price"]["credits"] for one in [made[1], *made[3:]])
    assert generations(stack, poor) == []


def test_a_program_written_for_fal_runs(
    stack: Stack, node_packages: NodePackages, account: Account, poor: Account
) -> None:
    seen, errors = seen_by(
        stack, node_packages("@fal-ai/client@1.10.1"), "fal_program.mjs", account, poor, stack.limited(account)
    )
    assert seen.pop("statuses")[-1] == "COMPLETED"
    status, result = seen.pop("cancelled")
    assert (status, result[:3]) == ("COMPLETED", ["ApiError", 499, "cancelled"])
    assert seen == {"two": 2, "run": 1, "streamed": 1, "same": 3}
    assert {name: error[:3] for name, error in errors.items()} == {
        "failed": ["ValidationError", 422, "moderated"],
        "size": ["ValidationError", 422, "invalid_settings"],
        "gated": ["ApiError", 403, "subscription_required"],
        "poor": ["ApiError", 402, "insufficient_credits"],
        "limited": ["ApiError", 402, "limit_reached"],
        "poor in run": ["ApiError", 402, "insufficient_credits"],
    }
    assert "Not enough credits" in errors["poor"][3]
    assert (refusals(stack, poor), refusals(stack, account)) == (2, 1), "402 is not retried"
    assert charged(stack, account) == (2 + 1 + 1 + 3) * 5
    assert len(generations(stack, account)) == 1 + 1 + 1 + 3 + 1 + 1
    assert generations(stack, poor) == []
