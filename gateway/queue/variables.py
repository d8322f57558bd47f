"""The variables with the addresses of tools that have a Redis of their own."""

from __future__ import annotations

import re

OF_A_TOOL = "FAREBOX_QUEUE_URL_"


def name_in_variables(tool: str) -> str:
    """A tool's name as variables have it: `FAREBOX_QUEUE_URL_TALKING_HEAD` is of `talking-head`."""
    return re.sub(r"[^A-Z0-9]", "_", tool.upper())
