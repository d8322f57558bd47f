"""The queue's keys: each is spelled in one place, and described in the README beside it."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

from gateway.queue import jobs, keys

ROOT = Path(__file__).parents[2]
README = (ROOT / "gateway/queue/README.md").read_text()
PATTERNS = {
    *(
        made(*(f"<{name}>" for name in inspect.signature(made).parameters)).replace("<step_ms>", "<step>")
        for name, made in vars(keys).items()
        if inspect.isfunction(made)
    ),
    *(key for name, key in vars(keys).items() if name.isupper()),
    *jobs.job_keys("<job>"),
}


def test_every_key_is_described() -> None:
    described = set(re.findall(r"^\| `((?:farebox|arq):[^`]+)` \|", README, re.MULTILINE))
    assert described == PATTERNS


@pytest.mark.parametrize("part", ["gateway", "workers"])
def test_no_key_is_spelled_elsewhere(part: str) -> None:
    spelled = re.compile(r"[\"'](farebox:|arq:)\w")
    files = [path for path in (ROOT / part).rglob("*.*") if path.suffix in {".py", ".lua"}]
    found = {str(path.relative_to(ROOT)) for path in files if spelled.search(path.read_text())}
    found -= {"gateway/ledger/promotable.py"}  # a channel without subscribers, no key
    assert found == ({"gateway/queue/keys.py"} if part == "gateway" else set())
