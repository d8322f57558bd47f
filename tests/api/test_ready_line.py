"""`gateway_ready` is what a script waits for, so it must not come before the address is ours."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from tests.preforked import run_farebox
from tests.redis_servers import RedisServer


def test_a_gateway_whose_port_is_taken_never_says_that_it_is_ready(own_redis: RedisServer, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        environment = {
            "FAREBOX_LEDGER_URL": own_redis.url,
            "FAREBOX_DATA": str(tmp_path / "data"),
            "FAREBOX_PORT": str(port),
        }
        ended = run_farebox("gateway", environment=os.environ | environment)
    assert ended.returncode == 2
    assert f"FAREBOX_PORT: port {port} is in use by another program" in ended.stderr
    assert not (tmp_path / "data").exists(), "nothing is made before"
    assert "gateway_ready" not in ended.stdout + ended.stderr
