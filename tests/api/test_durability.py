"""What clients and operators are told while the ledger's Redis is weaker than durable, full, or without its replica."""

from __future__ import annotations

import os
from pathlib import Path

from tests.api.visitor import Visitor, open_gateway
from tests.preforked import run_farebox
from tests.redis_servers import RedisServer


async def ready(gateway: Visitor, status: str) -> list[str]:
    """The problems, as soon as `/readyz` has this status; pytest's timeout ends a test in which it never has."""
    problems: list[str] = (await gateway.until_ready(status))["problems"]
    return problems


async def test_a_setting_that_is_weakened_under_a_running_gateway_shows_and_so_does_its_mending(
    own_redis: RedisServer, tmp_path: Path
) -> None:
    async with open_gateway(own_redis.url, tmp_path, require_durable=True) as gateway:
        assert await ready(gateway, "ok") == []
        with own_redis.client() as client:
            client.config_set("appendfsync", "everysec")
            (problem,) = await ready(gateway, "degraded")
            assert "appendfsync is `everysec` instead of `always`" in problem
            client.config_set("appendfsync", "always")
        assert await ready(gateway, "ok") == []


def test_a_start_that_requires_durability_ends_with_what_to_mend(own_redis: RedisServer, tmp_path: Path) -> None:
    with own_redis.client() as client:
        client.config_set("appendonly", "no")
    settings = {
        "FAREBOX_LEDGER_URL": own_redis.url,
        "FAREBOX_DATA": str(tmp_path),
        "FAREBOX_PORT": "0",
        "FAREBOX_REQUIRE_DURABLE": "1",
    }
    ended = run_farebox("gateway", environment=os.environ | settings)
    assert ended.returncode == 2
    assert "FAREBOX_REQUIRE_DURABLE is set" in ended.stderr
    assert ":\n- appendonly is `no` instead of `yes`" in ended.stderr
    assert "CONFIG SET appendonly yes" in ended.stderr
    assert "Traceback" not in ended.stderr


async def test_with_a_full_memory_nothing_is_taken_and_what_is_held_can_be_cancelled(
    own_redis: RedisServer, tmp_path: Path
) -> None:
    """Also by clients that send an `Idempotency-Key`, and through a gateway that starts now.

    The key's claim is a write, which a full Redis refuses: a cancel with a key was answered 503. And a gateway, worker
    or caretaker could not be started: it wrote the schema version before it looked, and the rate card's policy.
    """
    async with open_gateway(own_redis.url, tmp_path) as gateway:
        key = await gateway.account()
        waiting = await gateway.made(key)
        with own_redis.client() as client:
            client.config_set("maxmemory", 1)
        for reply in (
            await gateway.create(key, once="one"),
            await gateway.call("PUT", "/v1/admin/accounts/other", gateway.admin, {}),
            await gateway.call(
                "POST",
                "/v1/admin/accounts/acme/grants",
                gateway.admin,
                {"bucket": "top_up", "credits": 5, "reason": "a gift"},
                {"Idempotency-Key": "two"},
            ),
        ):
            assert (reply.status, reply.code, reply.headers["Retry-After"]) == (503, "ledger_unavailable", "30")
            assert "ledger is full" in reply.message
        assert any("memory is full" in problem for problem in await ready(gateway, "degraded"))
    async with open_gateway(own_redis.url, tmp_path) as gateway:
        for path in ("/v1/balance", "/v1/journal", "/v1/generations", f"/v1/generations/{waiting}", "/v1/usage"):
            assert (await gateway.call("GET", path, key)).status == 200, path
        assert (await gateway.call("GET", "/v1/admin/accounts/acme", gateway.admin)).status == 200
        assert (await gateway.call("GET", "/v1/ops/queues", gateway.admin)).status == 200
        for _ in range(2):
            cancelled = await gateway.call(
                "POST", f"/v1/generations/{waiting}/cancel", key, headers={"Idempotency-Key": "three"}
            )
            assert (cancelled.status, cancelled.body["status"]) == (200, "cancelled")
        with own_redis.client() as client:
            client.config_set("maxmemory", 0)
        assert (await gateway.create(key, once="one")).status == 202
        assert await ready(gateway, "ok") == []


async def test_without_its_replica_the_gateway_takes_nothing_and_a_retry_is_answered_when_it_is_back(
    own_redis: RedisServer, replica: RedisServer, tmp_path: Path
) -> None:
    async with open_gateway(own_redis.url, tmp_path, wait_replicas=1) as gateway:
        await ready(gateway, "ok")
        key = await gateway.account()
        await gateway.create(key)
        replica.kill()
        for _ in range(3):
            reply = await gateway.create(key, once="again")
            assert (reply.status, reply.code) == (503, "ledger_unavailable")
            assert int(reply.headers["Retry-After"]) > 0
        body = (await gateway.call("GET", "/readyz")).body
        assert body["status"] == "unavailable"
        assert "FAREBOX_WAIT_REPLICAS" in body["problems"][0]
        replica.start()
        await ready(gateway, "ok")
        reply = await gateway.create(key, once="again")
        assert (reply.status, reply.headers["Idempotent-Replay"]) == (200, "true")
        assert (await gateway.call("GET", "/v1/balance", key)).body["held"] == 10


async def test_on_a_cluster_readiness_says_what_a_failover_may_lose(
    cluster_url: str, redis_url: str, tmp_path: Path
) -> None:
    """Behind Sentinel it did; a cluster, which fails over just the same, was said to be in order."""
    async with open_gateway(cluster_url, tmp_path, queue_url=redis_url) as gateway:
        ready = await gateway.call("GET", "/readyz")
    assert (ready.status, ready.body["status"]) == (200, "degraded")
    (problem,) = ready.body["problems"]
    assert "the ledger is a cluster: a failover loses acknowledged writes" in problem


async def test_a_gateway_that_keeps_for_another_time_than_is_published_says_so(redis_url: str, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    async with open_gateway(redis_url, tmp_path) as gateway:
        assert (await gateway.call("GET", "/readyz")).body["status"] == "ok"
        async with open_gateway(redis_url, tmp_path / "other", data=tmp_path / "data", journal_days=90):
            ready = await gateway.until_ready("degraded")
        (problem,) = [one for one in ready["problems"] if "_DAYS" in one]
        assert problem.startswith("FAREBOX_JOURNAL_DAYS is 400 here and 90 at another gateway")
