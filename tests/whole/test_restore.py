"""The restore drill of docs/running.md, run as it is written there, on a ledger that works meanwhile."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from gateway.domain import generation_id, partition_of_account
from gateway.errors import LedgerUnavailable
from gateway.ledger import outcomes
from gateway.ledger.core import PARTITIONS
from gateway.ledger.ledger import Ledger
from gateway.ledger.policy import PlanTerms
from gateway.local.lifeline import Lifeline
from gateway.redis_link.connections import connect_ledger
from gateway.settings import Settings
from tests.invariants.checks import check_invariants
from tests.ledger.world import POLICY, World, the
from tests.until import until
from tests.workers.stage import open_stage

ROOT = Path(__file__).parents[2]
CLIENTS = 4
BEFORE_THE_COPY = 100
ROOMY = PlanTerms(concurrency={"image": 100_000}, max_waiting=100_000)

# Every process of this test run ends with it, also when it is killed.
_lifeline = Lifeline()


def documented() -> list[str]:
    """The shell blocks of the section, in order: copy, put in place and start, prove."""
    section = re.search(r"## Backups and restore\n(.*?)\n## ", (ROOT / "docs" / "running.md").read_text(), re.DOTALL)
    assert section
    return re.findall(r"```sh\n(.*?)```", section[1], re.DOTALL)


async def test_another_ledger_starts_on_the_files_of_a_busy_one_and_has_what_was_acknowledged(tmp_path: Path) -> None:
    copy, put_in_place, prove = documented()
    put_in_place, start = put_in_place.rstrip().rsplit("\n", 1)
    async with farebox_redis(tmp_path, "FAREBOX_DATA=.farebox farebox redis", ".farebox") as ledger:
        Settings(data=tmp_path / ".farebox").secret("signing-key")  # as a gateway would
        await ledger.publish(replace(POLICY, free=ROOMY))
        await World(ledger).account(top_up=100_000_000)
        acknowledged: list[str] = []
        clients = [asyncio.create_task(work_on(World(ledger), acknowledged)) for _ in range(CLIENTS)]
        await until(lambda: reached(acknowledged, BEFORE_THE_COPY))
        # Make the copy meet a rewrite of the files, which takes some time from here on.
        await World(ledger).redis.config_set("rdb-key-save-delay", 1000)
        await World(ledger).redis.bgrewriteaof()
        before = list(acknowledged)
        await run(copy, tmp_path)
        await until(lambda: reached(acknowledged, len(before) + BEFORE_THE_COPY))
        for client in clients:
            client.cancel()
        await asyncio.gather(*clients, return_exceptions=True)
    await run(put_in_place, tmp_path)
    async with farebox_redis(tmp_path, start, "restored") as restored:
        assert "Everything is consistent." in await run(prove, tmp_path)
        await check_invariants(restored.redis, PARTITIONS)
        for generation in before:
            the(outcomes.Generation, await restored.generation(generation=generation))
        the(outcomes.Ended, await restored.cancel(generation=await spend(World(restored))))


async def test_a_job_that_the_restored_ledger_does_not_know_is_dropped_by_the_worker(
    redis_url: str, tmp_path: Path
) -> None:
    """After the restore of an older copy the queue may be newer than the ledger."""
    async with open_stage(redis_url, tmp_path) as stage:
        known = await stage.reserve(await stage.account())
        assert known.dispatch is not None
        unknown = replace(known.dispatch, generation=generation_id(3))
        stage.dispatcher.dispatch([unknown, known.dispatch])
        worker = stage.worker()
        await stage.ended(known.generation.id)
        await until(lambda: queue_is_empty(stage.queue.redis))
        assert not await worker.says("Traceback")
        worker.kill()


async def work_on(world: World, acknowledged: list[str]) -> None:
    """Reserve, and end what was reserved in one way or another, for ever."""
    while True:
        generation = await spend(world)
        acknowledged.append(generation)
        if len(acknowledged) % 3 == 0:
            await world.ledger.cancel(generation=generation)
        elif len(acknowledged) % 3 == 1:
            await world.finish(generation)


async def spend(world: World) -> str:
    return await world.spend(100, generation=generation_id(partition_of_account("ann", PARTITIONS)))


async def reached(acknowledged: list[str], count: int) -> bool:
    return len(acknowledged) >= count


async def queue_is_empty(redis: object) -> bool:
    return [name async for name in redis.scan_iter("arq:job:*")] == []  # type: ignore[attr-defined]


@asynccontextmanager
async def farebox_redis(directory: Path, command: str, data: str) -> AsyncIterator[Ledger]:
    """The embedded server, started in `directory` as the command says, and a ledger on it."""
    process = await shell(f"exec env {command}", directory)
    ledger = Ledger(connect_ledger(f"unix://{directory / data / 'redis.sock'}"))
    try:
        while True:
            try:
                await ledger.start()
                break
            except LedgerUnavailable:
                assert process.returncode is None
        yield ledger
    finally:
        await ledger.close()
        process.kill()
        await process.communicate()


async def run(lines: str, directory: Path) -> str:
    """What the lines print; AssertionError if one fails."""
    process = await shell(lines, directory)
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
    return output.decode()


async def shell(lines: str, directory: Path) -> asyncio.subprocess.Process:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("FAREBOX_")}
    environment["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway.local.lifeline", str(_lifeline.reading_fd), "/bin/sh", "-ec", lines),
        pass_fds=[_lifeline.reading_fd],
        cwd=directory,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
