"""The figures of docs/sizing.md: bytes of each kind of thing, how fast a ledger loads, how long its audit takes.

    python -m benchmarks.sizing [generations]

Bytes are Redis's own `MEMORY USAGE` of the keys of each kind, all samples, with what else the server needs per key: its
count of all memory, before and after, divided alike. Load and audit are timed once: an estimate, not a target.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from benchmarks.accounts import make, reserve
from benchmarks.memory import finish_one
from benchmarks.servers import ledger_at
from gateway.domain import EventType, webhook_id
from gateway.ledger.audit import audit
from gateway.ledger.ledger import Ledger
from gateway.ledger.outcomes import Reserved
from gateway.local.embedded import durable_arguments, find_redis
from gateway.redis_link.connections import connect_ledger

GENERATIONS = 10_000
EACH = 20  # of an account
OPEN = 500
PLAN = "creator"


@asynccontextmanager
async def server(directory: Path) -> AsyncIterator[tuple[Path, float]]:
    """A durable Redis on the files of `directory`; its socket, and how long it took to be ready."""
    socket = directory / "redis.sock"
    began = time.monotonic()
    where = ("--unixsocket", str(socket), "--dir", str(directory), "--logfile", "redis.log")
    process = subprocess.Popen([str(find_redis().path), "--port", "0", *where, *durable_arguments()])  # noqa: ASYNC220
    try:
        ledger = Ledger(connect_ledger(f"unix://{socket}"))
        while True:
            try:
                await ledger.ping()
                break
            except Exception:  # noqa: BLE001 - not there yet, or loading
                await asyncio.sleep(0.02)
        await ledger.close()
        yield socket, time.monotonic() - began
    finally:
        process.terminate()
        process.wait()


async def by_kind(redis: Any) -> Counter[str]:
    """Bytes of all keys, and how many there are, by kind."""
    found: Counter[str] = Counter()
    async for name in redis.scan_iter(match="{fb*", count=1000):
        kind = name.decode().split(":")[1]
        found[kind] += await redis.memory_usage(name, samples=0)
        found[f"{kind} keys"] += 1
    return found


async def main(generations: int) -> None:
    """Fill a ledger, and say what is in it."""
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder)
        async with server(directory) as (socket, _), ledger_at(socket) as ledger:
            accounts = await make(ledger, socket, range(generations // EACH), plan=PLAN)
            for account in accounts[:50]:
                await ledger.listen(
                    webhook=webhook_id(),
                    account=account.name, url="https://example.com/hooks/farebox", events=list(EventType),
                    description="", mark="",
                )  # fmt: skip
            for _ in range(EACH):
                for first in range(0, len(accounts), 200):
                    await asyncio.gather(*(finish_one(ledger, account) for account in accounts[first : first + 200]))
            held = [await reserve(ledger, account) for account in accounts[:OPEN]]
            still_open = sum(isinstance(one, Reserved) for one in held)
            await report(ledger, generations, still_open)
            began = time.monotonic()
            found = await audit(ledger, rest=0)
            seconds = time.monotonic() - began
            print(f"audit without rest: {seconds:.1f} s, {found.generations / seconds:,.0f} generations/s, "
                  f"{len(found.differences)} differences")  # fmt: skip
            used = int((await ledger.redis.info("memory"))["used_memory"])
        size = sum(file.stat().st_size for file in (directory / "appendonlydir").iterdir())
        async with server(directory) as (socket, seconds):
            print(f"load of the log: {size / 1e6:.0f} MB in {seconds:.1f} s, {size / 1e6 / seconds:.0f} MB/s")
            async with ledger_at(socket) as ledger:
                await rewritten(ledger.redis)
        size = sum(file.stat().st_size for file in (directory / "appendonlydir").iterdir())
        async with server(directory) as (_, seconds):
            print(f"load of a rewritten one: {size / 1e6:.0f} MB in {seconds:.1f} s, "
                  f"{used / 1e6 / seconds:.0f} MB of memory/s; {size / used:.2f} of the memory is on disk")  # fmt: skip


async def rewritten(redis: Any) -> None:
    """Have the log rewritten, and return when it is."""
    await redis.bgrewriteaof()
    while (await redis.info("persistence"))["aof_rewrite_in_progress"]:  # noqa: ASYNC110 - Redis gives no event
        await asyncio.sleep(0.2)


async def report(ledger: Ledger, generations: int, still_open: int) -> None:
    """Bytes by kind, and all together."""
    found = await by_kind(ledger.redis)
    for kind in sorted(name for name in found if not name.endswith(" keys")):
        count = found[f"{kind} keys"]
        print(f"{kind:12} {count:8,} keys {found[kind]:12,} bytes {found[kind] / count:10,.0f} each")
    entries, redis = 0, ledger.redis
    async for name in redis.scan_iter(match="{fb*:journal:*", count=1000):
        length: Any = redis.llen(name)
        entries += await length
    print(f"journal entries: {entries:,}, {found['journal'] / entries:,.0f} bytes each")
    all_bytes = (await ledger.redis.info("memory"))["used_memory"]
    print(f"all: {all_bytes:,} bytes for {generations:,} ended and {still_open} open generations")


if __name__ == "__main__":
    os.environ.setdefault("PYTHONUNBUFFERED", "1")
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else GENERATIONS))
