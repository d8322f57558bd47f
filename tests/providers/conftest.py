from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.workers.stage import Stage, open_stage


@pytest.fixture
async def stage(redis_url: str, tmp_path: Path) -> AsyncIterator[Stage]:
    """A stage on the run's Redis, with short leases."""
    async with open_stage(redis_url, tmp_path) as stage:
        yield stage
