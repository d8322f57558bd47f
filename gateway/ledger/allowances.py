"""Allowances of requests or bytes that refill with time."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Admitted:
    """Within the allowance: how much is left, in requests or KiB, and when it is full again."""

    remaining: int
    whole_after_ms: int


@dataclass(frozen=True, slots=True)
class Limited:
    """Over the allowance, and when a retry is admitted."""

    retry_after_ms: int
    whole_after_ms: int
