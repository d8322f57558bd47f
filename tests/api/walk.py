"""What of ours runs for one request: each call of a function, from the first byte to the last of the answer."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import gateway

ROOT = Path(gateway.__file__).parent


@dataclass
class Walk:
    """The calls in their order; a coroutine that goes on after a pause is not called again."""

    calls: list[CodeType] = field(default_factory=list)

    @property
    def files(self) -> list[str]:
        """The file of each call, as seen from `gateway/`."""
        return [_file(code) for code in self.calls]

    @property
    def functions(self) -> list[str]:
        """Each function once, in the order in which they were first called."""
        named = (f"{_file(code)}:{code.co_qualname}" for code in self.calls if "<" not in code.co_name)
        return list(dict.fromkeys(named))


@contextmanager
def walking() -> Iterator[Walk]:
    """Note what the loop of this thread calls of ours, for connections and nobody else: see `_Profile`."""
    profile = _Profile()
    sys.setprofile(profile.note)
    try:
        yield profile.walk
    finally:
        sys.setprofile(None)


class _Profile:
    """Follows the task that answers a connection; what goes on beside it, such as dispatching, is not its walk."""

    def __init__(self) -> None:
        self.walk = Walk()
        self._seen: list[FrameType] = []  # kept, so that no later frame has the place of an earlier one
        self._task: asyncio.Task[Any] | None = None

    def note(self, frame: FrameType, event: str, _: object) -> None:
        if event != "call" or not frame.f_code.co_filename.startswith(str(ROOT)):
            return
        task = _current_task()
        if self._task is None and frame.f_code.co_qualname == "answered.<locals>.answer":
            self._task = task
        protocol = task is None and _file(frame.f_code) == "api/middleware/server.py"
        if (protocol or (task is not None and task is self._task)) and not any(frame is one for one in self._seen):
            self._seen.append(frame)
            self.walk.calls.append(frame.f_code)


def _current_task() -> asyncio.Task[Any] | None:
    try:
        return asyncio.current_task()
    except RuntimeError:
        return None


def _file(code: CodeType) -> str:
    return str(Path(code.co_filename).relative_to(ROOT))
