"""Scripts travel together, and survive being forgotten by the server."""

from __future__ import annotations

import asyncio
import re

from gateway.domain import Bucket, operation_id
from gateway.ledger import outcomes
from gateway.ledger.records import BUCKETS
from gateway.ledger.scripts import SCRIPTS
from tests.ledger.world import World
from tests.unit.test_lua import LEDGER


async def forget_scripts(world: World) -> None:
    for server in await world.ledger.servers():
        await server.execute_command("SCRIPT FLUSH")


async def test_a_script_that_the_server_forgot_is_sent_again(world: World) -> None:
    await forget_scripts(world)
    assert isinstance(await world.reserve(), outcomes.Reserved)
    await forget_scripts(world)
    assert (await world.look()).in_work == {"image": 1}


async def test_forgotten_scripts_in_one_batch_each_get_their_own_answer(world: World) -> None:
    names = [f"account-{index}" for index in range(12)]
    for name in names:
        await world.account(name)
    generations = [await world.spend(10_000, name) for name in names]
    await forget_scripts(world)
    begun = [
        world.ledger.begin(generation=generation, attempt=1, operation=operation_id()) for generation in generations
    ]
    read = [world.ledger.account(account=name) for name in [*names, "nobody"]]
    answers = await asyncio.gather(*begun, *read)
    assert [getattr(answer, "generation").id for answer in answers[:12]] == generations  # noqa: B009 - of a union
    assert [getattr(answer, "id", None) for answer in answers[12:]] == [*names, None]


async def test_one_failing_script_of_a_batch_fails_alone(world: World) -> None:
    generation = await world.running()
    answers = await asyncio.gather(
        world.ledger.park(generation=generation, attempt=1, operation="x"),
        world.ledger.renew(generation=generation, attempt=1),
        return_exceptions=True,
    )
    assert [type(answer).__name__ for answer in answers] == ["LedgerBroken", "Renewed"]


def test_buckets_are_listed_once_in_the_order_in_which_they_burn() -> None:
    assert list(BUCKETS.values()) == list(Bucket) == [Bucket.FREE, Bucket.SUBSCRIPTION, Bucket.TOP_UP]
    assert "".join(BUCKETS) == "fst"  # what is stored
    files = [*LEDGER.scripts, *LEDGER.libraries]
    everywhere = "\n".join(path.read_text() for path in files if path.stem != "buckets")
    assert not re.search(r'"f"\W+"s"\W+"t"|\bf = [^,\n]*, s = ', everywhere)


async def test_redis_takes_every_script(world: World) -> None:
    """Its compiler has limits, too: 200 locals in one function."""
    for path in LEDGER.scripts:
        await world.redis.execute_command("SCRIPT LOAD", SCRIPTS.load(path.stem).source)
