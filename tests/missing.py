"""What a machine may lack, and what then becomes of the tests that need it."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest


def not_run(missing: str) -> NoReturn:
    """Fail on CI, which has all that tests need; elsewhere skip with a line in the summary."""
    if os.environ.get("CI") == "true":
        pytest.fail(missing)
    pytest.skip(missing)
