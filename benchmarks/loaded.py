"""Who sends the load: wrk where it is installed, else `benchmarks/load.py`, which takes twice its CPU time.

On two cores what the load takes, the servers do not get. An open loop always comes from our own: wrk has none.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.load import UNIQUE
from benchmarks.servers import asked

WRK = shutil.which("wrk")
TOOL = "wrk" if WRK else "benchmarks/load.py (wrk is not installed)"


async def loaded(
    port: int, requests: Sequence[str], *, connections: int, seconds: float, per_second: float = 0
) -> dict[str, float]:
    """Load a server: requests per second, p50 and p99 in ms, and how many were answered.

    RuntimeError if an answer is not 2xx or 3xx.
    """
    if WRK is None or per_second:
        question = {"port": port, "connections": connections, "seconds": seconds, "per_second": per_second}
        return await asked("benchmarks.load", {**question, "requests": requests})
    with tempfile.NamedTemporaryFile("w", suffix=".requests") as file:
        file.write("".join(f"{request}\0" for request in requests))
        file.flush()
        return await _by_wrk(WRK, port, Path(file.name), connections, seconds)


async def _by_wrk(wrk: str, port: int, requests: Path, connections: int, seconds: float) -> dict[str, float]:
    process = await asyncio.create_subprocess_exec(
        *(wrk, "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--timeout", "10s"),
        *("-s", str(Path(__file__).with_name("wrk.lua")), f"http://127.0.0.1:{port}"),
        *("--", str(requests), UNIQUE, secrets.token_hex(6)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        said, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    lines = said.decode(errors="replace").splitlines()
    figures: dict[str, float] = json.loads(lines[-1]) if lines and lines[-1].startswith("{") else {"errors": 1}
    if process.returncode or figures.pop("errors"):
        raise RuntimeError("\n".join(["wrk did not get what it asked for:", *lines]))
    return figures
