"""Forkers (`gateway.media.isolation`) whose readers do what no sound file makes them do."""

from __future__ import annotations

import sys


def forker_whose_reader(does: str) -> tuple[str, ...]:
    """The command of a forker whose readers do this, in Python, with the `file`."""
    code = f"""
import os, signal, sys, time
from gateway.media import __main__ as forker
from gateway.media.inspection import Media, inspect
def act(file, expected=None):
    file.seek(0)
    {does}
forker.inspect = act
forker.main()
"""
    return sys.executable, "-c", code
