"""What workers without Redis send and get (`farebox worker TOOL --via URL`)."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from gateway.schemas.base import Answer, Body


class WorkerCallIn(Body):
    """One call of a worker: the arguments of the method that the path names."""

    arguments: dict[str, Any] = Field(default_factory=dict, description="By name; see `gateway/remote/calls.py`.")


class WorkerCallOut(Answer):
    """Its answer."""

    outcome: str | None = Field(description="What became of it, such as `Begun`; null if the value says it all.")
    value: Any = Field(description="What belongs to the outcome, or the answer itself.")


class WorkerObjectOut(Answer):
    """An output that is on disk."""

    bytes: int
    sha256: str


class CheckOut(Answer):
    """A generation that the worker which has it must check now."""

    generation: str | None = Field(description="Its id; null: all of them, because notices may have been lost.")
