from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.redis_servers import RedisServer
from tests.workers.scripted import Scene
from tests.workers.stage import Stage, lease_of, open_place, open_stage
from workers.context import WorkerContext


@pytest.fixture
async def stage(redis_url: str, tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Stage]:
    """A stage on the run's Redis, with the account `acme`."""
    async with open_stage(redis_url, tmp_path, lease_seconds=lease_of(request)) as stage:
        await stage.account()
        yield stage


@pytest.fixture
async def own_stage(own_redis: RedisServer, tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Stage]:
    """The same on a Redis that the test may kill."""
    async with open_stage(own_redis.url, tmp_path, lease_seconds=lease_of(request)) as stage:
        await stage.account()
        yield stage


@pytest.fixture
async def place(stage: Stage) -> AsyncIterator[WorkerContext]:
    """What a worker of that stage has, in this process."""
    async with open_place(stage) as place:
        yield place


@pytest.fixture
def scene(stage: Stage, place: WorkerContext, monkeypatch: pytest.MonkeyPatch) -> Scene:
    """A worker in this process, and a provider of the test's own."""
    monkeypatch.setattr("workers.attempts.provider_session._UNREACHABLE_PAUSES_SECONDS", (0.01,))
    return Scene(stage, place, asyncio.Event())


@pytest.fixture
def stays_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker leaves each job with its provider as soon as it is not done."""
    monkeypatch.setattr("workers.attempts.parking._STAY_SECONDS", 0)
