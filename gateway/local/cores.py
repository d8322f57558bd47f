"""The processor cores that this process may use."""

from __future__ import annotations

import os


def usable_cores() -> int:
    """As many as the system lets this process run on (Linux: its affinity, which containers and taskset set)."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
