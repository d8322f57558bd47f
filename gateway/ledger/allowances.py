"""An allowance of requests or bytes that comes back with time: whether one more is within it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Admitted:
    """Within an allowance, of requests or KiB: how many more there may be now, and when all of it is there again."""

    remaining: int
    whole_after_ms: int


@dataclass(frozen=True, slots=True)
class Limited:
    """Beyond an allowance, and when the same is admitted."""

    retry_after_ms: int
    whole_after_ms: int
