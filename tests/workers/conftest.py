from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.redis_servers import RedisServer
from tests.workers.stage import Stage, lease_of, open_stage


@pytest.fixture
async def stage(redis_url: str, tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Stage]:
    """A stage on the run's Redis."""
    async with open_stage(redis_url, tmp_path, lease_seconds=lease_of(request)) as stage:
        yield stage


@pytest.fixture
async def own_stage(own_redis: RedisServer, tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Stage]:
    """A stage on a Redis that the test may kill."""
    async with open_stage(own_redis.url, tmp_path, lease_seconds=lease_of(request)) as stage:
        yield stage
