"""What the doctor finds: one sentence each, with what to do about it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "skipped", "warning", "error"]
_ORDER: tuple[State, ...] = ("ok", "skipped", "warning", "error")


@dataclass(frozen=True, slots=True)
class Finding:
    """One result. `fix` is None if there is nothing to do, or if the message says it already.

    `ok`: as it should be. `skipped`: not checked, and why. `warning`: it runs, but not as it should for customers.
    `error`: a process does not start, or something does not work.
    """

    check: str
    state: State
    message: str
    fix: str | None = None


def worst(findings: Iterable[Finding]) -> State:
    """The most serious state; `ok` if nothing was found."""
    return max((one.state for one in findings), key=_ORDER.index, default="ok")


def warnings_or(check: str, problems: Iterable[str], ok: str) -> Iterator[Finding]:
    """A warning for each sentence, which names its fix; `ok` if there are none."""
    found = [Finding(check, "warning", problem) for problem in problems]
    yield from found or [Finding(check, "ok", ok)]
