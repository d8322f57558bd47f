"""Ports for servers that tests, chaos and benchmarks start, kill and start again."""

from __future__ import annotations

import random
import socket

# Below what Linux and macOS give to connections and to servers that ask for any port: a port from there, free while its
# server is down, may be somebody else's when it comes back.
_PORTS = range(20_000, 32_000)
_TRIES = 1000
_given: set[int] = set()
_dice = random.SystemRandom()  # tests set the seed of the other


def free_port() -> int:
    """A port of this machine that nobody listens on, and that this process was not given before."""
    for _ in range(_TRIES):
        port = _dice.choice(_PORTS)
        if port not in _given and _can_listen(port):
            _given.add(port)
            return port
    raise RuntimeError(f"no free port was found from {_PORTS.start} to {_PORTS.stop - 1}")


def _can_listen(port: int) -> bool:
    try:
        with socket.create_server(("127.0.0.1", port)):
            return True
    except OSError:
        return False
