from __future__ import annotations

import asyncio
from typing import Any

import pytest
import uvloop
from redis import exceptions
from redis.asyncio import Redis
from redis.asyncio.cluster import RedisCluster
from redis.asyncio.sentinel import SentinelConnectionPool

from gateway.errors import LedgerUnavailable, QueueUnavailable, SettingsError
from gateway.ledger.scripts import translated
from gateway.queue.redis_calls import queue_errors
from gateway.redis_link.connections import Address, connect_ledger, connect_queue, parse_address, queue_pool
from gateway.redis_link.open_connections import has_idle
from tests.cases import cases
from tests.free_ports import free_port
from tests.redis_servers import RedisServer
from tests.until import until_idle


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("redis://cache", Address("single", (("cache", 6379),))),
        ("redis://:p%40ss@10.0.0.1:7000/3", Address("single", (("10.0.0.1", 7000),), password="p@ss", database=3)),
        ("redis://[::1]:7000", Address("single", (("::1", 7000),))),
        (
            "rediss://ann:secret@cache:6380?ca=/etc/ca.pem",
            Address(
                "single",
                (("cache", 6380),),
                tls=True,
                username="ann",
                password="secret",
                authority="/etc/ca.pem",
            ),
        ),
        (
            "redis+sentinel://a,b:26380/main/2",
            Address("sentinel", (("a", 26379), ("b", 26380)), service="main", database=2),
        ),
        ("rediss+cluster://a:1,b:2,[fe80::1]:3", Address("cluster", (("a", 1), ("b", 2), ("fe80::1", 3)), tls=True)),
        ("unix:///tmp/a folder #1/redis.sock", Address("unix", path="/tmp/a folder #1/redis.sock")),  # noqa: S108
    ],
)
def test_an_address_says_where_and_how(url: str, address: Address) -> None:
    assert parse_address(url) == address


@cases(
    ("url", "message"),
    [
        ("http://cache", "must start with redis://"),
        ("redis+ring://cache", "must start with redis://"),
        ("redis://", "'' is not host:port"),
        ("redis://hunter2:x@cache:port", "'cache:port' is not host:port"),
        ("redis://:hunter2@cache:99999", "99999 is not a port"),
        ("redis://:hunter2@a,b", "several hosts need redis+sentinel:// or redis+cluster://"),
        ("redis://:hunter2@cache/first", "the database must be a number, not 'first'"),
        ("redis+cluster://:hunter2@a,b/1", "has too much after the hosts: 1"),
        ("redis+sentinel://:hunter2@a,b", "needs the name of the master after the hosts"),
        ("redis+sentinel://:hunter2@a,b,a:26379/main", "names a Sentinel twice"),
        ("rediss://:hunter2@cache?ssl=off", "has an unknown option ssl; only ca is supported"),
        ("redis://:hunter2@cache?ca=x", "the option ca requires rediss://"),
        ("unix://redis.sock", "an absolute path"),
        ("redis://[:hunter2", "FAREBOX_LEDGER_URL"),
    ],
)
def test_a_wrong_address_is_named_by_its_setting_and_never_shown(url: str, message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        parse_address(url)
    assert str(caught.value).startswith("FAREBOX_LEDGER_URL: ")
    assert message in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_an_address_shown_in_a_log_has_no_password() -> None:
    assert repr(parse_address("redis://:hunter2@cache")) == "Address(single cache:6379)"


def test_the_queue_refuses_a_cluster() -> None:
    with pytest.raises(SettingsError, match=r"FAREBOX_QUEUE_URL: the queue cannot run on a cluster"):
        queue_pool("redis+cluster://a:1,b:2")


async def test_one_server_and_a_cluster_answer_alike(ledger_url: str) -> None:
    client = connect_ledger(ledger_url)
    assert isinstance(client, RedisCluster if "cluster" in ledger_url else Redis)
    await client.set("key", "value")
    assert await client.get("key") == b"value"
    await client.aclose()


async def test_a_connection_lost_to_a_restart_is_made_again(own_redis: RedisServer) -> None:
    client = connect_queue(own_redis.url)
    await client.set("key", "value")
    own_redis.kill()
    with pytest.raises(exceptions.ConnectionError):
        await client.get("key")
    own_redis.start()
    assert await client.get("key") == b"value"
    await client.aclose()


async def test_a_server_with_a_password_lets_in_who_knows_it(own_redis: RedisServer) -> None:
    with own_redis.client() as client:
        client.config_set("requirepass", "p@ss:word/1")
    allowed = connect_queue(f"redis://:p%40ss%3Aword%2F1@127.0.0.1:{own_redis.port}")
    assert await allowed.ping()
    await allowed.aclose()

    # With redis-py's health check on, this ping never came back.
    refused = connect_queue(own_redis.url)
    with pytest.raises(exceptions.AuthenticationError):
        await refused.ping()
    await refused.aclose()


async def test_sentinels_name_the_master(own_redis: RedisServer) -> None:
    """A real Sentinel beside the server: the same program in its other mode."""
    port = free_port()
    config = own_redis.directory / "sentinel.conf"
    config.write_text(f"sentinel monitor main 127.0.0.1 {own_redis.port} 1\n")
    sentinel = RedisServer(own_redis.directory / "sentinel", port=port, sentinel_config=config)
    sentinel.start()
    try:
        client = connect_ledger(f"redis+sentinel://127.0.0.1:{port}/main")
        assert isinstance(client, Redis)
        assert isinstance(client.connection_pool, SentinelConnectionPool)
        await client.set("key", "value")
        assert has_idle(client.connection_pool)
        client.connection_pool.master_address = "127.0.0.1", own_redis.port + 1  # the Sentinels name another now
        assert not has_idle(client.connection_pool), "what is written there at once would be lost"
        await client.aclose()
    finally:
        sentinel.stop()
    with own_redis.client() as plain:
        assert plain.get("key") == b"value"


async def test_each_sentinel_stays_known_while_two_calls_look_for_the_master(monkeypatch: pytest.MonkeyPatch) -> None:
    """`make chaos TOPOLOGY=sentinel` found it: redis-py lost one Sentinel and had another twice.

    Two calls passed over the first one, which was away, and the second one answered both. From then on its word counted
    as a majority of three: replicas that it had not found were left out, and acknowledged writes were lost.
    """
    client = connect_ledger("redis+sentinel://away,there,other/main")
    pool: Any = client.connection_pool
    away, there, other = pool.sentinel_manager.sentinels
    both = asyncio.Barrier(2)

    async def nothing() -> None:
        raise exceptions.ConnectionError("it is away")

    async def masters() -> dict[str, dict[str, object]]:
        await both.wait()
        state = {"is_master": True, "is_sdown": False, "is_odown": False, "num-other-sentinels": 2}
        return {"main": state | {"ip": "10.0.0.1", "port": 6379}}

    monkeypatch.setattr(away, "sentinel_masters", nothing)
    monkeypatch.setattr(there, "sentinel_masters", masters)
    assert set(await asyncio.gather(pool.get_master_address(), pool.get_master_address())) == {("10.0.0.1", 6379)}
    assert pool.sentinel_manager.sentinels[0] is there, "the next call asks first the one that answered"
    assert set(pool.sentinel_manager.sentinels) == {away, there, other}
    await client.aclose()


def test_a_connection_reset_under_uvloop_is_an_outage_and_no_fault_of_ours() -> None:
    """`make chaos` cut connections to Redis, and dispatches and hints were logged as bugs, with a traceback.

    Between taking a connection from the pool and writing to it, the other side had reset it. uvloop then raises a
    RuntimeError where asyncio's own loop stays silent, redis-py lets it through, and we took it for a bug of our own.
    In a call of the ledger that would have been a 500, or a generation that a worker settles as `internal`.
    """

    async def write_to_a_closed_transport(server: asyncio.Server) -> RuntimeError:
        host, port = server.sockets[0].getsockname()
        _, writer = await asyncio.open_connection(host, port)
        writer.transport.abort()
        await until_idle()
        with pytest.raises(RuntimeError) as caught:
            writer.writelines([b"PING"])
        return caught.value

    async def main() -> None:
        async with await asyncio.start_server(lambda _, writer: writer.transport.abort(), "127.0.0.1", 0) as server:
            closed = await write_to_a_closed_transport(server)
        assert isinstance(translated(closed, "settle"), LedgerUnavailable)
        broken = RuntimeError("a bug of our own")
        assert translated(broken, "settle") is broken
        with pytest.raises(QueueUnavailable), queue_errors():
            raise closed

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
