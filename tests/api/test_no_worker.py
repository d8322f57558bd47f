"""A gateway does not sell for ever what nobody makes, and says so."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.api import services
from gateway.queue.heartbeats import worker_gone, worker_seen
from tests.api.visitor import SKETCH, open_gateway


async def test_a_tool_without_a_worker_is_reported_and_refused_before_anything_is_held(
    redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.queue.workforce.SAID_AFTER_SECONDS", 0)
    async with open_gateway(redis_url, tmp_path, says_who_is_missing=True, accept_without_worker_seconds=0) as gateway:
        key = await gateway.account()
        headers = {"Idempotency-Key": "once"}
        workforce, redis = gateway.app[services.WORKFORCE], gateway.app[services.QUEUE].redis
        await worker_seen(redis, "image", "worker-1")
        await workforce.check()
        made = await gateway.call("POST", "/v1/generations", key, SKETCH, headers)
        assert made.status == 202
        await worker_gone(redis, "image", "worker-1")
        await workforce.check()
        before = (await gateway.call("GET", "/v1/balance", key)).body
        refused = await gateway.call("POST", "/v1/generations", key, SKETCH)
        assert (refused.status, refused.code, refused.headers["Retry-After"]) == (503, "no_worker", "30")
        assert (await gateway.call("GET", "/v1/balance", key)).body == before
        again = await gateway.call("POST", "/v1/generations", key, SKETCH, headers)
        assert (again.status, again.body["id"]) == (200, made.body["id"])
        ready = (await gateway.call("GET", "/readyz")).body
        assert ready["status"] == "degraded"
        assert any("farebox worker image" in problem for problem in ready["problems"])
        assert any("no caretaker is running" in problem for problem in ready["problems"])
        assert 'farebox_unserved{provider="",tool="image"} 1.0' in (await gateway.call("GET", "/metrics")).raw.decode()
