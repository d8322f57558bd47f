"""From `farebox gateway` to its first 200 at /readyz, beside a Python that imports the three libraries it stands on."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence

from benchmarks.bench import Bench
from benchmarks.result import Result, at_most
from benchmarks.servers import durable_redis, gateway_at, ledger_at

IMPORTS = "import aiohttp, redis, pydantic"


async def measure(bench: Bench) -> Sequence[Result]:
    """Start one, then the other."""
    ours, floor = [], []
    with durable_redis() as redis_socket:
        async with ledger_at(redis_socket):
            pass  # the ledger is there and has a policy, as at every start but the first
        with gateway_at(redis_socket):
            pass  # and so is the bytecode
        for _ in bench.rounds():
            started_at = time.monotonic()
            subprocess.run([sys.executable, "-c", IMPORTS], check=True)  # noqa: ASYNC221 - nothing else is to run
            between = time.monotonic()
            with gateway_at(redis_socket, tied=False):
                ours.append((time.monotonic() - between) * 1000)
            floor.append((between - started_at) * 1000)
    return [
        Result(
            what="start of `farebox gateway`",
            figures=ours,
            floors=floor,
            floor=IMPORTS,
            unit="ms",
            target=at_most(2.5),
        )
    ]
