"""`farebox rebuild --from-archive`: how long it takes, what memory it needs, and whether every account is right.

    make bench ONLY=rebuild                            5,000 accounts
    make bench ONLY=rebuild REBUILD_ACCOUNTS=1000000   a million, with 5,000,000 journal entries

Every account's balance is compared with what its life must have left (`archived_past.py`), keys and generations of some
are read by the ledger's own calls, and `farebox audit` compares the whole ledger with itself.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from benchmarks.archived_past import Life, clone, key_of, make_archive
from benchmarks.bench import Bench
from benchmarks.peers.postgres import MISSING, connected, postgres_at, programs
from benchmarks.result import Result, at_least, at_most
from benchmarks.servers import child, durable_redis, environment
from gateway.domain import partition_of_account
from gateway.ledger import keys
from gateway.ledger.ledger import Ledger
from gateway.ledger.outcomes import Account, NotFound, Page
from gateway.redis_link.connections import connect_ledger

ACCOUNTS = 5_000
ACCOUNTS_QUICK = 300
_SAMPLE = 500
_AT_ONCE = 1_000
_MEMORY_MB = 300
_PEAK = re.compile(r"VmHWM:\s+(\d+) kB")


async def measure(bench: Bench) -> Sequence[Result]:
    """Make an archive, rebuild a ledger from it, compare."""
    found = programs()
    if found is None:
        return [Result(what="rebuild", figures=[0.0], unit="/s", target=None, note=MISSING)]
    accounts = int(os.environ.get("REBUILD_ACCOUNTS", "0")) or bench.size(ACCOUNTS, ACCOUNTS_QUICK)
    with ExitStack() as running:
        postgres = running.enter_context(postgres_at(found))
        (await connected(postgres)).terminate()
        url = f"postgresql://postgres@/postgres?host={postgres.sockets}"
        connection = await asyncpg.connect(url, server_settings={"search_path": "farebox"})
        async for made in make_archive(connection, url, accounts):
            bench.say(f"making an archive of {made:,} of {accounts:,} accounts")
        entries = await connection.fetchval("SELECT count(*) FROM entries")
        bench.say(f"rebuilding {accounts:,} accounts and {entries:,} entries")
        redis_socket = running.enter_context(durable_redis())
        settings = {**environment(redis_socket), "FAREBOX_ARCHIVE_URL": url}
        rebuilt = await _run(["rebuild", "--from-archive"], settings, redis_socket.parent / "rebuild.log")
        bench.say(f"rebuilt in {rebuilt.seconds:.0f} s; comparing")
        ledger = Ledger(connect_ledger(f"unix://{redis_socket}"))
        wrong = await _compare(ledger, accounts)
        used_mb = (await ledger.redis.info("memory"))["used_memory"] / 1e6
        await ledger.close()
        bench.say("auditing")
        audited = await _run(["audit", "--json"], settings, redis_socket.parent / "audit.log")
        report = json.loads(audited.said)
        await connection.close()
    what = f"rebuild, {accounts:,} accounts, {entries:,} entries"
    return [
        Result(what=what, figures=[accounts / rebuilt.seconds], unit="accounts/s", target=at_least(1_000)),
        Result(what="rebuild, time", figures=[rebuilt.seconds], unit="s", target=None),
        Result(what="rebuild, memory of the command", figures=[rebuilt.peak_mb], unit="MB", target=at_most(_MEMORY_MB)),
        Result(what="rebuild, memory of Redis", figures=[used_mb], unit="MB", target=None),
        Result(what="rebuild, accounts that are wrong", figures=[wrong], unit="", target=at_most(0)),
        Result(
            what="rebuild, differences in the audit",
            figures=[report["difference_count"] + len(report["unproved"])],
            unit="",
            target=at_most(0),
            note=(
                f"it checked {report['accounts']:,} accounts, {report['entries']:,} entries and "
                f"{report['generations']:,} generations in {audited.seconds:.0f} s, with {audited.peak_mb:.0f} MB"
            ),
        ),
    ]


@dataclass(frozen=True, slots=True)
class _Ran:
    seconds: float
    peak_mb: float
    said: str


async def _run(words: Sequence[str], settings: dict[str, str], log: Path) -> _Ran:
    """Run the real command to its end; RuntimeError with what it said if it fails."""
    started, peak = time.perf_counter(), 0.0
    with child([sys.executable, "-m", "gateway", *words], environment=settings, log=log) as process:
        while process.poll() is None:
            status = await asyncio.to_thread(Path(f"/proc/{process.pid}/status").read_text)
            peak = max(peak, *(int(kilobytes) / 1024 for kilobytes in _PEAK.findall(status)), 0.0)
            await asyncio.sleep(0.05)
    seconds, said = time.perf_counter() - started, await asyncio.to_thread(log.read_text)
    if process.returncode not in {0, 1} or (process.returncode and words[0] != "audit"):
        raise RuntimeError(f"farebox {' '.join(words)} ended with {process.returncode}\n{said[-4000:]}")
    return _Ran(seconds, peak, said)


async def _compare(ledger: Ledger, accounts: int) -> int:
    """How many accounts do not have what their life has left them."""
    wrong = 0
    for first in range(0, accounts, _AT_ONCE):
        numbers = range(first, min(first + _AT_ONCE, accounts))
        async with ledger.redis.pipeline(transaction=False) as pipeline:
            for name in map(clone, numbers):
                pipeline.lindex(keys.journal(partition_of_account(name, ledger.partitions), name), 0)
            newest = await pipeline.execute()
        for number, entry in zip(numbers, newest, strict=True):
            life = Life.of(number)
            wrong += _balance(entry) != (life.available, life.held)
    for number in range(0, accounts, max(1, accounts // _SAMPLE)):
        wrong += not await _is_usable(ledger, number)
    return wrong


def _balance(entry: bytes | None) -> tuple[int, int] | None:
    """Available and held after an entry."""
    if entry is None:
        return None
    _, _, _, available, held, *_ = entry.split(b"|")
    return int(available), int(held)


async def _is_usable(ledger: Ledger, number: int) -> bool:
    """Whether the account's key opens it, what it holds is held, and its generations can be read."""
    name, life = clone(number), Life.of(number)
    key = await ledger.find_key(key=key_of(number))
    found = await ledger.account(account=name)
    if isinstance(key, NotFound) or key.account != name or not isinstance(found, Account):
        return False
    listed = await ledger.generations(account=name, keys_version=None, limit=10)
    if not isinstance(listed, Page):
        return False
    prices = {one.price_millicredits for one in listed.data}
    return sum(found.held_millicredits.values()) == life.held and prices == life.prices
