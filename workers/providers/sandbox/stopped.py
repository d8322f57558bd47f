"""The end of a render that nobody waits for any more."""

from __future__ import annotations


class Stopped(Exception):
    """The render was asked to stop."""
