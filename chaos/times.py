"""Times as the API writes them."""

from __future__ import annotations

from datetime import datetime


def seconds_of(text: str) -> float:
    """Seconds since the epoch."""
    return datetime.fromisoformat(text).timestamp()
