from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.workers.stage import Stage, lease_of, open_stage


@pytest.fixture
async def stage(redis_url: str, tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Stage]:
    """A stage on the run's Redis."""
    async with open_stage(redis_url, tmp_path, lease_seconds=lease_of(request)) as stage:
        yield stage
