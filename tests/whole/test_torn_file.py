"""A power cut leaves half a record at the end of the append-only file. Whole scripts are lost with it, or none."""

from __future__ import annotations

import asyncio
import shutil
from itertools import pairwise
from pathlib import Path

from gateway.ledger.ledger import Ledger
from gateway.redis_link.connections import connect_ledger
from tests.invariants.checks import check_partition, partition_of
from tests.invariants.contents import Contents, read_contents
from tests.ledger.world import PARTITIONS, POLICY, World
from tests.lengths import LONG
from tests.redis_servers import RedisServer
from tests.whole.busy_ledger import Effect, RecordedLedger, append_only_file, live, serving

CUTS = 200
SCRIPTS = 40  # how many of the last scripts are cut


async def test_a_torn_append_only_file_loses_whole_scripts_or_none(tmp_path: Path) -> None:
    """Wherever it is cut, the server comes up with exactly what the last whole script before the cut left behind."""
    whole = tmp_path / "whole"
    whole.mkdir()
    with serving(whole) as url:
        effects = await _record(url, append_only_file(whole))
    file = append_only_file(whole)
    assert file.stat().st_size == effects[-1].size
    assert len(effects) > SCRIPTS
    inside_scripts = set()
    for cut in _places(effects):
        torn = tmp_path / "torn"
        shutil.copytree(whole, torn)
        with append_only_file(torn).open("r+b") as stream:
            stream.truncate(cut)
        expected = max((effect for effect in effects if effect.size <= cut), key=lambda effect: effect.size)
        if cut != expected.size:
            inside_scripts.add(effects[effects.index(expected) + 1].script)
        with serving(torn) as url:
            found = await _contents(url)
        assert found == expected.contents, f"cut at {cut}, after {expected.script}"
        for index in range(PARTITIONS):
            check_partition(partition_of(found, f"{{fb{index:02x}}}:"))
        shutil.rmtree(torn)
    assert {"reserve", "begin", "deliver", "settle", "cancel", "grant", "adjust", "rescue"} <= inside_scripts


async def test_a_kill_while_the_file_is_rewritten_loses_nothing(own_redis: RedisServer) -> None:
    """Redis replaces the file by a shorter one now and then; what is written meanwhile goes to a file beside it."""
    ledger = Ledger(connect_ledger(own_redis.url), partitions=PARTITIONS)
    world = World(ledger, POLICY)
    try:
        await ledger.start()
        await ledger.publish(world.policy)
        await world.account(top_up=1_000_000)
        generations = [await world.spend(100) for _ in range(3)]
        with own_redis.client() as client:
            client.config_set("rdb-key-save-delay", 200_000)  # microseconds for each key: seconds in all
            client.bgrewriteaof()
            while not client.info("persistence")["aof_rewrite_in_progress"]:
                await asyncio.sleep(0.01)
        generations += [await world.spend(100) for _ in range(3)]
        await world.finish(generations[0])
        before = await read_contents(ledger.redis)
        with own_redis.client() as client:
            assert client.info("persistence")["aof_rewrite_in_progress"]
        own_redis.kill()
        own_redis.start()
        assert await read_contents(ledger.redis) == before
        for generation in generations:
            await world.generation(generation)
    finally:
        await ledger.close()


async def _record(url: str, file: Path) -> list[Effect]:
    ledger = RecordedLedger(url, file)
    world = World(ledger, POLICY)
    try:
        await ledger.start()
        await ledger.publish(world.policy)
        await live(world)
        return ledger.effects
    finally:
        await ledger.close()


async def _contents(url: str) -> Contents:
    redis = connect_ledger(url)
    try:
        return await read_contents(redis)
    finally:
        await redis.aclose()


def _places(effects: list[Effect]) -> list[int]:
    """In the middle of each of the last scripts; in a long run evenly spread over their bytes."""
    sizes = [effect.size for effect in effects[-SCRIPTS - 1 :]]
    if LONG:
        return [sizes[0] + (sizes[-1] - sizes[0]) * index // CUTS for index in range(1, CUTS + 1)]
    return [(before + after) // 2 for before, after in pairwise(sizes)]
