from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.redis_servers import RedisServer
from tests.workers.scripted import Scene
from tests.workers.stage import Stage, lease_of, open_place, open_stage


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


@pytest.fixture
async def scene(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Scene]:
    monkeypatch.setattr("workers.attempts.provider_session._UNREACHABLE_PAUSES_SECONDS", (0.01,))
    await stage.account()
    async with open_place(stage) as place:
        yield Scene(stage, place, asyncio.Event())
