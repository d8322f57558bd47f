from __future__ import annotations

import redis
import redis.cluster

from tests.redis_servers import RedisServer


def test_what_was_acknowledged_is_there_after_a_kill(own_redis: RedisServer) -> None:
    with own_redis.client() as client:
        client.set("held", 1)
    own_redis.kill()
    assert not own_redis.answers()
    own_redis.start()
    with own_redis.client() as client:
        assert client.get("held") == b"1"


def test_a_server_starts_empty_for_each_test(redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as client:
        assert client.dbsize() == 0
        assert client.config_get("append*")["appendfsync"] == "always"


def test_the_cluster_spreads_keys_over_its_nodes(cluster_url: str) -> None:
    port = int(cluster_url.rsplit(":", 1)[1])
    with redis.cluster.RedisCluster(host="127.0.0.1", port=port) as client:
        for number in range(100):
            client.set(f"key-{number}", number)
        sizes = [client.dbsize(target_nodes=node) for node in client.get_primaries()]
        assert sum(sizes) == 100
        assert min(sizes) > 0
