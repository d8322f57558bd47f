"""Runs `calls_program.py` and has it make calls."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PROGRAM = Path(__file__).with_name("calls_program.py")

Call = tuple[str, str, dict[str, Any]]
Came = list[tuple[str, float]]


@contextmanager
def calling(package: str, environment: dict[str, str]) -> Iterator[Callable[[list[Call]], Came]]:
    """The program that makes calls when it is asked to."""
    command = [sys.executable, str(PROGRAM), package]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, env=environment, stdin=pipe, stdout=pipe, text=True) as running:
        assert running.stdin is not None
        assert running.stdout is not None
        into, out = running.stdin, running.stdout

        def call(calls: list[Call]) -> Came:
            into.write(json.dumps(calls) + "\n")
            into.flush()
            made: Came = json.loads(out.readline())
            return made

        yield call
        into.close()
